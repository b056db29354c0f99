"""match: measuring and matching a picture's colours, beside NumPy's least squares."""

import numpy as np
import pytest

from benchmarks.support.extra import time_it
from lipsync_fast import kernels

VIEW, RING = 320, 10
PLANES = np.array([[5.0, -4.0, 3.0], [0.010, 0.020, 0.010], [0.0, 0.010, -0.010]])
MEASURE = f"colour planes of a ring of {RING} px, {VIEW}x{VIEW}"
MOVE = f"colour planes added to {VIEW}x{VIEW}"


@pytest.fixture(scope="module")
def pictures():
    background = np.random.default_rng(5).integers(60, 190, (VIEW, VIEW, 3), np.uint8)
    return kernels.match_colour(background, -PLANES), background


def terms():
    u = 2 * np.arange(VIEW) - (VIEW - 1)
    inside = np.ones((VIEW, VIEW), bool)
    inside[RING:-RING, RING:-RING] = False
    y, x = np.nonzero(inside)
    return inside, np.stack([np.ones(len(x)), u[x], u[y]], axis=1)


@pytest.mark.benchmark(group=MEASURE)
def test_measure(benchmark, pictures):
    found = kernels.colour_planes(*pictures, ring=RING)
    np.testing.assert_allclose(found[0], PLANES[0], atol=0.1)
    time_it(benchmark, lambda: kernels.colour_planes(*pictures, ring=RING))


@pytest.mark.benchmark(group=MEASURE)
def test_measure_numpy(benchmark, pictures):
    patch, background = pictures
    inside, places = terms()

    def solve():
        difference = background[inside].astype(float) - patch[inside]
        return np.linalg.lstsq(places, difference, rcond=None)[0]

    np.testing.assert_allclose(solve(), kernels.colour_planes(*pictures, ring=RING), atol=1e-6)
    time_it(benchmark, solve)


@pytest.mark.benchmark(group=MOVE)
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("isa", kernels.available_isas())
def test_move(benchmark, pictures, isa, channels):
    patch, background = pictures
    if channels == 4:
        patch = np.concatenate([patch, patch[..., :1]], axis=2)
    out = np.empty_like(patch)
    kernels.match_colour(patch, PLANES, out, isa=isa)
    assert np.abs(out[..., :3].astype(int) - background).max() <= 1
    time_it(
        benchmark, lambda: kernels.match_colour(out, PLANES, out, isa=isa), touched=2 * out.nbytes
    )
