"""The report of `lipsync-fast bench`: tables as text, tables and plots as HTML or PNG."""

from __future__ import annotations

import base64
import html
import io
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from .. import demo, kernels
from .._version import __version__
from ..checks import check_int
from ..compositing.compositor import MOST_THREADS
from ..errors import InputError, MediaError, MissingExtraError
from ..files.part import atomic_write
from ..files.targets import check_file
from ..kernels import _jpeg
from ..nets.net import Net
from ..pipeline.pipeline import Pipeline
from ..presets import fit_preset
from ..templates.template import Template
from . import need
from .measure import OURS, Line, measure_peers, measure_pipeline
from .scenes import drifting_rects, photos, write_template

__all__ = ["Report", "check_report", "run_benchmark"]

Progress = Callable[[int, int | None], None]

_FRAMES = 75  # frames of the drawn template, used if none is given
_OURS, _THEIRS = "#1b6ca8", "#b8bcc2"
_FINISHED = ("encoded frame", "packed frame", "I420 frame")
_ROAD = "whole road"


@dataclass(frozen=True)
class Report:
    """The measurements, and the machine that they were made on.

    Attributes
    ----------
    facts : dict of str to str
        The machine, the versions, the ISA and the provider, the template and the model.
    lines : list of Line
        In the order of measurement; lines of one stage were timed in turn.
    """

    facts: dict[str, str]
    lines: list[Line]

    def stages(self) -> Iterator[tuple[str, list[Line]]]:
        """Yield the lines by stage, in order."""
        for stage in dict.fromkeys(line.stage for line in self.lines):
            yield stage, [line for line in self.lines if line.stage == stage]

    def summary(self) -> list[str]:
        """Return the main results, a sentence each."""
        said = []
        stages = dict(self.stages())
        for stage in _FINISHED:
            theirs = [line for line in stages.get(stage, []) if not line.ours]
            if theirs:
                ours = min(
                    (line for line in stages[stage] if line.ours),
                    key=lambda line: line.timing.cpu_ms,
                )
                best = min(theirs, key=lambda line: line.timing.cpu_ms)
                said.append(
                    f"{stage}: {ours.timing.cpu_ms:.3f} ms of one core; {best.who}, the fastest "
                    f"of the others, takes {best.times(ours):.1f} times as long"
                )
        for stage, lines in stages.items():
            if stage.startswith(_ROAD):
                rates = [f"{_rate(x)} in {x.who.removeprefix(f'{OURS}, ')}" for x in lines]
                said.append(f"{stage}, frames a second: {'; '.join(rates)}")
        return said

    def markdown(self) -> str:
        """Return facts, summary and tables as Markdown."""
        parts = ["".join(f"- {name}: {value}\n" for name, value in self.facts.items())]
        parts.append("".join(f"- {sentence}\n" for sentence in self.summary()))
        for stage, lines in self.stages():
            rows = [_HEAD, [_dash(head) for head in _HEAD]]
            rows += [_cells(line, lines[0]) for line in lines]
            table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
            parts.append(f"**{stage}**\n\n{table}\n")
        return "\n".join(parts)

    def text(self) -> str:
        """Return the same, aligned for a terminal."""
        parts = ["\n".join(f"{name:10} {value}" for name, value in self.facts.items())]
        parts.append("\n".join(self.summary()))
        for stage, lines in self.stages():
            rows = [[stage, *_HEAD[1:]], *(_cells(line, lines[0]) for line in lines)]
            widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
            parts.append("\n".join(_aligned(row, widths) for row in rows))
        return "\n\n".join(parts)

    def save(self, path: str | Path) -> None:
        """Write the report: ``.html`` with tables and plots, ``.png`` with the plots alone.

        Raises
        ------
        InputError
            The name has another ending.
        MediaError, FileMissingError
            The file cannot be written.
        MissingExtraError
            matplotlib is not installed.
        """
        target = check_report(path)
        plots = draw_plots(self)
        data = plots if target.suffix.lower() == ".png" else _page(self, plots).encode()
        try:
            with atomic_write(target) as part:
                part.write_bytes(data)
        except OSError as error:
            raise MediaError(f"{target} cannot be written: {error.strerror}") from None


def check_report(path: str | Path) -> Path:
    """Return the path of a report to write, an .html or .png; see `check_file`.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    target = check_file(path, MediaError, (".html", ".png"))
    need("matplotlib")
    return target


def run_benchmark(
    template: str | Path | None = None,
    generator: str | Path | None = None,
    audio_encoder: str | Path | None = None,
    *,
    threads: int | None = None,
    rounds: int = 20,
    progress: Progress | None = None,
) -> Report:
    """Measure each stage on this machine, ours and the peers'.

    Parameters
    ----------
    template : str or Path, optional
        A folder that `prepare` made; by default 75 photo-like 1080p frames.
    generator, audio_encoder : str or Path, optional
        ONNX files. By default the demo's tiny models if the template is of their family, whose
        figures say little about real models. Without a model that fits, or without ONNX
        Runtime, requests are not measured.
    threads : int, optional
        Threads of the compositor in whole requests, as in `Pipeline`; single stages use one.
    rounds : int
        Samples of each line.
    progress : callable, optional
        Called with the number of finished lines, and None.

    Raises
    ------
    MissingExtraError
        The extra `bench` is not installed.
    LipsyncError
        The template or a model cannot be opened, or they do not fit each other.
    """
    _check_arguments(template, generator, audio_encoder, threads, rounds)
    lines: list[Line] = []
    with ExitStack() as stack:
        opened = stack.enter_context(_open_template(template))
        pipeline = _open_pipeline(opened, generator, audio_encoder, threads)
        facts = _facts(opened, pipeline, generator)
        measured = [measure_peers(opened, rounds)]
        if pipeline is not None:
            stack.enter_context(pipeline)
            measured.append(measure_pipeline(pipeline, rounds))
        for source in measured:
            for line in source:
                lines.append(line)
                if progress:
                    progress(len(lines), None)
    return Report(facts, lines)


def _check_arguments(
    template: str | Path | None,
    generator: str | Path | None,
    audio_encoder: str | Path | None,
    threads: int | None,
    rounds: int,
) -> None:
    """Raise for what would be refused after minutes of drawing, or not be heard of."""
    check_int("rounds", rounds, 1)
    if threads is not None:
        check_int("threads", threads, 1, MOST_THREADS)
    if generator is None:
        if audio_encoder is not None:
            raise InputError(
                "audio_encoder (--audio-encoder) is for a generator of your own (--generator): "
                "give both, or leave it out"
            )
        return
    if audio_encoder is not None:
        Net(audio_encoder, providers=["cpu"])
    found = fit_preset(Net(generator, providers=["cpu"]).input_shapes) if template is None else None
    if found is not None and found.name != demo.PRESET:
        raise InputError(
            f"{generator} is {found.name}, and the frames drawn here are for {demo.PRESET}: give a "
            f"template of {found.name} (--template) as well"
        )


@contextmanager
def _open_template(path: str | Path | None) -> Iterator[Template]:
    if path is not None:
        with Template.open(path) as opened:
            yield opened
        return
    with tempfile.TemporaryDirectory(prefix="lipsync_fast-bench-") as folder:
        target = Path(folder) / "template"
        write_template(
            target, photos(_FRAMES), drifting_rects(_FRAMES), store=("jpeg", "i420", "bgr24")
        )
        with Template.open(target) as opened:
            yield opened


def _open_pipeline(
    template: Template,
    generator: str | Path | None,
    audio_encoder: str | Path | None,
    threads: int | None,
) -> Pipeline | None:
    if generator is not None:
        if template.preset.features == "ave" and audio_encoder is None:
            audio_encoder = demo.AUDIO_ENCODER  # never run, since features are given
        return Pipeline.open(template, generator, audio_encoder, threads=threads)
    if template.preset.name != demo.PRESET:
        return None
    try:
        return Pipeline.open(template, demo.GENERATOR, demo.AUDIO_ENCODER, threads=threads)
    except MissingExtraError:
        return None


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _load() -> dict[str, str]:
    """Return the load before the measurement: other programs lengthen p50 and p99."""
    if not hasattr(os, "getloadavg"):
        return {}
    return {"load": f"{os.getloadavg()[0]:.1f} before the measurement"}


def _facts(
    template: Template, pipeline: Pipeline | None, generator: str | Path | None
) -> dict[str, str]:
    facts = {
        "version": f"lipsync_fast {__version__}, {_jpeg.LIBRARY}, Python "
        f"{platform.python_version()}",
        "machine": f"{_cpu()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "ISA": kernels.ISA,
        **_load(),
        "template": f"{template.count} frames of {template.width}×{template.height}, "
        f"{template.preset.name}, stores {', '.join(template.stored)}",
    }
    rects = template.rects[template.rects[:, 2] > 0]
    if len(rects):
        facts["mouths"] = f"{rects[:, 2].min()}–{rects[:, 2].max()} px wide"
    if pipeline is None:
        facts["model"] = "none; give --generator to measure whole requests"
    else:
        name = "the demo's, a drawing" if generator is None else Path(generator).name
        facts["model"] = f"{name}, on {pipeline.generator.provider}"
        facts["threads"] = f"{pipeline.compositor.threads} in whole requests, else 1"
    return facts


# ---- tables ------------------------------------------------------------------------------

_HEAD = [
    "", "p50 ms", "p99 ms", "processor ms", "frames a second", "times ours", "MB allocated",
    "large blocks",
]  # fmt: skip


def _rate(line: Line) -> str:
    return f"{line.fps:.0f}" if line.fps >= 10 else f"{line.fps:.1f}"


def _cells(line: Line, first: Line) -> list[str]:
    held, large = line.bytes, line.large
    return [
        line.who,
        f"{line.timing.median_ms:.3f}",
        f"{line.timing.percentile_ms(99):.3f}",
        f"{line.timing.cpu_ms:.3f}" if line.alone else "",
        _rate(line),
        "" if line.ours else f"{line.times(first):.1f}×",
        "" if held is None else f"{held / 1e6:.3f}",
        "" if large is None else f"{large:.1f}",
    ]


def _dash(head: str) -> str:
    return "---:" if head else "---"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join([first, *others])


# ---- plots -------------------------------------------------------------------------------


def draw_plots(report: Report) -> bytes:
    """Draw time and bytes of finished frames, and frames a second; return a PNG file."""
    need("matplotlib").use("agg")
    plt = need("matplotlib.pyplot")
    stages = dict(report.stages())
    frames = [s for s in _FINISHED if s in stages]
    whole = [line for s in stages if s.startswith(_ROAD) for line in stages[s]]
    heights = [len(stages[s]) + 2.5 for s in frames] + [len(whole) / 2 + 2.5] * bool(whole)
    figure, axes = plt.subplots(
        len(heights), 2, figsize=(12, 0.27 * sum(heights)), squeeze=False, layout="constrained",
        height_ratios=heights,
    )  # fmt: skip
    for row, stage in zip(axes, frames, strict=False):
        _bars(row[0], stages[stage], f"{stage}: ms of processor time, and times ours")
        _blocks(row[1], stages[stage], f"{stage}: MB allocated")
    if whole:
        for axis, net, what in zip(
            axes[-1], (False, True), ("without model", "with model"), strict=True
        ):
            _rates(axis, [x for x in whole if x.who.endswith(", model") == net], what)
    figure.suptitle(f"{report.facts['machine']} · {report.facts['ISA']}", fontsize=11)
    drawn, file = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=80)
    plt.close(figure)
    # A palette makes the file a third as large; bars and letters need no more colours.
    Image.open(drawn).convert("RGB").quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()


def _bars(axis: Any, lines: list[Line], title: str) -> None:
    values = [line.timing.cpu_ms for line in lines]
    shown = [
        f"{v:.2f}" + ("" if line.ours else f"   {line.times(lines[0]):.0f}×")
        for v, line in zip(values, lines, strict=True)
    ]
    _draw(axis, [line.who for line in lines], lines, values, shown, title)
    if max(values) > 20 * min(values):  # the short bars would vanish beside the long ones
        axis.set_xscale("log")
        axis.set_xlim(min(values) / 3, max(values) * 10)
    else:
        axis.set_xlim(right=max(values) * 1.4)


def _blocks(axis: Any, lines: list[Line], title: str) -> None:
    values = [(line.bytes or 0) / 1e6 for line in lines]
    shown = [f"{v:.2f}" if v >= 0.005 else "0" for v in values]
    _draw(axis, [line.who for line in lines], lines, values, shown, title)
    axis.set_xlim(right=max(max(values), 0.01) * 1.2)


def _rates(axis: Any, lines: list[Line], what: str) -> None:
    names = [f"{line.stage.split(', ')[1]}, {line.who.split(', ')[1]}" for line in lines]
    values = [line.fps for line in lines]
    shown = [f"{_rate(line)}   p99 {line.timing.percentile_ms(99):.2f} ms" for line in lines]
    _draw(axis, names, lines, values, shown, f"{_ROAD}, {what}: frames a second")
    axis.set_xlim(right=max(values, default=1.0) * 1.6)


def _draw(
    axis: Any, names: list[str], lines: list[Line], values: list[float], shown: list[str],
    title: str,
) -> None:  # fmt: skip
    """Draw one bar a line, in the order of the table."""
    bars = axis.barh(names, values, color=[_OURS if line.ours else _THEIRS for line in lines])
    axis.bar_label(bars, shown, padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.set_title(title, loc="left", fontsize=10)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


# ---- page --------------------------------------------------------------------------------

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;margin:.5em 0 2em}td,th{padding:.15em .8em;text-align:right}
td:first-child,th:first-child{text-align:left}tr{border-bottom:1px solid #ddd}
tr.ours{color:#1b6ca8;font-weight:600}img{max-width:100%}dt{float:left;width:7em;color:#666}"""


def _page(report: Report, plots: bytes) -> str:
    def row(cells: Sequence[str], tag: str, kind: str = "") -> str:
        inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
        return f"<tr{kind}>{inner}</tr>"

    facts = "".join(
        f"<dt>{html.escape(n)}</dt><dd>{html.escape(v)}</dd>" for n, v in report.facts.items()
    )
    tables = []
    for stage, lines in report.stages():
        rows = [row([stage, *_HEAD[1:]], "th")]
        for line in lines:
            rows.append(row(_cells(line, lines[0]), "td", ' class="ours"' if line.ours else ""))
        tables.append(f"<table>{''.join(rows)}</table>")
    image = base64.b64encode(plots).decode("ascii")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>lipsync_fast bench</title>'
        f"<style>{_STYLE}</style><h1>lipsync_fast bench</h1><dl>{facts}</dl>"
        f"<ul>{''.join(f'<li>{html.escape(x)}</li>' for x in report.summary())}</ul>"
        f'<img alt="plots" src="data:image/png;base64,{image}">{"".join(tables)}</html>\n'
    )
