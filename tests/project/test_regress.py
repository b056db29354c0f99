"""benchmarks/regress: its verdicts, its repeated looks, and that it notices a delay."""

import sys
from pathlib import Path

import pytest

HELD = {"blocks": 5, "bytes": 1641, "large": 0, "misses": 0}
CPU, RUNTIME = "c, vendor family 1", "CPython 3.11, NumPy 2.4, libjpeg-turbo 3.1.2"


@pytest.fixture(scope="module")
def regress():
    pytest.importorskip("cv2")
    return pytest.importorskip("benchmarks.regress.__main__", reason="benchmarks/ is not here")


@pytest.fixture
def judge(regress):
    def make(cpu=CPU, runtime=RUNTIME):
        names = regress.CASES
        baseline = {
            "ratios": {CPU: dict.fromkeys(names, 0.5)},
            "memory": {RUNTIME: dict.fromkeys(names, HELD)},
        }
        return regress.Judge(baseline, cpu, runtime)

    return make


@pytest.mark.parametrize(
    ("ratio", "more", "says"),
    [
        (0.57, {}, []),
        (0.1, {"blocks": 4}, []),
        (0.58, {}, ["1.16 times the baseline's ratio"]),
        (0.5, {"blocks": 6}, ["blocks 6 > 5"]),
        (0.5, {"bytes": 1642}, ["bytes 1642 > 1641"]),
        (0.5, {"large": 1, "misses": 2}, ["large 1 > 0", "misses 2 > 0"]),
    ],
)
def test_what_is_worse(judge, ratio, more, says):
    assert judge().complaints("convert", ratio, HELD | more) == says


def test_another_processor_is_only_reported(judge):
    assert judge(cpu="c, vendor family 2").complaints("convert", 5.0, HELD) == []


def test_another_python_still_must_not_miss(judge):
    other = judge(runtime="CPython 3.14, NumPy 2.4, libjpeg-turbo 3.1.2")
    more = HELD | {"blocks": 9, "bytes": 9999, "misses": 1}
    assert other.complaints("convert", 0.5, more) == ["misses 1 > 0"]


class Given:
    """Measurements of processes with the given results, one ratio for each process."""

    def __init__(self, regress, ratios, held=HELD):
        self.regress, self.ratios = regress, ratios
        self.real = regress.Measurements(Path("nowhere"))
        self.found, self.held, self.measured = self.real.found, held, []

    def add(self, names):
        self.measured.append(list(names))
        for name in names:
            at = len(self.found[name])
            ratio = self.ratios.get(name, [0.5])
            self.found[name].append(self.held | {"ratio": ratio[at % len(ratio)]})

    def ratio(self, name):
        return self.real.ratio(name)

    def counts(self, name):
        return self.real.counts(name)


def test_one_slow_process_is_not_believed(regress, judge):
    given = Given(regress, {"convert": [0.9, 0.5, 0.5]})
    assert regress.compare(given, judge()) == {}
    assert len(given.measured) == regress.LOOKS[0]


def test_a_doubtful_case_is_measured_again_alone(regress, judge):
    given = Given(regress, {"convert": [0.9, 0.9, 0.5, 0.5, 0.5]})
    assert regress.compare(given, judge()) == {}
    assert given.measured[regress.LOOKS[0] :] == [["convert"], ["convert"]]


def test_a_case_that_stays_slow_is_worse(regress, judge):
    given = Given(regress, {"convert": [0.6]})
    assert list(regress.compare(given, judge())) == ["convert"]
    assert len(given.found["convert"]) == regress.LOOKS[-1]
    assert len(given.found["mel of 10 s"]) == regress.LOOKS[0]


def test_a_block_too_many_is_worse(regress, judge):
    given = Given(regress, {}, HELD | {"blocks": 6})
    assert set(regress.compare(given, judge())) == set(regress.CASES)


def test_a_process_measures_what_it_is_asked_for(regress, tmp_path):
    pytest.importorskip("memray")
    regress.write_templates(tmp_path)
    measured = regress.Measurements(tmp_path)
    measured.add(["resize area", "in place i420"])
    assert [name for name, found in measured.found.items() if found] == [
        "in place i420",
        "resize area",
    ]
    for name in ("resize area", "in place i420"):
        assert measured.ratio(name) > 0
        assert measured.counts(name)["large"] == measured.counts(name)["misses"] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the baseline's processor is told by /proc")
def test_the_baseline_knows_every_case(regress):
    import json

    baseline = json.loads(regress.BASELINE.read_text("utf-8"))
    for kind in ("ratios", "memory"):
        assert baseline[kind]
        for held in baseline[kind].values():
            assert set(held) == set(regress.CASES)
