"""Whole numbers from callers: one sentence for each that is none, or out of its range."""

import numpy as np
import pytest

from lipsync_fast.checks import check_whole
from lipsync_fast.errors import InputError


@pytest.mark.parametrize("value", [1, 5, np.int64(3), np.uint8(5), True])
def test_whole_numbers_of_every_kind_are_ints(value):
    number = check_whole("threads", value, 1, 5)
    assert type(number) is int
    assert number == value


@pytest.mark.parametrize("value", [0, 6, -(10**30), 1.5, 2.0, "2", None, [1], np.float32(2)])
def test_all_else_is_refused(value):
    with pytest.raises(InputError, match="threads must be a whole number, 1 to 5, got"):
        check_whole("threads", value, 1, 5)


def test_what_is_counted_stands_in_the_sentence():
    with pytest.raises(InputError, match=r"^n must be a whole number of frames, 2 or more, got 1$"):
        check_whole("n", 1, 2, of="frames")
    assert check_whole("n", 10**30, 2) == 10**30
