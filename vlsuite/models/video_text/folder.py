"""A model of videos and texts as one folder.

``FAMILY_config.json``, the weights that image towers have none of in ``FAMILY.safetensors``, and
``image_text/``: the text tower and all else of the image tower as a folder that plain open_clip
loads, which is what the model knows of single images.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vlsuite.errors import ModelError
from vlsuite.export.new_file import write_card, write_json, write_weights
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.open_clip_folder import write_open_clip_folder

IMAGE_TEXT = "image_text"
CARD = "README.md"
FORMAT = 1


class Stored(NamedTuple):
    """What a folder says of its model besides ``image_text/``.

    Attributes:
        settings: of the family, without those of the dual encoder.
        weights: fp32, by name in the encoder, that image towers have none of.
    """

    settings: dict[str, Any]
    weights: dict[str, Tensor]


def description_of(family: str) -> str:
    """Name of the file of settings, which marks a folder as complete."""
    return f"{family}_config.json"


def weights_of(family: str) -> str:
    """Name of the file of weights."""
    return f"{family}.safetensors"


def write_video_folder(
    folder: Path,
    built: BuiltModel,
    weights: Mapping[str, Tensor],
    *,
    family: str,
    described: Mapping[str, Any],
    image_names: Mapping[str, str],
    scalars: Mapping[str, float],
    card: str,
) -> None:
    """Write all parts; files of those names are replaced, the description last.

    Args:
        built: the model as it was built (its weights are not used).
        weights: fp32, by name in the encoder.
        family: by its registered name.
        described: the family's settings.
        image_names: name in the dual encoder that it started from, by name in the encoder.
        scalars: logit_scale, and logit_bias where there is one.
        card: text of README.md.
    Raises:
        ModelError: the tokenizer is not at hand.
        RunFolderError: the folder cannot be written.
    """
    own = {key: value for key, value in weights.items() if key not in image_names}
    shared = {image_names[key]: value for key, value in weights.items() if key in image_names}
    write_open_clip_folder(
        folder / IMAGE_TEXT,
        built,
        shared,
        logit_scale=scalars["logit_scale"],
        logit_bias=scalars.get("logit_bias") or None,
    )
    write_weights(folder / weights_of(family), own)
    write_card(folder / CARD, card)
    write_json(folder / description_of(family), {"format": FORMAT, "model": dict(described)})


def read_video_folder(folder: Path, *, family: str) -> Stored:
    """What ``write_video_folder`` put there.

    Raises:
        ModelError: a file is missing, damaged, or of another version.
    """
    try:
        stored = json.loads((folder / description_of(family)).read_text(encoding="utf-8"))
        if stored["format"] != FORMAT:
            raise ValueError(f"format {stored['format']}, this version reads {FORMAT}")
        return Stored(dict(stored["model"]), load_file(folder / weights_of(family)))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise unreadable(folder, error) from error


def load_own_weights(
    encoder: nn.Module,
    weights: Mapping[str, Tensor],
    *,
    folder: Path,
    family: str,
    is_own: Callable[[str], bool],
) -> None:
    """Put what ``read_video_folder`` found into a model whose other parts are loaded.

    Args:
        is_own: whether a name in the encoder is of the family's own file.
    Raises:
        ModelError: the file holds other weights.
    """
    wanted = {name: value for name, value in encoder.state_dict().items() if is_own(name)}
    odd = sorted(wanted.keys() ^ weights.keys()) or sorted(
        name for name, value in weights.items() if value.shape != wanted[name].shape
    )
    if odd:
        raise ModelError(
            f"{folder / weights_of(family)} does not fit {description_of(family)} beside it "
            f"('{odd[0]}'); export the model again with 'vlsuite export RUN'"
        )
    encoder.load_state_dict(weights, strict=False)


def unreadable(folder: Path, reason: object) -> ModelError:
    """The error for a folder that cannot be used."""
    return ModelError(
        f"cannot read the video model in {folder}: {' '.join(str(reason).split())[:200]}; "
        "export it again with 'vlsuite export RUN'"
    )
