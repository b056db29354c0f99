"""`draw` of both kinds of generators: any indices of a template, in micro-batches."""

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.support.nets import exported_generator, mixing_generator, read_only
from tests.support.person import template_of, windows_of

from lipsync_fast.errors import ArgumentTypeError, DeviceMemoryError, InputError, LayoutError
from lipsync_fast.memory._pool import BufferPool
from lipsync_fast.nets.generator import Generator
from lipsync_fast.nets.opening import share_generators
from lipsync_fast.nets.resident import ResidentGenerator
from lipsync_fast.presets import get_preset

WAV2LIP = get_preset("wav2lip96")
INDICES = [[0], [3, 1, 1, 4, 0], [2] * 6, [4, 3, 2, 1, 0, 0, 1, 2, 3]]
KINDS = ["packed", "resident"]


def open_kind(kind, path, template, **options):
    if kind == "packed":
        return Generator(path, template.preset, providers=["cpu"], **options)
    preset = template.preset
    return ResidentGenerator(path, template.crops, preset, providers=["cpu"], **options)


@pytest.fixture
def template():
    return template_of(WAV2LIP)


@pytest.fixture(params=KINDS)
def net(request, tmp_path, template):
    path = mixing_generator(tmp_path / "net.onnx", WAV2LIP)
    return open_kind(request.param, path, template)


@pytest.mark.parametrize("indices", INDICES, ids=len)
@pytest.mark.parametrize("batch", ["batch", 4])
def test_packed_draws_what_infer_draws(tmp_path, template, batch, indices):
    make = mixing_generator if batch == "batch" else exported_generator
    net = open_kind("packed", make(tmp_path / "net.onnx", WAV2LIP, batch), template)
    features = windows_of(WAV2LIP, len(indices))
    made = net.draw(template, indices, features)
    visual = np.stack([template.visual(index) for index in indices])
    assert (made == net.infer(visual, features)).all()
    assert (made.shape, made.dtype) == net.output(len(indices))


@pytest.mark.parametrize("indices", INDICES, ids=len)
@pytest.mark.parametrize("batch", ["batch", 4])
def test_resident_draws_what_infer_indices_draws(tmp_path, template, batch, indices):
    make = mixing_generator if batch == "batch" else exported_generator
    net = open_kind("resident", make(tmp_path / "net.onnx", WAV2LIP, batch), template)
    features = windows_of(WAV2LIP, len(indices))
    made = net.draw(template, indices, features)
    assert (made == net.infer_indices(indices, features)).all()
    assert (made.shape, made.dtype) == net.output(len(indices))


def test_a_frame_does_not_depend_on_its_neighbours(net, template):
    features = windows_of(WAV2LIP, 9)
    made = net.draw(template, INDICES[3], features)
    for place, index in enumerate(INDICES[3]):
        alone = net.draw(template, [index], features[place : place + 1])
        assert np.abs(alone[0].astype("f8") - made[place]).max() <= 1e-4 or alone.dtype == "uint8"
        if alone.dtype == "uint8":
            assert np.abs(alone[0].astype(int) - made[place]).max() <= 1


def test_out_is_filled_and_returned(net, template):
    features = windows_of(WAV2LIP, 5)
    expected = net.draw(template, [3, 1, 1, 4, 0], features)
    out = np.zeros_like(expected)
    assert net.draw(template, [3, 1, 1, 4, 0], features, out) is out
    assert (out == expected).all()


def test_no_frames(net, template):
    made = net.draw(template, [], windows_of(WAV2LIP, 3)[:0])
    assert (made.shape, made.dtype) == net.output(0)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda i, f, o: ([0, 5, 1], f, o), InputError, "indices must be 0 to 4, got 0 to 5"),
        (lambda i, f, o: ([0, -1, 1], f, o), InputError, "got -1 to 1"),
        (lambda i, f, o: ([0.0, 1.0, 2.0], f, o), InputError, "one integer a frame"),
        (lambda i, f, o: ([[0, 1, 2]], f, o), InputError, "one integer a frame"),
        (lambda i, f, o: (i, f[:2], o), InputError, r"features must have shape \(3,1,80,16\)"),
        (lambda i, f, o: (i, f.astype("f8"), o), LayoutError, "features must be .* float32"),
        (lambda i, f, o: (i, f[..., ::-1], o), LayoutError, "features must be C-contiguous"),
        (lambda i, f, o: (i, f, o.astype("f2")), LayoutError, "out must be an array of"),
        (lambda i, f, o: (i, f, o[:2]), InputError, r"out must have shape \(3,"),
        (lambda i, f, o: (i, f, o[:, ::-1]), LayoutError, "out must be C-contiguous"),
        (lambda i, f, o: (i, f, read_only(o)), InputError, "out must be writable"),
    ],
)
def test_requests_that_cannot_be(net, template, change, error, says):
    out = np.zeros(*net.output(3))
    with pytest.raises(error, match=says):
        net.draw(template, *change([0, 1, 2], windows_of(WAV2LIP, 3), out))


def test_out_that_overlaps_the_features(net, template):
    shape, dtype = net.output(1)
    memory = np.zeros(1 << 20, np.uint8)
    out = memory[: np.dtype(dtype).itemsize * int(np.prod(shape))].view(dtype).reshape(shape)
    features = memory[: 4 * 1280].view(np.float32).reshape(1, 1, 80, 16)
    with pytest.raises(InputError, match="out must not overlap features"):
        net.draw(template, [0], features, out)


def test_a_template_of_another_preset(net):
    other = template_of(get_preset("wav2lip256"))
    says = "the template was prepared for wav2lip256, the generator .* is wav2lip96"
    with pytest.raises(InputError, match=says):
        net.for_template(other)
    with pytest.raises(InputError):
        net.draw(other, [0], windows_of(WAV2LIP, 1))


def test_one_generator_for_two_templates(net, template):
    """A packed generator draws both; there is one resident one for each, on the same session."""
    other = template_of(WAV2LIP, seed=7)
    features = windows_of(WAV2LIP, 2)
    second = net.for_template(other)
    assert second._session is net._session
    assert net.for_template(template) is net
    first_made, second_made = (
        n.draw(t, [0, 1], features).copy() for n, t in ((net, template), (second, other))
    )
    assert (first_made != second_made).any()
    if second is net:
        return
    with pytest.raises(InputError, match="holds the crops of another template; draw with"):
        net.draw(other, [0, 1], features)


@pytest.mark.parametrize("kind", KINDS)
def test_less_memory(tmp_path, template, monkeypatch, kind):
    """A micro-batch that does not fit is drawn again in smaller ones, with the same pictures."""
    net = open_kind(kind, mixing_generator(tmp_path / "net.onnx", WAV2LIP), template)
    features = windows_of(WAV2LIP, 9)
    expected = net.draw(template, INDICES[3], features)
    real, sizes = net._run_bound, []

    def cramped(binding, feeds, output, out, *rest):
        sizes.append(len(out))
        if len(out) > 2:
            raise DeviceMemoryError(f"net.onnx: no memory for {len(out)} frames at once")
        real(binding, feeds, output, out, *rest)

    monkeypatch.setattr(net, "_run_bound", cramped)
    made = net.draw(template, INDICES[3], features)
    assert np.abs(made.astype("f8") - expected).max() <= (1 if made.dtype == "uint8" else 1e-4)
    assert sizes == [4, 2, 2, 2, 2, 1]


def test_the_visual_inputs_of_one_micro_batch_are_held(tmp_path, template):
    pool = BufferPool()
    path = mixing_generator(tmp_path / "net.onnx", WAV2LIP)
    net = open_kind("packed", path, template, pool=pool)
    assert net.micro_batch == 4
    net.draw(template, [0] * 4, windows_of(WAV2LIP, 4), np.empty(*net.output(4)))
    held = pool.stats().misses
    net.draw(template, [0] * 40, windows_of(WAV2LIP, 40), np.empty(*net.output(40)))
    assert pool.stats().misses == held
    assert pool.stats().lent == 0


class Clock:
    """Records the work that it times."""

    def __init__(self):
        self.seen = []

    def visual(self, frames):
        return self._timed("visual", frames)

    def net(self, frames):
        return self._timed("net", frames)

    def _timed(self, name, frames):
        clock = self

        class Timed:
            def __enter__(self):
                clock.seen.append((name, frames))

            def __exit__(self, *exc):
                pass

        return Timed()


def test_the_clock_sees_both_stages(net, template):
    clock = Clock()
    net.draw(template, [0, 1, 2, 3, 4], windows_of(WAV2LIP, 5), clock=clock)
    if net.output(1)[1] == "float32":
        assert clock.seen == [("visual", 4), ("net", 4), ("visual", 1), ("net", 1)]
    else:
        assert clock.seen == [("net", 5)]


def test_what_is_no_generator(template):
    for given in (3, None, [template]):
        with pytest.raises(ArgumentTypeError, match="generator must be of type Generator or"):
            share_generators(given, template)
