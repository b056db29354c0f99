"""Arguments from callers: one sentence for each that is none of its kind, or out of its range."""

import numpy as np
import pytest

from lipsync_fast.checks import as_array, check_alphas, check_indices, check_int, check_type
from lipsync_fast.errors import ArgumentTypeError, InputError


@pytest.mark.parametrize("value", [1, 5, np.int64(3), np.uint8(5), True])
def test_whole_numbers_of_every_kind_are_ints(value):
    number = check_int("threads", value, 1, 5)
    assert type(number) is int
    assert number == value


@pytest.mark.parametrize("value", [0, 6, -(10**30), 1.5, 2.0, "2", None, [1], np.float32(2)])
def test_all_else_is_refused(value):
    with pytest.raises(InputError, match="threads must be a whole number, 1 to 5, got"):
        check_int("threads", value, 1, 5)


def test_what_is_counted_stands_in_the_sentence():
    with pytest.raises(InputError, match=r"^n must be a whole number of frames, 2 or more, got 1$"):
        check_int("n", 1, 2, unit="frames")
    assert check_int("n", 10**30, 2) == 10**30


def test_what_is_of_no_type_asked_for_is_named():
    check_type("path", "a", int, str)
    check_type("flag", True, int)
    with pytest.raises(ArgumentTypeError, match=r"^path must be of type int or str, got NoneType$"):
        check_type("path", None, int, str)
    with pytest.raises(ArgumentTypeError, match=r"^n must be of type int, got str; count them$"):
        check_type("n", "5", int, hint="count them")


def test_lists_become_arrays_where_their_lengths_agree():
    same = np.arange(4)
    assert as_array("rects", same) is same
    assert as_array("rects", [[1, 2], [3, 4]]).shape == (2, 2)
    with pytest.raises(InputError, match=r"rects must be rows of one length, got \[\[1\], \[1, 2"):
        as_array("rects", [[1], [1, 2]])


def test_indices_are_whole_numbers_below_the_count():
    chosen = np.array([2, 0, 1])
    assert check_indices(chosen, 3) is chosen, "not copied"
    for given in ([2, 0, 1], np.array([2, 0, 1], np.uint8), range(3)):
        got = check_indices(given, 3)
        assert got.dtype == np.int64
        assert got.tolist() == list(given)
    assert check_indices([], 3).shape == (0,)
    for wrong in ([3], [-1], [2**63], np.array([2**64 - 1], np.uint64)):
        with pytest.raises(InputError, match="indices must be 0 to 2, got"):
            check_indices(wrong, 3)
    for wrong in (1, [[1]], [1.0], ["1"], [True]):
        with pytest.raises(InputError, match="indices must be one integer a frame, got"):
            check_indices(wrong, 3)


def test_alphas_are_bytes():
    assert check_alphas(None, 3).tolist() == [255] * 3
    assert check_alphas(None, 1000).tolist() == [255] * 1000
    assert check_alphas([0, 7, 255], 3).dtype == np.uint8
    assert check_alphas([], 0).shape == (0,)
    for wrong in ([1, 2], [[1, 2, 3]], [0.5] * 3, 5):
        with pytest.raises(InputError, match="alphas must be 3 whole numbers, one a frame, got"):
            check_alphas(wrong, 3)
    for wrong in ([0, 0, 256], [-1, 0, 0]):
        with pytest.raises(InputError, match="alphas must be 0 to 255, got"):
            check_alphas(wrong, 3)
