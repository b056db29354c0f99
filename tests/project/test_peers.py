"""peers: the twins of other systems finish the same frame as our kernels, and touch no input."""

import io
import sys
import tracemalloc

import numpy as np
import pytest

from lipsync_fast import kernels
from lipsync_fast.bench import need
from lipsync_fast.errors import InputError, MissingExtraError
from lipsync_fast.presets import get_preset

pytest.importorskip("cv2")
pytest.importorskip("simplejpeg")

from lipsync_fast.bench import encoders, peers, pictures

WIDTH, HEIGHT = 480, 270
RECTS = [(150, 60, 182, 185), (0, 0, 97, 131), (383, 139, 97, 131), (7, 3, 400, 260)]


@pytest.fixture(scope="module")
def background():
    """A read-only frame."""
    frame = pictures.photo(WIDTH, HEIGHT)
    frame.flags.writeable = False
    return frame


@pytest.fixture(params=peers.PEERS)
def peer(request):
    return peers.PEERS[request.param]


def distance(a, b):
    return np.abs(a.astype(np.int16) - b.astype(np.int16))


@pytest.mark.parametrize("rect", RECTS)
def test_twins_and_kernels_finish_the_same_frame(peer, background, rect):
    # A coarse warp moves fine texture by parts of a pixel: only smooth mouths tell its bugs.
    inputs = peers.make_inputs(peer, background, rect, detail=0.0 if peer.tolerance > 1 else 1.0)
    before = inputs.output.copy(), inputs.crop.copy()
    frame = peer.composite(inputs)
    ours = peers.kernel_frame(peer, inputs)
    assert frame.shape == ours.shape == (HEIGHT, WIDTH, peer.channels)
    assert frame.dtype == np.uint8
    assert distance(frame, ours).max() <= peer.tolerance
    # Cutting off where we round is a third of a level on average.
    assert distance(frame, ours)[inputs.box].mean() <= 0.4
    np.testing.assert_array_equal(inputs.output, before[0])
    np.testing.assert_array_equal(inputs.crop, before[1])
    assert not np.shares_memory(frame, background)


def test_a_frame_changes_inside_its_rect_only(peer, background):
    inputs = peers.make_inputs(peer, background, RECTS[0])
    frame = peer.composite(inputs)
    want = inputs.background_rgba if peer.channels == 4 else background
    changed = (frame != want).any(2)
    assert changed[inputs.box].mean() > 0.8
    outside = changed.copy()
    outside[inputs.box] = False
    assert not outside.any()


def test_synctalk2d_sees_what_its_preset_says(background):
    preset = get_preset("synctalk328")
    inputs = peers.make_inputs(peers.get_peer("synctalk2d"), background, RECTS[0])
    got = peers.synctalk2d_input([inputs, inputs])
    assert got.shape == (2, *preset.visual_shape)
    assert got.dtype == np.float32
    check_visual(got[1], inputs.crop, preset)


@pytest.mark.parametrize(
    ("name", "preset"),
    [("livetalking_wav2lip", "wav2lip256"), ("livetalking_ultralight", None)],
)
def test_livetalking_sees_the_stored_crop(background, name, preset):
    peer = peers.get_peer(name)
    inputs = peers.make_inputs(peer, background, RECTS[0])
    got = peer.build_input([inputs, inputs])
    assert got.shape == (2, 6, peer.view, peer.view)
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    if preset:
        check_visual(got[0], inputs.crop, get_preset(preset))
    else:
        view = inputs.crop[4:164, 4:164]
        np.testing.assert_array_equal(got[1, :3], kernels.to_planes(view))
        np.testing.assert_array_equal(got[1, 3:], kernels.to_planes(view, black=(5, 5, 155, 150)))


def check_visual(visual, crop, preset):
    """The six planes are those of our kernels; float64 on the way may cost the last bit."""
    view = crop[preset.border :, preset.border :][: preset.view, : preset.view]
    planes = {
        "reference": kernels.to_planes(view),
        "masked": kernels.to_planes(view, black=preset.black),
    }
    for half, word in enumerate(preset.visual.split("+")):
        np.testing.assert_allclose(visual[3 * half : 3 * half + 3], planes[word], rtol=0, atol=1e-7)


# ---- the known cost of each ----------------------------------------------------------------


def peak_per_pixel(composite, inputs):
    """Bytes of NumPy's memory that a frame holds at its peak, per pixel of the frame."""
    composite(inputs)
    tracemalloc.start()
    try:
        composite(inputs)
        return tracemalloc.get_traced_memory()[1] / inputs.background[..., 0].size
    finally:
        tracemalloc.stop()


def test_wav2lip_onnx_hq_blends_whole_frames_in_float64(background):
    inputs = peers.make_inputs(peers.get_peer("wav2lip_onnx_hq"), background, (200, 100, 40, 40))
    # Three pictures of three float64 at once are 72 bytes a pixel.
    assert peak_per_pixel(peers.wav2lip_onnx_hq, inputs) >= 72


@pytest.mark.parametrize(
    ("name", "copies"), [("synctalk2d", 1), ("livetalking_wav2lip", 2), ("naive", 1)]
)
def test_others_hold_copies_of_the_frame(name, copies):
    frame = pictures.photo(1280, 720)
    peer = peers.get_peer(name)
    inputs = peers.make_inputs(peer, frame, (600, 300, 40, 40))
    temporary = inputs.output.nbytes * 2.5 / frame[..., 0].size
    peak = peak_per_pixel(peer.composite, inputs)
    assert 3 * copies <= peak <= 3 * copies + temporary


# ---- encoders and pictures -------------------------------------------------------------------


@pytest.mark.parametrize("name", encoders.ENCODERS)
@pytest.mark.parametrize("channels", [3, 4])
def test_encoders_write_the_frame(background, name, channels):
    from PIL import Image

    peer = peers.get_peer("go_server" if channels == 4 else "naive")
    inputs = peers.make_inputs(peer, background, RECTS[0])
    data = peers.finish(peer, inputs, name, quality=95)
    with Image.open(io.BytesIO(data)) as file:
        assert file.format == ("PNG" if name == "png" else "JPEG")
        if name != "png":
            assert file.info.get("progressive") is None
            assert [c[1:3] for c in file.layer] == [(2, 2), (1, 1), (1, 1)]
        rgb = np.asarray(file.convert("RGB"))
    frame = peer.composite(inputs)
    want = frame[..., :3] if channels == 4 else frame[..., ::-1]
    assert distance(rgb, want).mean() <= (0 if name == "png" else 6)


def test_a_peers_own_encoder_is_the_default(peer, background):
    inputs = peers.make_inputs(peer, background, RECTS[0])
    data = peers.finish(peer, inputs)
    assert data == peers.finish(peer, inputs, peer.encoder, 75)


def test_a_photo_costs_what_a_photograph_costs():
    frame = pictures.photo()
    assert frame.shape == (1080, 1920, 3)
    assert 250_000 <= len(encoders.ENCODERS["cv2"](frame, 75)) <= 350_000
    np.testing.assert_array_equal(frame, pictures.photo())
    assert (frame != pictures.photo(seed=1)).mean() > 0.9
    noise = frame.astype(int) - pictures.photo(noise=0)
    assert noise.min() == -6
    assert noise.max() == 6


@pytest.mark.parametrize(("width", "height"), [(16, 16), (17, 31), (333, 77)])
def test_photos_of_any_size(width, height):
    assert pictures.photo(width, height).shape == (height, width, 3)


@pytest.mark.parametrize("view", [96, 160, 320])
def test_net_outputs_are_a_nets(view):
    output = pictures.net_output(view)
    assert output.shape == (3, view, view)
    assert output.dtype == np.float32
    assert output.flags.c_contiguous
    assert 0 <= output.min() < 0.3 < 0.7 < output.max() <= 1
    np.testing.assert_array_equal(output, pictures.net_output(view))


def test_masks_are_soft_and_symmetric():
    mask = pictures.mouth_mask(182, 185)
    assert mask.shape == (185, 182)
    assert mask.max() == 255
    assert mask[92, 0] < 20
    np.testing.assert_array_equal(mask, mask[::-1, ::-1])
    assert np.abs(np.diff(mask.astype(int), axis=1)).max() <= 14


# ---- bad calls --------------------------------------------------------------------------------


@pytest.mark.parametrize("rect", [(-1, 0, 9, 9), (0, 0, 0, 9), (472, 0, 9, 9), (0, 262, 9, 9)])
def test_a_rect_outside_is_refused(background, rect):
    with pytest.raises(InputError, match="rect must lie inside"):
        peers.make_inputs(peers.get_peer("naive"), background, rect)


def test_unknown_names_are_refused(background):
    with pytest.raises(InputError, match="peer must be one of synctalk2d"):
        peers.get_peer("sadtalker")
    peer = peers.get_peer("synctalk2d")
    inputs = peers.make_inputs(peer, background, RECTS[0])
    with pytest.raises(InputError, match="encoder must be one of cv2"):
        peers.finish(peer, inputs, "webp")
    with pytest.raises(InputError, match="MuseTalk's"):
        peers.finish(peers.get_peer("musetalk"), inputs)


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    with pytest.raises(MissingExtraError, match=r"simplejpeg.*lipsync_fast\[bench\]"):
        need("simplejpeg")
