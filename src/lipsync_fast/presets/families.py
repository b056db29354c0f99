"""The presets of the model families, and presets from files.

Each reproduces the family's own inference script within one level of 255; tests compare them
with the scripts' steps. A family whose models hear different features has a preset for each
kind.

References
----------
SyncTalk_2D, inference_328.py and datasetsss_328.py; Ultralight-Digital-Human, inference.py and
datasetsss.py; Wav2Lip, inference.py, hparams.py and audio.py, with the input names of
wav2lip-onnx-HQ; facefusion, processors/modules/lip_syncer; lite-avatar, lite_avatar.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..checks import shown
from ..errors import FileMissingError, InputError
from ..files.untrusted import parse_toml, plain_text
from .preset import Preset

__all__ = ["PRESETS", "get_preset", "load_preset"]


def _square(
    name: str,
    view: int,
    filters: tuple[str, str],
    black: tuple[int, int, int, int],
    features: str,
    audio_shape: tuple[int, ...],
    rate: int = 25,
) -> Preset:
    """Make the preset of a U-Net of SyncTalk_2D or Ultralight.

    Both take a square from landmarks, leave a border of 4 px (``[4:324, 4:324]``,
    ``[4:164, 4:164]``), divide by 255, start with frame 1 and go back and forth without
    doubling the ends. Their features are saved at 25 frames a second, wenet's at 20.
    """
    return Preset(
        name=name,
        view=view,
        crop=view + 8,
        black=black,
        visual="reference+masked",
        rgb=False,
        low=0.0,
        high=1.0,
        crop_filter=filters[0],
        patch_filter=filters[1],
        image_input="input",
        audio_input="audio",
        audio_shape=audio_shape,
        features=features,
        feature_rate=rate,
        rect_rule="square",
        edge=None,
        loop="pingpong",
        start=1,
    )


def _synctalk(name: str, features: str, audio_shape: tuple[int, ...], rate: int = 25) -> Preset:
    black = (5, 5, 315, 310)  # cv2.rectangle of x, y, w, h = 5, 5, 310, 305
    return _square(name, 320, ("bicubic", "bicubic"), black, features, audio_shape, rate)


def _ultralight(name: str, features: str, audio_shape: tuple[int, ...], rate: int = 25) -> Preset:
    black = (5, 5, 155, 150)  # cv2.rectangle of x, y, w, h = 5, 5, 150, 145
    # Older code passes INTER_AREA as `dst`, so that OpenCV resizes linearly; newer code by name.
    return _square(name, 160, ("area", "bilinear"), black, features, audio_shape, rate)


def _wav2lip(size: int, edge: str | None = None) -> Preset:
    """Make the preset of Wav2Lip at one size.

    The lower half is black, the mel window has 16 columns of 80 bands, and the script calls
    cv2.resize without a filter, so bilinear.
    """
    return Preset(
        name=f"wav2lip{size}",
        view=size,
        crop=size,
        black=(0, size // 2, size, size),
        visual="masked+reference",
        rgb=False,
        low=0.0,
        high=1.0,
        crop_filter="bilinear",
        patch_filter="bilinear",
        image_input="video_frames",
        audio_input="mel_spectrogram",
        audio_shape=(1, 80, 16),
        features="mel",
        feature_rate=None,
        rect_rule="box",
        edge=edge,
        loop="forward",
        start=0,
        feather="ellipse",  # the corners of a face's box show no face,
        feather_width=0.06,  # and the chin lies 10 px above its lower side
    )


# Windows: rows on both sides of the frame, reshaped by the scripts. SyncTalk_2D takes 8 and 8
# (16 × 512 of ave, 16 × 2048 of HuBERT, 16 × 8192 of wenet), Ultralight 4 and 4.
_MOST_TOML = 1 << 18  # bytes

_FAMILIES = (
    _synctalk("synctalk328", "ave", (32, 16, 16)),
    _synctalk("synctalk328-hubert", "hubert", (32, 32, 32)),
    _synctalk("synctalk328-wenet", "wenet", (256, 16, 32), rate=20),
    _ultralight("ultralight168-hubert", "hubert", (16, 32, 32)),
    _ultralight("ultralight168-wenet", "wenet", (128, 16, 32), rate=20),
    _wav2lip(96),
    _wav2lip(256),
    _wav2lip(288),
    _wav2lip(384, edge="ramp"),  # min(distance to the edge / 20, 1), 0 on the outermost pixels
    Preset(
        name="edtalk256",
        view=256,
        crop=256,
        black=None,
        visual="reference",
        rgb=True,
        low=0.0,
        high=1.0,
        crop_filter="area",
        patch_filter="bicubic",
        image_input="target",
        audio_input="source",
        audio_shape=(1, 80, 16),
        features="mel",
        feature_rate=None,
        rect_rule="box",
        edge=None,
        loop="forward",
        start=0,
        feather="ellipse",  # the corners of a face's box show no face,
        feather_width=0.06,  # and the chin lies 10 px above its lower side
        constants=(("weight", (0.5,)),),  # facefusion's default of lip_syncer_weight
    ),
    Preset(
        name="liteavatar384",
        view=384,
        crop=384,
        black=None,
        visual="reference",
        rgb=True,
        low=-1.0,  # Normalize(0.5, 0.5)
        high=1.0,
        crop_filter="bilinear",
        patch_filter="bilinear",
        image_input="image",
        audio_input="params",
        audio_shape=(32,),
        features="params",
        feature_rate=None,
        rect_rule="given",
        edge="frame",  # 10 px of background, blurred 21 × 21 with σ 15
        loop="pingpong-doubled",
        start=0,
    ),
)

PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _FAMILIES}


def get_preset(preset: str | Path | Preset) -> Preset:
    """Return the preset of a name or of a ``.toml`` file; a Preset is returned unchanged.

    Raises
    ------
    InputError
        The name is unknown, or the file is not a preset.
    FileMissingError
        The file does not exist.
    """
    if isinstance(preset, Preset):
        return preset
    if isinstance(preset, (str, Path)) and str(preset).lower().endswith(".toml"):
        return load_preset(preset)
    try:
        return PRESETS[preset]  # type: ignore[index]
    except (KeyError, TypeError):
        raise InputError(
            f"preset must be one of {', '.join(PRESETS)}, a .toml file or a Preset, "
            f"got {shown(preset)}"
        ) from None


def load_preset(path: str | Path) -> Preset:
    """Read your own preset from a small TOML file.

    Parameters
    ----------
    path : str or Path
        The file contains `Preset`'s fields. With ``base`` it names a built-in preset and
        contains only the fields that differ::

            base = "wav2lip256"
            name = "mine"
            image_input = "face"
            audio_input = "mel"

    Returns
    -------
    Preset
        Checked; a template made with it stores its fields.

    Raises
    ------
    FileMissingError
        The file does not exist.
    InputError
        The file is not TOML, fields are unknown, missing or wrong, or a built-in preset has the
        same name.
    """
    try:
        values = parse_toml(plain_text(path, _MOST_TOML))
    except FileNotFoundError:
        raise FileMissingError(f"{path}: no such file; name a preset or its .toml file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as TOML: {error}") from None
    base = values.pop("base", None)
    if base is not None and base not in list(PRESETS):
        raise InputError(f"{path}: base must be one of {', '.join(PRESETS)}, got {shown(base)}")
    if "name" not in values:
        raise InputError(f'{path}: a preset needs a name; add name = "mine"')
    try:
        made = Preset.from_mapping(values, None if base is None else PRESETS[base])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if PRESETS.get(made.name, made) != made:
        raise InputError(f"{path}: {made.name} is a built-in preset; choose another name")
    return made
