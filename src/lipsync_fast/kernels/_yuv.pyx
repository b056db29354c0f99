# cython: language_level=3, freethreading_compatible=True
"""Conversion between packed pixels and I420, and blending a patch onto an I420 picture."""
from operator import index

from libc.stdint cimport int64_t, uint8_t

from lipsync_fast.kernels._arguments cimport (
    Array,
    as_image,
    check,
    image_of,
    lf_image,
    lf_rows,
    mask_of,
    need_apart,
    out_like,
    place_of,
    result_of,
    rows_of,
)

import numpy as np

from ..checks import check_int
from ..errors import InputError, LayoutError

_MATRICES = {"bt601": LF_BT601, "bt709": LF_BT709}


cdef lf_yuv_space space_of(object matrix, bint full_range) except *:
    cdef lf_yuv_space space
    if not isinstance(matrix, str) or matrix not in _MATRICES:
        raise InputError(f"matrix must be 'bt601' or 'bt709', got {matrix!r}")
    space.matrix, space.full_range = _MATRICES[matrix], full_range
    return space


cdef class Planes:
    """A caller's I420 picture for the duration of one call: its planes and their geometry."""


cdef Planes i420_of(object picture, str name, object width, object height, bint writable=False):
    """Check an I420 picture: planes (y, u, v), or one buffer, whose size must then be given.

    Planes: (H, W) and twice ((H+1)//2, (W+1)//2) uint8, pixels in a row packed, rows anywhere.
    """
    cdef Planes checked = Planes()
    if isinstance(picture, (tuple, list)):
        if len(picture) != 3:
            raise InputError(f"{name} must be three planes (y, u, v), got {len(picture)}")
    elif width is None or height is None:
        raise InputError(
            f"{name} is one buffer, so width and height are needed; or pass planes (y, u, v)"
        )
    else:
        picture = i420_planes(picture, width, height)
    checked.y = image_of(picture[0], f"{name}[0]", writable)
    checked.u = image_of(picture[1], f"{name}[1]", writable)
    checked.v = image_of(picture[2], f"{name}[2]", writable)
    cdef Array y = checked.y
    cdef Array chroma
    if y.channels != 1 or y.width > LF_I420_MAX_SIDE or y.height > LF_I420_MAX_SIDE:
        raise InputError(
            f"{y.name} must have shape (H, W), at most {LF_I420_MAX_SIDE} a side, "
            f"got shape {y.shape}"
        )
    for chroma in (checked.u, checked.v):
        if (chroma.channels != 1 or chroma.height != (y.height + 1) // 2
                or chroma.width != (y.width + 1) // 2):
            raise InputError(
                f"{chroma.name} must have shape ({(y.height + 1) // 2}, {(y.width + 1) // 2}) "
                f"beside luma of {y.shape}, got shape {chroma.shape}")
    checked.i420.y, checked.i420.y_stride = <uint8_t *> y.view.buf, y.stride
    checked.i420.u, checked.i420.u_stride = <uint8_t *> checked.u.view.buf, checked.u.stride
    checked.i420.v, checked.i420.v_stride = <uint8_t *> checked.v.view.buf, checked.v.stride
    checked.i420.width, checked.i420.height = y.width, y.height
    if (width is not None and width != y.width) or (height is not None and height != y.height):
        raise InputError(
            f"{y.name} must have shape ({height}, {width}) as width and height say, "
            f"got shape {y.shape}"
        )
    return checked


def i420_size(width, height):
    """Return the bytes of a contiguous I420 picture.

    Parameters
    ----------
    width, height : int
        Luma pixels, 1 or more; odd sizes too.

    Returns
    -------
    int
        ``W*H + 2*ceil(W/2)*ceil(H/2)``; for even sizes ``W*H*3/2``.

    Raises
    ------
    InputError
        A side that is not an integer from 1 to 2**24.
    """
    cdef int64_t w = check_int("width", width, 1, LF_I420_MAX_SIDE, "pixels")
    cdef int64_t h = check_int("height", height, 1, LF_I420_MAX_SIDE, "pixels")
    return w * h + 2 * ((w + 1) // 2) * ((h + 1) // 2)


def i420_planes(buffer, width, height):
    """View a contiguous I420 picture as three planes.

    Parameters
    ----------
    buffer : uint8 array of ``i420_size(width, height)`` elements, C-contiguous
        Luma, then U, then V, each row by row. Any shape: flat, or (H*3/2, W) for even sides,
        as in OpenCV and PyAV.
    width, height : int
        Luma pixels; odd sizes too.

    Returns
    -------
    tuple of three uint8 arrays
        Views (H, W), (ceil(H/2), ceil(W/2)), (ceil(H/2), ceil(W/2)); read-only if `buffer` is.

    Raises
    ------
    LayoutError
        Wrong dtype or layout.
    InputError
        Wrong size.
    """
    size = i420_size(width, height)
    width, height = index(width), index(height)
    flat = np.asarray(buffer)
    if flat.dtype != np.uint8:
        raise LayoutError(f"buffer must be uint8, got {flat.dtype}; convert it first")
    if flat.size != size:
        raise InputError(
            f"buffer must have {size} bytes for {width}x{height}, got shape {flat.shape}"
        )
    if not flat.flags.c_contiguous:
        raise LayoutError(f"buffer must be C-contiguous, got strides {flat.strides}; pass a copy")
    flat = flat.reshape(-1)
    rows, columns = (height + 1) // 2, (width + 1) // 2
    luma, u = width * height, width * height + rows * columns
    return (
        flat[:luma].reshape(height, width),
        flat[luma:u].reshape(rows, columns),
        flat[u:].reshape(rows, columns),
    )


def to_i420(image, out=None, *, matrix="bt601", bint full_range=False, bint swap=False, isa=None):
    """Convert packed pixels to I420.

    Chroma is the mean of its 2x2 pixels; at an odd right or lower edge, the mean of those that
    exist. Every value is rounded once, in integers, and within 0.6 of the exact one.

    Parameters
    ----------
    image : (H, W, 3) uint8, bgr24
        Pixels of a row packed, rows may be apart. For a region of a larger picture pass views
        that begin at even coordinates.
    out : buffer or (y, u, v), optional
        Where to write: a C-contiguous uint8 array of ``i420_size(W, H)`` elements, or planes
        (H, W), (ceil(H/2), ceil(W/2)) and the same, rows may be apart.
    matrix : {"bt601", "bt709"}
        The weights of the colours.
    full_range : bool
        Values 0..255; otherwise 16..235 for luma and 16..240 for chroma.
    swap : bool
        `image` is rgb24.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    uint8 array or tuple of three
        `out`, or a fresh flat buffer; :func:`i420_planes` views its planes.

    Raises
    ------
    LayoutError
        Wrong dtype or layout.
    InputError
        Wrong shape or matrix, a read-only `out`, or one that overlaps `image`.

    References
    ----------
    ITU-R BT.601-7 and BT.709-6, section "signal format".
    """
    cdef const lf_rows *rows = rows_of(isa)
    cdef lf_yuv_space space = space_of(matrix, full_range)
    cdef Array src = image_of(image, "image")
    if src.channels != 3:
        raise InputError(f"image must have shape (H, W, 3), got shape {src.shape}")
    if out is None:
        out = np.empty(i420_size(src.width, src.height), np.uint8)
    cdef Planes dst = i420_of(out, "out", src.width, src.height, True)
    need_apart(dst.y, src)
    need_apart(dst.u, src)
    need_apart(dst.v, src)
    cdef lf_image pixels = as_image(src)
    cdef int status
    with nogil:
        status = lf_yuv_u8x3_to_i420(rows, &dst.i420, &pixels, &space, swap)
    check(status)
    return out


def from_i420(picture, out=None, *, width=None, height=None, matrix="bt601", bint full_range=False,
              bint swap=False, isa=None):
    """Convert I420 to packed pixels.

    Every pixel takes the chroma of its 2x2 block unchanged (nearest, the default of swscale),
    so that a flat block survives the round trip.

    Parameters
    ----------
    picture : buffer or (y, u, v)
        A C-contiguous uint8 array as from :func:`to_i420`, or planes (H, W),
        (ceil(H/2), ceil(W/2)) and the same, uint8; pixels of a row packed, rows may be apart.
        For a region pass views of the planes that begin at even luma coordinates.
    out : (H, W, 3) or (H, W, 4) uint8, optional
        Where to write. A fourth byte becomes 255.
    width, height : int
        Luma pixels; needed if `picture` is one buffer and `out` is not given.
    matrix, full_range
        As in :func:`to_i420`.
    swap : bool
        Write rgb24 or rgba, not bgr24 or bgra.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    (H, W, 3) or (H, W, 4) uint8
        `out`, or a fresh array of three channels.

    Raises
    ------
    LayoutError
        Wrong dtype or layout.
    InputError
        Wrong shape or matrix, a read-only `out`, or one that overlaps `picture`.
    """
    cdef const lf_rows *rows = rows_of(isa)
    cdef lf_yuv_space space = space_of(matrix, full_range)
    cdef Array given
    if out is not None and (width is None or height is None):
        given = image_of(out, "out", True)
        width = given.width if width is None else width
        height = given.height if height is None else height
    cdef Planes src = i420_of(picture, "picture", width, height)
    cdef Array dst = out_like(
        out, (src.i420.height, src.i420.width, 3), (src.y, src.u, src.v), 4)
    cdef lf_image pixels = as_image(dst)
    cdef int status
    with nogil:
        status = lf_yuv_i420_to_u8(rows, &pixels, &src.i420, &space, swap)
    check(status)
    return result_of(out, dst)


def blend_i420(patch, picture, mask=None, *, x=0, y=0, width=None, height=None,
               matrix="bt601", bint full_range=False, bint swap=False, isa=None):
    """Put a patch of packed pixels onto an I420 picture, in place.

    The eleven parameters are those of `blend` and of `to_i420`.

    Only pixels under the patch and the chroma blocks that it touches change. Luma blends pixel by
    pixel. A chroma block blends with the mean of its four alphas (0 outside the patch) and the
    alpha-weighted mean of the patch's chroma, rounded once: for a flat background block, that is
    within a level of compositing in RGB and converting. Blocks under alpha 255 get the bytes of
    :func:`to_i420`, blocks under alpha 0 keep their own.

    Parameters
    ----------
    patch : (h, w, 3) uint8, bgr24
        Pixels of a row packed, rows may be apart.
    picture : buffer or (y, u, v)
        The background, as in :func:`from_i420`, writable.
    mask : (h, w) uint8, optional
        Alpha of each patch pixel; by default 255 everywhere.
    x, y : int
        Position of the patch's top left pixel in luma pixels: any parity, may be negative or
        beyond the picture; pixels outside are cut off.
    width, height : int
        Luma pixels of `picture`; needed if it is one buffer.
    matrix, full_range
        Of the picture, as in :func:`to_i420`.
    swap : bool
        `patch` is rgb24.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    uint8 array or tuple of three
        `picture`.

    Raises
    ------
    LayoutError
        Wrong dtype or layout.
    InputError
        Wrong shape, place or matrix, a read-only `picture`, or one that overlaps `patch` or `mask`.
    """
    cdef const lf_rows *rows = rows_of(isa)
    cdef lf_yuv_space space = space_of(matrix, full_range)
    cdef Array src = image_of(patch, "patch")
    cdef Planes dst = i420_of(picture, "picture", width, height, True)
    cdef int left = place_of(x, "x"), top = place_of(y, "y")
    cdef Array plane
    if src.channels != 3 or src.width > LF_I420_MAX_SIDE or src.height > LF_I420_MAX_SIDE:
        raise InputError(
            f"patch must have shape (h, w, 3), at most {LF_I420_MAX_SIDE} a side, "
            f"got shape {src.shape}"
        )
    cdef Array alpha = mask_of(mask, src)
    for plane in (dst.y, dst.u, dst.v):
        need_apart(plane, src)
        if alpha is not None:
            need_apart(plane, alpha)
    cdef lf_image pixels = as_image(src), alphas
    cdef const lf_image *alphas_or_null = NULL
    if alpha is not None:
        alphas = as_image(alpha)
        alphas_or_null = &alphas
    cdef int status
    with nogil:
        status = lf_yuv_blend_u8x3_i420(
            rows, &dst.i420, &pixels, alphas_or_null, left, top, &space, swap)
    check(status)
    return picture
