"""MouthOptions: the mouth's colours, its pauses, and the person's closed mouth."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..audio.lite_avatar import Neutral, neutral_pose
from ..audio.silence import SILENCE
from ..checks import check_type
from ..errors import InputError
from ..presets import Preset

__all__ = ["MouthOptions"]


@dataclass(frozen=True)
class MouthOptions:
    """Options of the mouth, for any speech.

    Parameters
    ----------
    colour_match : bool
        Match the colours of every mouth to those round it, smoothed over each speech; see
        `Compositor`. None of the reference scripts does that.
    silence : {"closed", "background", "net"}, optional
        The picture while nobody speaks or sings; the extra ``voice`` also hears speech in noise.
        "closed": the mouth as the model closes it, which hears digital silence instead of noise
        and breath (`NoiseGate`). "background": the film itself, with the mouth faded out and in
        (`SilenceFades`), also at both ends of the speech, so that the result fits between films;
        the model does not draw silent frames. Use it for films with a closed mouth. "net": the
        model's answer to the unchanged sound, as in the reference scripts. By default
        "background" for presets with "params", whose films have a closed mouth, else "closed".
    neutral : str, Path or (32,) numbers, optional
        The person's closed mouth for presets with "params"; see `LiteAvatarDriver`.

    Raises
    ------
    InputError
        `silence` is unknown.
    """

    colour_match: bool = False
    silence: str | None = None
    neutral: Neutral | None = None

    def __post_init__(self) -> None:
        if self.silence is not None and self.silence not in SILENCE:
            raise InputError(f"silence must be one of {', '.join(SILENCE)}, got {self.silence!r}")

    @classmethod
    def of(cls, mouth: MouthOptions | None, preset: Preset) -> MouthOptions:
        """Return the options with a preset's defaults; read and check the neutral pose.

        Raises
        ------
        ArgumentTypeError
            `mouth` has the wrong type.
        InputError, FileMissingError
            As `neutral_pose`; or the preset has no neutral pose.
        """
        if mouth is None:
            mouth = cls()
        check_type("mouth", mouth, MouthOptions)
        by_rule = preset.driven_by_rule
        if mouth.neutral is not None:
            if not by_rule:
                raise InputError(
                    "neutral must be left out: it is for presets that hear params, and "
                    f"{preset.name} does not"
                )
            mouth = replace(mouth, neutral=tuple(neutral_pose(mouth.neutral).tolist()))
        if mouth.silence is None:
            mouth = replace(mouth, silence="background" if by_rule else "closed")
        return mouth
