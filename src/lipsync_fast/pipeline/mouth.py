"""How the mouth looks: its colours, pauses, and the person's closed mouth."""

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
    """How the mouth looks, whatever the speech.

    Parameters
    ----------
    colour_match : bool
        Move the colours of every mouth to those round it, smoothed over each speech; see
        `Compositor`. No reference does that.
    silence : {"closed", "background", "net"}, optional
        What is shown while nobody speaks, which energy alone decides. "closed": the mouth as the
        model closes it; it hears digital silence there instead of noise and breath (`NoiseGate`).
        "background": the film itself, the mouth being faded out and in (`SilenceFades`), also at
        both ends of the speech, so that it can stand between films; silent frames do not reach the
        model. That is for films with a closed mouth. "net": what the model makes of the sound as
        it is, as the references do. By default "background" for presets with
        "params", whose films have a closed mouth, and else "closed".
    neutral : str, Path or (32,) numbers, optional
        The person's closed mouth for presets with "params"; see `LiteAvatarDriver`.

    Raises
    ------
    InputError
        Another `silence`.
    """

    colour_match: bool = False
    silence: str | None = None
    neutral: Neutral | None = None

    def __post_init__(self) -> None:
        if self.silence is not None and self.silence not in SILENCE:
            raise InputError(f"silence must be one of {', '.join(SILENCE)}, got {self.silence!r}")

    @classmethod
    def of(cls, mouth: MouthOptions | None, preset: Preset) -> MouthOptions:
        """Return the options with a preset's defaults, the neutral pose read and checked.

        Raises
        ------
        ArgumentTypeError
            `mouth` is of another type.
        InputError, FileMissingError
            As `neutral_pose`; or the preset knows no neutral pose.
        """
        if mouth is None:
            mouth = cls()
        check_type("mouth", mouth, MouthOptions)
        by_rule = preset.driven_by_rule
        if mouth.neutral is not None:
            if not by_rule:
                raise InputError(
                    "a neutral pose is for presets that hear params, which "
                    f"{preset.name} does not; leave it out"
                )
            mouth = replace(mouth, neutral=tuple(neutral_pose(mouth.neutral).tolist()))
        if mouth.silence is None:
            mouth = replace(mouth, silence="background" if by_rule else "closed")
        return mouth
