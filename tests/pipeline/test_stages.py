"""Stages: a clock adds up, keeps the last runs, and leaves out those that failed."""

import threading

import pytest

from lipsync_fast.pipeline.stages import Stages

MS = 1_000_000


def test_sums_and_percentiles():
    stages = Stages()
    for ms in range(1, 101):
        stages.net.add(ms * MS, frames=4)
    found = stages.stats()["net"]
    assert (found.runs, found.frames) == (100, 400)
    assert found.total_ms == pytest.approx(5050)
    assert found.p50_ms == pytest.approx(50.5)
    assert 99 <= found.p99_ms <= 100


def test_percentiles_are_of_the_last_runs_and_sums_of_all():
    stages = Stages()
    for ms in [9] * 10 + [1] * 4096:
        stages.finish.add(ms * MS, frames=1)
    found = stages.stats()["finish"]
    assert found.p99_ms == found.p50_ms == 1
    assert found.total_ms == 90 + 4096


def test_the_road_is_in_order_and_empty_at_first():
    found = Stages().stats()
    assert list(found) == ["features", "visual", "net", "finish", "write"]
    for stage in found.values():
        assert (stage.runs, stage.total_ms, stage.p50_ms, stage.p99_ms) == (0, 0, 0, 0)


def test_a_run_is_timed_and_a_failed_one_is_not():
    stages = Stages()
    with stages.write(3):
        pass
    with pytest.raises(KeyError), stages.write(5):
        raise KeyError
    found = stages.stats()["write"]
    assert (found.runs, found.frames) == (1, 3)
    assert found.total_ms > 0


def test_devices_have_clocks_of_their_own():
    stages = Stages(["a", "b"])
    stages.devices["b"].add(2 * MS, frames=8)
    found = stages.device_stats()
    assert list(found) == ["a", "b"]
    assert [s.frames for s in found.values()] == [0, 8]


def test_threads_lose_nothing():
    stages = Stages()

    def run():
        for _ in range(500):
            stages.net.add(MS, frames=1)

    workers = [threading.Thread(target=run) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found = stages.stats()["net"]
    assert (found.runs, found.frames, found.total_ms) == (4000, 4000, 4000)
