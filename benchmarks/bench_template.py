"""Opening a template of 523 frames at 1080p, and the memory that serving all of it takes."""

import subprocess
import sys

import cv2
import pytest

from benchmarks.support import scenery
from benchmarks.support.extra import is_timed, time_it
from lipsync_fast.compositing import Compositor
from lipsync_fast.templates import Template

QUICK = (48, 320, 180)  # frames, width, height if nothing is timed
FULL = (523, 1920, 1080)


@pytest.fixture(scope="module")
def shape(pytestconfig):
    return FULL if is_timed(pytestconfig) else QUICK


@pytest.fixture(scope="module")
def folder(shape, tmp_path_factory):
    count, width, height = shape
    path = tmp_path_factory.mktemp("template") / "t"
    rects = scenery.drifting_rects(count, width, height)
    scenery.write_template(path, scenery.photos(count, width, height), rects)
    return path


@pytest.mark.benchmark(group="open a template")
def test_open(benchmark, folder, shape):
    with Template.open(folder) as template:
        assert (template.count, template.width, template.height) == shape
        assert template.stored == ("jpeg", "i420")

    time_it(benchmark, lambda: Template.open(folder).close())


@pytest.fixture(scope="module")
def pictures(shape, tmp_path_factory):
    """Write the same frames as JPEG files, like other systems."""
    path = tmp_path_factory.mktemp("pictures")
    for i, frame in enumerate(scenery.photos(*shape)):
        cv2.imwrite(str(path / f"{i:04d}.jpg"), frame)
    return path


@pytest.mark.benchmark(group="open a template")
def test_peer_open(benchmark, pictures, shape):
    """Do as LiveTalking: read every picture before the first frame."""

    def read():
        return [cv2.imread(str(path)) for path in sorted(pictures.iterdir())]

    frames = benchmark.pedantic(read, rounds=1)
    assert len(frames) == shape[0]
    assert frames[0].shape == (shape[2], shape[1], 3)


@pytest.mark.benchmark(group="first use of a format")
@pytest.mark.parametrize("format", ["jpeg", "i420"])
def test_first_use(benchmark, folder, format):
    def canvas():
        with Template.open(folder) as template, Compositor(template, threads=1) as compositor:
            return compositor.canvas(format).shape

    assert canvas()[0] > 0
    time_it(benchmark, canvas)


@pytest.mark.benchmark(group="serve a whole template in a fresh process")
@pytest.mark.parametrize("format", ["jpeg", "i420"])
def test_private_memory(benchmark, folder, shape, format):
    command = [sys.executable, "-m", "benchmarks.support.scenery", "serve", str(folder), format]
    answers = []

    def serve():
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        answers.append(int(done.stdout.split()[1]))

    benchmark.pedantic(serve, rounds=1)
    count, width, height = shape
    benchmark.extra_info["private MB"] = round(answers[-1] / 1e6, 1)
    if shape == FULL:
        assert answers[-1] <= count * width * height * 4 // 10
    else:
        assert answers[-1] > 0
