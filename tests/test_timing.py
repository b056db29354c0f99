"""Frame rates and loops."""

from fractions import Fraction

import numpy as np
import pytest

from lipsync_fast.errors import InputError
from lipsync_fast.timing import Loop, check_start, parse_fps

ORDERS = {
    "pingpong": [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2],
    "pingpong-doubled": [0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2],
    "forward": [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2],
    "once": [0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3],
    "still": [0] * 11,
}


@pytest.mark.parametrize("kind", ORDERS)
def test_order(kind):
    order = Loop(kind).indices(0, 11, 4)
    assert order.dtype == np.int64
    assert order.tolist() == ORDERS[kind]


@pytest.mark.parametrize("kind", ORDERS)
def test_requests_continue_each_other(kind):
    loop = Loop(kind, 1)
    whole = loop.indices(0, 100, 7).tolist()
    parts = [i for first in range(0, 100, 9) for i in loop.indices(first, 9, 7)]
    assert parts[:100] == whole
    assert loop.indices(10**9, 3, 7).max() < 7


@pytest.mark.parametrize("kind", ORDERS)
@pytest.mark.parametrize("start", [0, 1, 5])
def test_a_single_frame_is_held(kind, start):
    assert Loop(kind, start).indices(0, 5, 1).tolist() == [0] * 5


def test_synctalk_starts_at_frame_one():
    assert Loop("pingpong", 1).indices(0, 4, 10).tolist() == [1, 2, 3, 4]


def test_a_still_holds_the_frame_it_starts_at():
    still = Loop("still", 4)
    assert still.indices(0, 3, 10).tolist() == [4, 4, 4]
    assert still.indices(10**9, 2, 10).tolist() == [4, 4]
    assert still.indices(0, 2, 3).tolist() == [2, 2]


def test_open_fields_are_filled_in():
    preset = Loop("forward", 3)
    assert Loop().over(preset) == preset
    assert Loop("once").over(preset) == Loop("once", 3)
    assert Loop(start=0).over(preset) == Loop("forward", 0)
    assert Loop("still", 1).over(preset) == Loop("still", 1)
    assert Loop().indices(0, 3, 4).tolist() == Loop("pingpong", 0).indices(0, 3, 4).tolist()


def test_a_loop_may_be_named_by_its_kind():
    loop = Loop("once", np.int64(2))
    assert Loop.of(loop) is loop
    assert type(loop.start) is int
    assert Loop.of("once") == Loop("once")
    assert Loop.of(None) == Loop()


@pytest.mark.parametrize("bad", [-1, 2**31, 1.5, "1"])
def test_bad_starts(bad):
    assert check_start(np.int64(3)) == 3
    for check in (check_start, lambda start: Loop(start=start)):
        with pytest.raises(InputError, match="start must be a whole number of frames"):
            check(bad)


@pytest.mark.parametrize("bad", ["zigzag", "", 5])
def test_unknown_loop(bad):
    with pytest.raises(InputError, match="loop must be one of pingpong"):
        Loop.of(bad)


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
