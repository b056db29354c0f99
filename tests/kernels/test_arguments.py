"""A code from C that our own checks should have prevented raises KernelBug."""

import ctypes

import pytest

from lipsync_fast.errors import InputError, KernelBug
from lipsync_fast.kernels import _arguments


def exported(name, *types):
    """A C function of the compiled module, as the other modules call it."""
    capsule = _arguments.__pyx_capi__[name]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    pointer = api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
    return ctypes.PYFUNCTYPE(*types)(pointer)


def test_a_code_that_checks_should_have_caught_is_our_own_bug():
    check = exported("check", ctypes.c_int, ctypes.c_int)
    assert check(0) == 0
    with pytest.raises(KernelBug, match=r"a kernel returned code 2 .* report this") as caught:
        check(2)
    assert isinstance(caught.value, RuntimeError)
    assert not isinstance(caught.value, (ValueError, InputError))
