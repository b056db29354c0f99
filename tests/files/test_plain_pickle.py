"""Pickles of coordinates: what people have is read, and nothing is ever run."""

import builtins
import io
import os
import pickle
import struct
import time

import numpy as np
import pytest

from lipsync_fast.errors import FileMissingError, InputError
from lipsync_fast.files.plain_pickle import LARGEST, load_plain


@pytest.fixture
def read(tmp_path):
    """Reader of a pickle's bytes."""

    def load(data):
        (tmp_path / "coords.pkl").write_bytes(data)
        return load_plain(tmp_path / "coords.pkl")

    return load


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.parts = function, arguments

    def __reduce__(self):
        return self.parts


class Other(np.ndarray):
    """An array of a class that nobody vouches for."""


PLAIN = {
    "tuples": [(1, 2, 3, 4), (0, 255, 65536, 2**40), (-1, -300, -70000, -(2**40))],
    "lists": [[1, 2, 3, 4]] * 5,
    "scalars": [tuple(np.int64(v) for v in (3, 4, 5, 6)), (np.int32(1), np.uint8(2), 3, 4)],
    "floats": [(0.0, 0.0, 1.5, -2.25), (np.float32(1.5), np.float64(2.5), 0, 1)],
    "array": np.arange(12).reshape(3, 4),
    "columns first": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "arrays": [np.array([1, 2, 3, 4]), np.arange(4, dtype=">i4"), np.arange(4, dtype=np.uint16)],
    "no rows": np.zeros((0, 4)),
    "bool": [(True, False, np.bool_(True), 1)],
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", PLAIN.values(), ids=PLAIN)
def test_numbers_are_read(read, value, protocol):
    found = read(pickle.dumps(value, protocol))
    assert np.shape(found) == np.shape(value)
    np.testing.assert_array_equal(np.array(found, float), np.array(value, float))


def test_pickles_of_older_numpy_are_read(read):
    data = pickle.dumps([np.int64(7), np.arange(3)], 4).replace(
        b"\x8c\x16numpy._core.multiarray", b"\x8c\x15numpy.core.multiarray"
    )
    assert b"numpy._core" not in data
    framed = data[:2] + data[11:]  # the frame's length is another now
    found = read(framed)
    assert (int(found[0]), found[1].tolist()) == (7, [0, 1, 2])


def test_the_pure_pickler_is_read(read):
    file = io.BytesIO()
    pickle._Pickler(file, 2).dump([(1, 2, 3, 4)] * 30)
    assert read(file.getvalue()) == [[1, 2, 3, 4]] * 30


# ---- hostile ---------------------------------------------------------------------------------

HOSTILE = {
    "os.system": Call(os.system, "touch OWNED"),
    "eval": Call(builtins.eval, "open('OWNED', 'w')"),
    "exec in numpy's place": Call(builtins.exec, "open('OWNED', 'w')"),
    "getattr": Call(getattr, 1, "real"),
    "open": Call(open, "OWNED", "w"),
    "a call inside": [(1, 2, 3, Call(os.getcwd))],
    "object array": np.array([(1, 2), Call(os.getcwd)], object),
    "numbers as objects": np.array([1, 2, 3, 4], object),
    "structured": np.zeros(2, [("x", "i4")]),
    "text array": np.array(["a", "b"]),
    "times": np.zeros(2, "M8[s]"),
    "complex": np.zeros(4, complex),
    "masked": np.ma.zeros(4),
    "another array": np.arange(4).view(Other),
    "dict": {"x": 1},
    "set": {1, 2},
    "text": [("1", "2", "3", "4")],
    "bytes": [b"1234"],
    "bytearray": bytearray(b"1"),
    "None": [None],
    "function": len,
    "class": [int],
    "complex number": [1j],
    "exception": ValueError("x"),
    "range": range(4),
    "dtype": np.dtype("i4"),
    "slice": slice(1, 2),
}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", HOSTILE)
def test_everything_else_is_refused(read, name, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"coords\.pkl") as caught:
        read(pickle.dumps(HOSTILE[name], protocol))
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["coords.pkl"]


def test_what_is_named_is_said(read):
    for call, name in [(Call(os.system, "x"), "system"), (Call(builtins.eval, "1"), "eval")]:
        with pytest.raises(InputError, match=f"names .*{name}; a pickle may hold only lists"):
            read(pickle.dumps(call))


def test_no_module_is_imported(read, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("something was imported")

    monkeypatch.setattr(builtins, "__import__", refuse)
    try:
        with pytest.raises(InputError):
            read(b"cantigravity\nfly\n(tR.")
    finally:
        monkeypatch.undo()


def text(name):
    return b"\x8c" + bytes([len(name)]) + name


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
DTYPE = (
    b"cnumpy\ndtype\n("
    + text(b"i8")
    + b"\x89\x88tR(K\x03"
    + text(b"<")
    + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)


def array_of(shape, data):
    sides = b"".join(b"\x8a\x08" + struct.pack("<q", n) for n in shape)
    return b"\x80\x04" + ARRAY + b"(K\x01(" + sides + b"t" + DTYPE + b"\x89" + data + b"tb."


def test_the_forged_arrays_below_are_arrays(read):
    data = struct.pack("<4q", 1, 2, 3, 4)
    found = read(array_of([4], b"C" + bytes([32]) + data))
    assert found.tolist() == [1, 2, 3, 4]


BOMBS = {
    "a shape beyond memory": array_of([2**40, 2**20], b"C\x08" + b"\0" * 8),
    "a negative shape": array_of([-4, -1], b"C\x20" + b"\0" * 32),
    "many axes": array_of([1] * 60, b"C\x08" + b"\0" * 8),
    "bytes beyond the file": array_of([4], b"\x8e" + struct.pack("<Q", 2**62)),
    "a text beyond the file": b"\x80\x04\x8d" + struct.pack("<Q", 2**50) + b"x.",
    "a frame beyond the file": b"\x80\x04\x95" + struct.pack("<Q", 2**50) + b"].",
    "a far memo": b"\x80\x02]r\xff\xff\xff\xff.",
    "a memo that was never put": b"\x80\x02h\x07.",
    "tuples in tuples": b"\x80\x02)" + b"\x85" * 300_000 + b".",
    "lists in lists": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "lists in lists, late": b"\x80\x02"
    + b"".join(b"]r" + struct.pack("<I", i) for i in range(20_000))
    + b"".join(
        b"j" + struct.pack("<I", i) + b"j" + struct.pack("<I", i + 1) + b"a0"
        for i in range(19_999)
    )
    + b".",
    "a list in itself": b"\x80\x02]q\x00(h\x00K\x01K\x02K\x03e.",
    "marks": b"\x80\x02" + b"(" * 100_000 + b".",
    "a mark alone": b"(.",
    "nothing": b"",
    "no stop": b"\x80\x04]",
    "two values": b"]].",
    "no value": b".",
    "noise": bytes(range(256)) * 20,
    "append to nothing": b"a.",
    "build of nothing": b"b.",
    "call of nothing": b"R.",
    "call of a list": b"]]R.",
    "an array without its state": b"\x80\x04" + ARRAY + b".",
    "a dtype of objects": b"cnumpy\ndtype\n(" + text(b"O8") + b"\x89\x88tR.",
    "latin in another code": b"c_codecs\nencode\n(" + text(b"x") + text(b"rot13") + b"tR.",
    "a number of many digits": b"I" + b"9" * 10_000 + b"\n.",
    "a huge number": b"\x8b" + struct.pack("<i", 100_000) + b"\x01" * 100_000 + b".",
    "an extension": b"\x82\x01.",
    "a persistent id": b"Pos\n.",
    "an instance": b"(ios\nsystem\n.",
    "an object": b"(cos\nsystem\no.",
    "a new object": b"\x80\x02cos\nsystem\n)\x81.",
    "the next buffer": b"\x80\x05\x97.",
    "a dict": b"}.",
}  # fmt: skip


# These are no more than numbers in lists, told in a strange way.
STRANGE_NUMBERS = ("a far memo", "a frame beyond the file", "a list in itself", "a huge number")


@pytest.mark.parametrize("name", BOMBS)
def test_forged_files_cost_nothing(read, name):
    start = time.process_time()
    if name in STRANGE_NUMBERS:
        assert isinstance(read(BOMBS[name]), (list, int))
    else:
        with pytest.raises(InputError) as caught:
            read(BOMBS[name])
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400
    assert time.process_time() - start < 20


def test_lists_that_stand_in_many_places_are_walked_once(read):
    """A tree of 300 ** 8 leaves in a file of some kilobytes."""
    data = b"\x80\x02]q\x00"
    for i in range(7):
        data += b"](" + b"h" + bytes([i]) + (b"h" + bytes([i])) * 299 + b"eq" + bytes([i + 1])
    with pytest.raises(InputError, match="cannot be read as a pickle"):
        read(data + b".")  # the lists below are still on the stack
    start = time.process_time()
    nested = []
    for _ in range(7):
        nested = [nested] * 300
    read(pickle.dumps(nested))
    assert time.process_time() - start < 5


def test_a_large_file_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "coords.pkl"
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(InputError, match="larger than 32 MiB"):
        load_plain(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileMissingError, match="no such file"):
        load_plain(tmp_path / "coords.pkl")
    with pytest.raises(InputError, match="cannot be read"):
        load_plain(tmp_path)


def test_random_damage_never_runs_anything(read):
    rng = np.random.default_rng(0)
    good = pickle.dumps([(1, 2, 3, np.int64(4)), np.arange(4)])
    for _ in range(500):
        data = bytearray(good)
        for place in rng.integers(0, len(good), rng.integers(1, 4)):
            data[place] = rng.integers(0, 256)
        try:
            made = read(bytes(data))
        except InputError:
            continue
        assert is_plain(made)


def is_plain(made):
    if isinstance(made, list):
        return all(map(is_plain, made))
    return isinstance(made, (int, float, np.ndarray))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such pipes")
def test_a_pipe_is_refused_unread(tmp_path):
    os.mkfifo(tmp_path / "coords.pkl")
    with pytest.raises(InputError, match=r"coords\.pkl cannot be read: it is not a plain file"):
        load_plain(tmp_path / "coords.pkl")
