"""Frame rates and loops."""

from fractions import Fraction

import numpy as np
import pytest

from lipsync_fast.errors import InputError
from lipsync_fast.timing import check_loop, check_start, loop_indices, parse_fps

ORDERS = {
    "pingpong": [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2],
    "pingpong-doubled": [0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2],
    "forward": [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2],
    "once": [0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3],
    "still": [0] * 11,
}


@pytest.mark.parametrize("loop", ORDERS)
def test_order(loop):
    assert loop_indices(0, 11, 4, loop).tolist() == ORDERS[loop]


@pytest.mark.parametrize("loop", ORDERS)
def test_requests_continue_each_other(loop):
    whole = loop_indices(0, 100, 7, loop, first=1).tolist()
    parts = [i for s in range(0, 100, 9) for i in loop_indices(s, 9, 7, loop, first=1)]
    assert parts[:100] == whole
    assert loop_indices(10**9, 3, 7, loop).max() < 7


@pytest.mark.parametrize("loop", ORDERS)
def test_a_single_frame_is_held(loop):
    assert loop_indices(0, 5, 1, loop, first=1).tolist() == [0] * 5


def test_synctalk_starts_at_frame_one():
    assert loop_indices(0, 4, 10, "pingpong", first=1).tolist() == [1, 2, 3, 4]


def test_a_still_holds_the_frame_it_starts_at():
    assert loop_indices(0, 3, 10, "still", first=4).tolist() == [4, 4, 4]
    assert loop_indices(10**9, 2, 10, "still", first=4).tolist() == [4, 4]
    assert loop_indices(0, 2, 3, "still", first=4).tolist() == [2, 2]


@pytest.mark.parametrize("bad", [-1, 2**31, 1.5, "1"])
def test_bad_starts(bad):
    assert check_start(np.int64(3)) == 3
    with pytest.raises(InputError, match="start must be a whole number of frames"):
        check_start(bad)


def test_unknown_loop():
    with pytest.raises(InputError, match="pingpong"):
        loop_indices(0, 1, 4, "zigzag")
    with pytest.raises(InputError, match="pingpong"):
        check_loop("zigzag")


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        (25, Fraction(25)),
        ("30000/1001", Fraction(30000, 1001)),
        (29.97, Fraction(30000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (12.5, Fraction(25, 2)),
    ],
)
def test_frame_rates(text, rate):
    assert parse_fps(text) == rate


@pytest.mark.parametrize("bad", ["fast", 0, -25, "1/0", 5000, float("nan"), None])
def test_bad_frame_rates(bad):
    with pytest.raises(InputError, match="fps"):
        parse_fps(bad)
