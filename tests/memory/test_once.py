"""What an executor still holds after a call is an empty shell."""

import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from lipsync_fast.memory.once import OneShot


class Buffer:
    pass


def test_arguments_are_gone_once_it_was_called():
    buffer = Buffer()
    held = weakref.ref(buffer)
    call = OneShot(lambda value, factor: factor * (value is held()), buffer, 3)
    del buffer
    assert held() is not None
    assert call() == 3
    assert held() is None, "the call is still at hand, and its argument too"


def test_arguments_are_gone_after_an_error():
    buffer = Buffer()
    held = weakref.ref(buffer)

    def fail(value):
        del value
        raise KeyError("no such thing")

    call = OneShot(fail, buffer)
    del buffer
    with pytest.raises(KeyError) as raised:
        call()
    assert raised.value.__traceback__ is not None, "the frames that it passed are at hand"
    assert held() is None


def test_an_executor_knows_its_result_when_they_are_gone():
    with ThreadPoolExecutor(1) as executor:
        for _ in range(200):
            buffer = Buffer()
            held = weakref.ref(buffer)
            future = executor.submit(OneShot(id, buffer))
            assert future.result() == id(buffer)
            del buffer
            assert held() is None


def test_it_is_called_once():
    call = OneShot(int)
    assert call() == 0
    with pytest.raises(AssertionError, match="called before"):
        call()
