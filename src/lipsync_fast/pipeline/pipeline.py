"""Pipeline: speech, template and models in, frames out; it wires the rest together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import media
from ..checks import check_int, check_type
from ..compositing import ColourSmoother, Compositor, CompositorStats, Frame, Frames
from ..errors import InputError
from ..memory._pool import BufferPool, PoolStats
from ..nets.encoders import ROW_ENCODERS, AudioEncoder, RowEncoder
from ..nets.opening import OPENS, AnyGenerator, open_generators, share_generators
from ..nets.options import DeviceOptions, Provider
from ..templates.template import Template
from .inference import Inference, NetOutputs, device_names
from .mouth import MouthOptions
from .speech import (
    Features,
    Requests,
    Speech,
    SpeechFeatures,
    expected_frames,
    open_speech,
    read_requests,
)
from .stages import Stages, StageStats
from .target import render_target

__all__ = ["Pipeline", "PipelineStats"]

REQUEST = 8  # frames of one request: few enough for a short wait, enough to fill the threads

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class PipelineStats:
    """Times and counts of a pipeline; see `Pipeline.stats`.

    Attributes
    ----------
    stages : dict of str to StageStats
        In the order of the work: features, visual, net, finish, write. The model draws the next
        request while one is finished and written, so stages overlap.
    devices : dict of str to StageStats
        The requests of this pipeline that each device drew.
    pool : PoolStats
    compositor : CompositorStats
    silenced : float
        Share, 0 to 1, of the loud sound that was taken for silence, in the last speech that
        `render` ended; loud is what lies within 25 dB of its loudest.
    """

    stages: dict[str, StageStats]
    devices: dict[str, StageStats]
    pool: PoolStats
    compositor: CompositorStats
    silenced: float = 0.0


class Pipeline:
    """A template with its models, ready to speak.

    Several threads may call `composite`; `frames` and `render` may run in parallel, each with
    its own speech.

    Parameters
    ----------
    template : Template
    generator : Generator or ResidentGenerator, or a sequence of them
        One for each device, to spread requests over. Pipelines may share them: a generator
        opened for another template serves this one as well.
    audio_encoder : AudioEncoder, HubertEncoder or WenetEncoder, optional
        Computes the features of speech if the preset hears "ave", "hubert" or "wenet"; not
        needed if features are given.
    mouth : MouthOptions, optional
        Colour matching, pauses, and the person's closed mouth.
    request : int
        Default number of frames in a request of `frames` and `render`.
    threads : int, optional
        Threads of the compositor; by default the machine's cores, at most 8.
    pool : BufferPool, optional
        Memory for all buffers on the frame path; by default a new pool.

    Raises
    ------
    ArgumentTypeError
        An argument has the wrong type; `open` takes paths.
    InputError
        A value is out of range, or parts do not fit each other.
    """

    def __init__(
        self,
        template: Template,
        generator: AnyGenerator | Sequence[AnyGenerator],
        audio_encoder: AudioEncoder | RowEncoder | None = None,
        *,
        mouth: MouthOptions | None = None,
        request: int = REQUEST,
        threads: int | None = None,
        pool: BufferPool | None = None,
    ) -> None:
        _check_match(template)
        self.mouth = MouthOptions.of(mouth, template.preset)
        self.request = check_int("request", request, 1, unit="frames")
        nets = share_generators(generator, template)
        _check_encoder(audio_encoder)
        if pool is not None:
            check_type("pool", pool, BufferPool)
        self.template, self.audio_encoder = template, audio_encoder
        self.generators = tuple(nets)
        self.pool = BufferPool() if pool is None else pool
        self.stages = Stages(device_names(self.generators))
        self._silenced = 0.0
        self.inference = Inference(template, self.generators, self.pool, self.stages)
        self.compositor = Compositor(
            template, threads=threads, pool=self.pool, colour_match=self.mouth.colour_match
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
        mouth: MouthOptions | None = None,
        threads: int | None = None,
    ) -> Pipeline:
        """Open a template folder and its models.

        Parameters
        ----------
        template : str, Path or Template
            A folder that `prepare` made, or an open template: `Template.open` takes border,
            label and loop.
        generator, audio_encoder : path, or an open model
            ONNX files; the encoder is for presets with "ave", "hubert" or "wenet" features. If
            possible (extra `models`), the generator holds the template's crops, takes frame
            indices and returns pictures; otherwise visual inputs are packed for each frame.
            Models of another pipeline (`generators`, `audio_encoder`) are shared with it.
        providers : list, optional
            ONNX Runtime providers in order; by default CUDA if it works, else the CPU.
        devices : sequence of int, optional
            Numbers of the CUDA devices to spread requests over.
        options : DeviceOptions, optional
            How models run on a device.
        mouth, threads : see `Pipeline`

        Raises
        ------
        FileMissingError, TemplateError, ModelError, InputError, ArgumentTypeError
        MissingExtraError, DeviceMemoryError
        """
        if not isinstance(template, Template):
            template = Template.open(template)
        if options is not None:
            check_type("options", options, DeviceOptions)
        if not isinstance(audio_encoder, (str, Path)):
            _check_encoder(audio_encoder)
        nets = open_generators(
            generator, template, providers=providers, devices=devices, options=options
        )
        if isinstance(audio_encoder, (str, Path)):
            kind = ROW_ENCODERS.get(template.preset.features, AudioEncoder)
            audio_encoder = kind(audio_encoder, providers=providers, options=nets[0].options)
        return cls(template, nets, audio_encoder, mouth=mouth, threads=threads)

    def close(self) -> None:
        """End the compositor's threads: requests under way finish, new ones raise InputError.

        The template and the models stay open, since others may share them; `Template.close`
        releases the template's files.
        """
        self.compositor.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def stats(self) -> PipelineStats:
        """Return times of the stages and counts of the memory since the pipeline was opened."""
        return PipelineStats(
            self.stages.stats(),
            self.stages.device_stats(),
            self.pool.stats(),
            self.compositor.stats(),
            self._silenced,
        )

    def warm(self, format: str = "bgr24", quality: int | None = None) -> int:
        """Make the backgrounds of a format that the template does not store; see `Compositor.warm`.

        A service calls it before its first request.
        """
        return self.compositor.warm(format, quality)

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
            Number of the first frame; with the template's loop it determines the backgrounds.
        format, quality, smoother : see `Compositor.composite`
        alphas : (N,) integers, 0 to 255, optional
            Fade of each frame's mouth; by default 255. Frames of 0 show only the background, and
            the model does not draw them.

        Returns
        -------
        Frames
            Leases; use it as a context manager to release them all.
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

    def listen(self, features: Features | None = None) -> SpeechFeatures:
        """Return fresh `SpeechFeatures`, into which the caller pushes a speech.

        Parameters
        ----------
        features : path or array, optional
            What the generator hears, made elsewhere; see `FeatureFile`.

        Raises
        ------
        InputError, FileMissingError, LayoutError
            As `SpeechFeatures`.
        """
        return SpeechFeatures(
            self.template.preset,
            self.template.fps,
            self.audio_encoder,
            features=features,
            mouth=self.mouth,
            pool=self.pool,
            stages=self.stages,
        )

    def frames(
        self,
        speech: Speech | None,
        *,
        features: Features | None = None,
        format: str = "bgr24",
        quality: int | None = None,
        request: int | None = None,
    ) -> Generator[Frame, None, None]:
        """Yield the frames of a speech, one after the other, as soon as possible.

        The model draws the next request while frames of this one are finished and used. An
        iterable is read in the caller's thread, and only after all drawn frames were yielded.
        Leaving early, by ``break`` or ``close()``, does not wait; all memory is released once the
        model's run under way ends.

        Parameters
        ----------
        speech : path, (n,) float32 samples, an iterable of such chunks, or None
            Sound file, or samples at 16 kHz mono in [-1, 1]. An iterable is read as frames are
            requested, so live speech can be streamed (except with HuBERT and wenet, which need
            all of it before the first frame). None if only features are given: then each of
            their rows gives a frame.
        features : path or array, optional
            What the generator hears, made elsewhere; see `FeatureFile`.
        format, quality : see `Compositor.composite`
        request : int, optional
            Frames to draw and finish at once; by default the pipeline's `request`. Does not
            change the frames.

        Yields
        ------
        Frame
            ceil(samples · fps / 16000) frames; each lent until it is released or dropped.
            If reading the speech fails, all frames heard completely come before the error.
        """
        heard = self._hear(speech, features)
        return self._frames(heard, speech, format, quality, request)

    def _hear(self, speech: Speech | None, features: Features | None) -> SpeechFeatures:
        if speech is None and features is None:
            raise InputError("frames need a speech or features, got neither")
        return self.listen(features)

    def _frames(
        self,
        heard: SpeechFeatures,
        speech: Speech | None,
        format: str,
        quality: int | None,
        request: int | None,
    ) -> Generator[Frame, None, None]:
        size = check_int("request", self.request if request is None else request, 1, unit="frames")
        chunks = () if speech is None else open_speech(speech)
        live = not isinstance(speech, (str, Path, np.ndarray))
        return self._draw_ahead(read_requests(heard, chunks, size, live), format, quality)

    def _draw_ahead(
        self, requests: Requests, format: str, quality: int | None
    ) -> Generator[Frame, None, None]:
        """Finish a request while each device draws a later one."""
        smoother = ColourSmoother(self.template.fps, self.template.preset.view)
        under_way: deque[Future[NetOutputs]] = deque()

        def finish(drawn: NetOutputs) -> Frames:
            return self._finish(drawn, format, quality, smoother)

        def rest() -> Iterator[Frame]:
            while under_way:
                yield from finish(under_way.popleft().result())

        try:
            while True:
                try:
                    request = next(requests)
                except StopIteration:
                    break
                except Exception:
                    yield from rest()  # heard completely before the speech broke off
                    raise
                if request is None:
                    while under_way and under_way[0].done():
                        yield from finish(under_way.popleft().result())
                    continue
                full = len(under_way) == len(self.generators)
                drawn = under_way.popleft().result() if full else None
                under_way.append(self.inference.submit(request))
                del request
                if drawn is not None:
                    frames = finish(drawn)
                    del drawn  # frees its memory for the next request
                    yield from frames
                    del frames
            yield from rest()
        finally:
            for waiting in under_way:
                waiting.cancel()
            under_way.clear()  # an error in it would keep this frame alive through its traceback
            requests.close()

    def render(
        self,
        speech: str | Path | NDArray[np.float32] | None,
        path: str | Path,
        *,
        features: Features | None = None,
        quality: int | None = None,
        request: int | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Render a speech to a video file or a folder of JPEG files.

        Parameters
        ----------
        speech : path, (n,) float32 samples at 16 kHz mono, or None
            None if only features are given; the video then has no sound.
        path : str or Path
            ``.mp4`` for H.264 with AAC sound; another name for a folder of
            ``00000000.jpg``, ``00000001.jpg``, …
        features, request : see `frames`
        quality : int, optional
            JPEG quality; by default the template's own.
        progress : callable, optional
            Called with the number of frames done and in total (None if unknown).

        Returns
        -------
        int
            Frames written.

        Raises
        ------
        MediaError
            The speech cannot be read or the output cannot be written.
        InputError, FileMissingError
            As `render_target`, before anything is computed; or the features do not fit.
        """
        target, to_mp4 = render_target(path)
        if to_mp4 and quality is not None:
            raise InputError("quality applies to JPEG files only; leave it out for an mp4")
        if isinstance(speech, (str, Path)):
            speech = media.require_file(speech)  # what a pipe brings is heard, then written
        heard = self._hear(speech, features)
        total = expected_frames(speech, heard, self.template.fps)
        frames = self._frames(heard, speech, "i420" if to_mp4 else "jpeg", quality, request)
        done = 0
        with self._open_video(target, speech) if to_mp4 else media.JpegFolder(target) as output:
            for frame in frames:
                with frame, self.stages.write(1):
                    data: Any = frame.array if to_mp4 else frame.data
                    output.write(data)
                done += 1
                if progress:
                    progress(done, total)
        self._silenced = heard.silenced
        return done

    def _open_video(self, path: Path, speech: Any) -> media.VideoWriter:
        t = self.template
        return media.VideoWriter(path, t.video, audio=speech, label=t.label)


def _check_match(template: Template) -> None:
    check_type("template", template, Template, hint="Template.open opens a folder")
    preset = template.preset
    if preset.feature_rate and template.fps != Fraction(preset.feature_rate):
        raise InputError(
            f"preset {preset.name} needs {preset.feature_rate} frames a second, the template has "
            f"{template.fps}; prepare it again to resample it"
        )


def _check_encoder(encoder: object) -> None:
    if encoder is not None:
        check_type("audio_encoder", encoder, AudioEncoder, *ROW_ENCODERS.values(), hint=OPENS)
