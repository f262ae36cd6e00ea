"""A model as a folder that plain open_clip loads with its ``local-dir:`` scheme."""

import json
import math
import shutil
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from vlsuite.errors import RunFolderError
from vlsuite.models.open_clip import BuiltModel

WEIGHTS = "open_clip_model.safetensors"
DESCRIPTION = "open_clip_config.json"


def write_open_clip_folder(
    folder: Path,
    built: BuiltModel,
    weights: Mapping[str, Tensor],
    *,
    logit_scale: float,
    logit_bias: float | None,
) -> None:
    """Write weights, description and tokenizer; existing files of those names are replaced.

    Args:
        built: the model as it was built (its weights are not used).
        weights: fp32, by DualEncoder name ("visual.*", "text.*").
        logit_scale: the multiplier itself; stored as its logarithm, 0-dimensional.
        logit_bias: None for a model without one.
    Raises:
        RunFolderError: the folder cannot be written.
    """
    model_cfg = portable_model_cfg(built.model_cfg)
    if logit_bias is not None:
        model_cfg["init_logit_bias"] = logit_bias
    state = open_clip_state(weights, custom_text=bool(model_cfg.get("custom_text")))
    state["logit_scale"] = torch.tensor(math.log(logit_scale))
    if logit_bias is not None:
        state["logit_bias"] = torch.tensor(logit_bias)
    description = {"model_cfg": model_cfg, "preprocess_cfg": _preprocess_cfg(built.preprocess)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in state.items()}, folder / f".{WEIGHTS}.tmp")
        (folder / f".{WEIGHTS}.tmp").replace(folder / WEIGHTS)
        (folder / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")
        if built.tokenizer_folder is not None:
            for source in sorted(Path(built.tokenizer_folder).glob("*token*.json")):
                shutil.copyfile(source, folder / source.name)
    except (OSError, SafetensorError, shutil.SameFileError) as error:
        raise RunFolderError(
            f"cannot write the exported model to {folder}: {error}; choose another with --out"
        ) from error


def portable_model_cfg(model_cfg: Mapping[str, Any]) -> dict[str, Any]:
    """The architecture without settings of one machine or of training only."""
    portable = deepcopy(dict(model_cfg))
    portable["vision_cfg"].pop("patch_dropout", None)
    if (
        "hf_tokenizer_name" in portable["text_cfg"]
        and Path(portable["text_cfg"]["hf_tokenizer_name"]).exists()
    ):
        # open_clip reads the tokenizer from the model's own folder whatever the name says
        portable["text_cfg"]["hf_tokenizer_name"] = "tokenizer"
    return portable


def open_clip_state(weights: Mapping[str, Tensor], *, custom_text: bool) -> dict[str, Tensor]:
    """Weights under the names of open_clip's model class.

    Args:
        weights: by DualEncoder name.
        custom_text: whether the class keeps its text tower as ``text.*`` (CustomTextCLIP) or
            spread over the model (CLIP).
    """
    if custom_text:
        return dict(weights)
    return {name.removeprefix("text."): value for name, value in weights.items()}


def _preprocess_cfg(preprocess: Mapping[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in preprocess.items()}
