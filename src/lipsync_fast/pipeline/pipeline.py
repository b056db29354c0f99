"""Pipeline: speech, template and nets in, frames out; it wires the rest together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import media
from ..audio.lite_avatar import Neutral, neutral_pose
from ..audio.silence import SILENCE
from ..checks import check_int, check_type
from ..compositing import ColourSmoother, Compositor, CompositorStats, Frame, Frames
from ..errors import InputError, MediaError
from ..files.targets import check_file, check_new_folder
from ..memory._pool import BufferPool, PoolStats
from ..memory.once import OneShot
from ..nets.encoders import ROW_ENCODERS, AudioEncoder, RowEncoder
from ..nets.opening import OPENS, AnyGenerator, open_generators, share_generators
from ..nets.options import DeviceOptions, Provider
from ..templates.template import Template
from ..timing import Loop
from .inference import Inference, NetOutputs, device_names
from .speech import Features, Request, Speech, SpeechFeatures
from .stages import Stages, StageStats

__all__ = ["Pipeline", "PipelineStats"]

REQUEST = 8  # frames of one request: few enough for a short wait, enough to fill the threads

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class PipelineStats:
    """What `Pipeline.stats` tells.

    Attributes
    ----------
    stages : dict of str to StageStats
        In the order of the road: features, visual, net, finish, write. The net works on the
        next request while one is finished and written, so they overlap.
    devices : dict of str to StageStats
        The requests that each device drew.
    pool : PoolStats
    compositor : CompositorStats
    """

    stages: dict[str, StageStats]
    devices: dict[str, StageStats]
    pool: PoolStats
    compositor: CompositorStats


class Pipeline:
    """A template with its nets, ready to speak.

    Several threads may call `composite`; `frames` and `render` may run side by side, each
    with its own speech.

    Parameters
    ----------
    template : Template
    generator : Generator or ResidentGenerator, or a sequence of them
        One for each device that requests are spread over. Pipelines may share them: each takes
        what was opened for another template over to its own.
    audio_encoder : AudioEncoder, HubertEncoder or WenetEncoder, optional
        Makes the features of speech where the preset hears "ave", "hubert" or "wenet"; not
        needed where they are given.
    request : int
        Frames that are asked for at once.
    threads : int, optional
        Threads of the compositor; the machine's cores by default, at most 8.
    pool : BufferPool, optional
        Memory of all buffers on the frame path; a pool of its own by default.
    colour_match : bool
        Move the colours of every mouth to those round it, smoothed over each speech; see
        `Compositor`. No reference does that.
    silence : {"closed", "background", "net"}, optional
        What is shown while nobody speaks, which energy alone decides. "closed": the mouth as the
        net closes it; it hears digital silence there instead of noise and breath (`NoiseGate`).
        "background": the film itself, the mouth being faded out and in (`SilenceFades`), also at
        both ends of the speech, so that it can stand between films; silent frames do not reach the
        net. That is for films with a closed mouth. "net": what the net makes of the sound as it
        is, which is what the references do. By default "background" for presets with
        "params", whose films have a closed mouth, and else "closed".
    neutral : str, Path or (32,) numbers, optional
        The person's closed mouth for presets with "params"; see `LiteAvatarDriver`.

    Raises
    ------
    ArgumentTypeError
        An argument of the wrong type; `open` takes paths.
    InputError
        A value out of range, or parts that do not fit each other.
    """

    def __init__(
        self,
        template: Template,
        generator: AnyGenerator | Sequence[AnyGenerator],
        audio_encoder: AudioEncoder | RowEncoder | None = None,
        *,
        request: int = REQUEST,
        threads: int | None = None,
        pool: BufferPool | None = None,
        colour_match: bool = False,
        silence: str | None = None,
        neutral: Neutral | None = None,
    ) -> None:
        _check_match(template)
        request = check_int("request", request, 1, unit="frames")
        by_rule = template.preset.features == "params"
        if neutral is not None and not by_rule:
            raise InputError(
                "a neutral pose is for presets that hear params, which "
                f"{template.preset.name} does not; leave it out"
            )
        self.silence = ("background" if by_rule else "closed") if silence is None else silence
        if self.silence not in SILENCE:
            raise InputError(f"silence must be one of {', '.join(SILENCE)}, got {silence!r}")
        self._neutral = None if neutral is None else neutral_pose(neutral)
        nets = share_generators(generator, template)
        _check_encoder(audio_encoder)
        if pool is not None:
            check_type("pool", pool, BufferPool)
        self.template, self.audio_encoder = template, audio_encoder
        self.generators = tuple(nets)
        self.request = request
        self.pool = BufferPool() if pool is None else pool
        self.stages = Stages(device_names(self.generators))
        self.inference = Inference(template, self.generators, self.pool, self.stages)
        self.compositor = Compositor(
            template, threads=threads, pool=self.pool, colour_match=colour_match
        )

    @classmethod
    def open(
        cls,
        template: str | Path | Template,
        generator: str | Path | AnyGenerator | Sequence[AnyGenerator],
        audio_encoder: str | Path | AudioEncoder | RowEncoder | None = None,
        *,
        providers: Sequence[Provider] | None = None,
        devices: Sequence[int] | None = None,
        options: DeviceOptions | None = None,
        threads: int | None = None,
        request: int = REQUEST,
        border: int | None = None,
        label: bool | None = None,
        colour_match: bool = False,
        silence: str | None = None,
        neutral: Neutral | None = None,
        loop: str | None = None,
        start: int | None = None,
    ) -> Pipeline:
        """Open a template folder and its nets.

        Parameters
        ----------
        template : str, Path or Template
            A folder that `prepare` made, or a template at hand.
        generator, audio_encoder : path, or an open net
            ONNX files; the encoder is for presets with "ave", "hubert" or "wenet" features. The
            template is put into the generator where that is possible (extra `models`), which then
            takes frame indices and gives pictures; else its visual inputs are packed for each
            frame. What another pipeline has open (`generators`, `audio_encoder`) is shared with it.
        providers : list, optional
            ONNX Runtime providers in order; CUDA where it works and else the CPU by default.
        devices : sequence of int, optional
            Numbers of CUDA devices that requests are spread over.
        options : DeviceOptions, optional
            How nets run on a device.
        threads, request, colour_match, silence, neutral : see `Pipeline`
        loop, start : optional
            Override the template's; see `Template.looped`.
        border, label : see `Template.open`
            Only with a folder.

        Raises
        ------
        FileMissingError, TemplateError, ModelError, InputError, LayoutError, MissingExtraError
        DeviceMemoryError
        """
        if not isinstance(template, Template):
            template = Template.open(template, border=border, label=label)
        elif border is not None or label is not None:
            raise InputError(
                "border and label are said where a template is opened or made; "
                "give its folder, or leave them out"
            )
        if options is not None:
            check_type("options", options, DeviceOptions)
        if not isinstance(audio_encoder, (str, Path)):
            _check_encoder(audio_encoder)
        opened = template.looped(Loop(loop, start))
        nets = open_generators(
            generator, opened, providers=providers, devices=devices, options=options
        )
        if isinstance(audio_encoder, (str, Path)):
            kind = ROW_ENCODERS.get(opened.preset.features, AudioEncoder)
            audio_encoder = kind(audio_encoder, providers=providers, options=nets[0].options)
        return cls(
            opened,
            nets,
            audio_encoder,
            request=request,
            threads=threads,
            colour_match=colour_match,
            silence=silence,
            neutral=neutral,
        )

    def close(self) -> None:
        """End the compositor's threads and let go of the template's files."""
        self.compositor.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def stats(self) -> PipelineStats:
        """Where the time went, and what the memory did, since the pipeline was opened."""
        return PipelineStats(
            self.stages.stats(),
            self.stages.device_stats(),
            self.pool.stats(),
            self.compositor.stats(),
        )

    @property
    def generator(self) -> AnyGenerator:
        """The generator on the first device."""
        return self.generators[0]

    # ---- one request -------------------------------------------------------------------

    def composite(
        self,
        features: NDArray[np.float32],
        start: int = 0,
        *,
        format: str = "bgr24",
        quality: int | None = None,
        alphas: ArrayLike | None = None,
        smoother: ColourSmoother | None = None,
    ) -> Frames:
        """Finish one request: feature windows in, frames out.

        Parameters
        ----------
        features : (N, *audio_shape) float32
            One feature window for each frame.
        start : int
            Number of the first frame; with the template's loop it says which backgrounds
            are shown.
        format, quality, smoother : see `Compositor.composite`
        alphas : (N,) integers, 0 to 255, optional
            Fade of each frame's mouth; 255 by default. Where it is 0 the net is not asked and the
            background is shown alone.

        Returns
        -------
        Frames
            Leases; use it as a context manager to give them all back.
        """
        return self._finish(self.inference.run(features, start, alphas), format, quality, smoother)

    def _finish(
        self, request: NetOutputs, format: str, quality: int | None, smoother: ColourSmoother | None
    ) -> Frames:
        with self.stages.finish(len(request.indices)):
            return self.compositor.composite(
                request.outputs,
                request.indices,
                format=format,
                quality=quality,
                start=request.start,
                alphas=request.alphas,
                smoother=smoother,
            )

    # ---- whole speeches ----------------------------------------------------------------

    def frames(
        self,
        speech: Speech | None,
        *,
        features: Features | None = None,
        format: str = "bgr24",
        quality: int | None = None,
    ) -> Iterator[Frame]:
        """Frames of a speech, one after the other, as soon as they can be made.

        The net works on the next request while frames of this one are finished and used.

        Parameters
        ----------
        speech : path, (n,) float32 samples, an iterable of such chunks, or None
            Sound file, or samples at 16 kHz mono in [-1, 1]; an iterable is read as frames
            are asked for, so that live speech can be streamed; but for HuBERT and wenet, which
            hear all of it before the first frame. None where features are given alone: then
            there is a frame for each of their rows.
        features : path or array, optional
            What the generator hears, made elsewhere; see `FeatureFile`.
        format, quality : see `Compositor.composite`

        Yields
        ------
        Frame
            ceil(samples · fps / 16000) frames; each lent until it is released or dropped.
            Where the speech breaks off with an error, the frames that were heard whole, then it.
        """
        return self._frames(self._listen(speech, features), format, quality)

    def _frames(
        self, listening: SpeechFeatures, format: str, quality: int | None
    ) -> Iterator[Frame]:
        smoother = ColourSmoother(self.template.fps, self.template.preset.view)
        devices = len(self.generators)
        with (
            ThreadPoolExecutor(1, "lipsync-ear") as ear,  # what is heard comes in its order
            ThreadPoolExecutor(devices, "lipsync-net") as net,
        ):
            heard = listening.requests(self.request)

            def draw() -> Future[NetOutputs | None]:
                return net.submit(OneShot(self._draw, ear.submit(next, heard, None)))

            following = deque(draw() for _ in range(devices))
            try:
                while (request := following.popleft().result()) is not None:
                    following.append(draw())
                    yield from self._finish(request, format, quality, smoother)
            finally:
                for waiting in following:
                    waiting.cancel()
                following.clear()  # an error in it would hold this frame, and so its traceback

    def _draw(self, hearing: Future[Request | None]) -> NetOutputs | None:
        try:
            heard = hearing.result()
        finally:
            del hearing  # as above
        if heard is None:
            return None
        return self.inference.run(heard.features, heard.start, heard.alphas)

    def _listen(self, speech: Speech | None, features: Features | None) -> SpeechFeatures:
        return SpeechFeatures(
            speech,
            features,
            preset=self.template.preset,
            fps=self.template.fps,
            encoder=self.audio_encoder,
            pool=self.pool,
            stages=self.stages,
            silence=self.silence,
            neutral=self._neutral,
        )

    def render(
        self,
        speech: str | Path | NDArray[np.float32] | None,
        path: str | Path,
        *,
        features: Features | None = None,
        quality: int | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Render a speech to a video file or a folder of JPEG files.

        Parameters
        ----------
        speech : path, (n,) float32 samples at 16 kHz mono, or None
            None where features are given alone; the video has no sound then.
        path : str or Path
            ``.mp4`` for H.264 with AAC sound; a name without a suffix for a folder of
            ``00000000.jpg``, ``00000001.jpg``, …
        features : see `frames`
        quality : int, optional
            JPEG quality; the template's own by default.
        progress : callable, optional
            Called with the frames done and the frames to do (None where unknown).

        Returns
        -------
        int
            Frames written.

        Raises
        ------
        MediaError
            If the speech cannot be read or the output cannot be written.
        InputError, FileMissingError
            As `check_target`, before anything is computed; or features that do not fit.
        """
        target, to_mp4 = check_target(path)
        if to_mp4 and quality is not None:
            raise InputError("quality is for JPEG files; an mp4 takes none")
        listening = self._listen(speech, features)
        total = listening.expected()
        done = 0
        with self._open_video(target, speech) if to_mp4 else media.JpegFolder(target) as output:
            for frame in self._frames(listening, "i420" if to_mp4 else "jpeg", quality):
                with frame, self.stages.write(1):
                    data: Any = frame.array if to_mp4 else frame.data
                    output.write(data)
                done += 1
                if progress:
                    progress(done, total)
        return done

    def _open_video(self, path: Path, speech: Any) -> media.VideoWriter:
        t = self.template
        return media.VideoWriter(
            path,
            t.width,
            t.height,
            t.fps,
            matrix=t.matrix,
            full_range=t.full_range,
            tagged=t.tagged,
            audio=speech,
            label=t.label,
        )


def check_target(path: str | Path) -> tuple[Path, bool]:
    """Where a speech is rendered to, and whether that is an mp4.

    Raises
    ------
    InputError
        A name of neither an mp4 nor a folder.
    FileMissingError, MediaError
        There is no folder for it, or something that is not to be replaced is there.
    """
    target = Path(path)
    to_mp4 = ".mp4" in (target.suffix.lower(), target.name.lower())
    if target.suffix and not to_mp4:
        raise InputError(f"{target}: output must be .mp4 or a folder name without a suffix")
    if to_mp4:
        return check_file(path, MediaError, (".mp4",)), True
    return check_new_folder(path, MediaError), False


def _check_match(template: Template) -> None:
    check_type("template", template, Template, hint="Template.open opens a folder")
    preset = template.preset
    if preset.feature_rate and template.fps != Fraction(preset.feature_rate):
        raise InputError(
            f"preset {preset.name} speaks at {preset.feature_rate} frames a second, the template "
            f"has {template.fps}; prepare it again, which resamples it"
        )


def _check_encoder(encoder: object) -> None:
    if encoder is not None:
        check_type("audio_encoder", encoder, AudioEncoder, *ROW_ENCODERS.values(), hint=OPENS)
