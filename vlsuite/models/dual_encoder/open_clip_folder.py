"""A model as a folder that plain open_clip loads with its ``local-dir:`` scheme."""

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vlsuite.export.new_file import write_json, write_weights
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.token_selection_config import (
    SELECTION,
    SELECTION_WEIGHTS,
    split_selection,
)
from vlsuite.models.dual_encoder.tokenizer_files import write_tokenizer

WEIGHTS = "open_clip_model.safetensors"
DESCRIPTION = "open_clip_config.json"

#: open_clip reads the tokenizer from the model's own folder, whatever name stands there.
_TOKENIZER_NAME = "tokenizer"


def write_open_clip_folder(
    folder: Path,
    built: BuiltModel,
    weights: Mapping[str, Tensor],
    *,
    logit_scale: float,
    logit_bias: float | None,
) -> None:
    """Write weights, tokenizer and description; existing files of those names are replaced.

    Of a model with a token-selection embedding, plain open_clip loads the global one; the other
    lies in files of its own, which this package reads.

    Args:
        built: the model as it was built (its weights are not used).
        weights: fp32, by name in the encoder ("visual.*", "text.*", a CoCa's "text_decoder.*").
        logit_scale: the multiplier itself; stored as its logarithm, 0-dimensional.
        logit_bias: None for a model without one.
    Raises:
        ModelError: the tokenizer is not at hand.
        RunFolderError: the folder cannot be written.
    """
    model_cfg = portable_model_cfg(built, logit_bias=logit_bias)
    if built.embed_parts:
        weights, selection = split_selection(weights)
        write_weights(folder / SELECTION_WEIGHTS, selection)
        write_json(folder / SELECTION, asdict(built.token_selection))
    state = open_clip_state(weights, custom_text=keeps_text_tower_apart(model_cfg))
    state["logit_scale"] = torch.tensor(math.log(logit_scale))
    if logit_bias is not None:
        state["logit_bias"] = torch.tensor(float(logit_bias))
    write_weights(folder / WEIGHTS, state)
    if "hf_tokenizer_name" in model_cfg["text_cfg"]:
        write_tokenizer(folder, built)
    preprocess_cfg = {
        k: list(v) if isinstance(v, tuple) else v for k, v in built.preprocess.items()
    }
    write_json(folder / DESCRIPTION, {"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg})


def portable_model_cfg(built: BuiltModel, *, logit_bias: float | None) -> dict[str, Any]:
    """The architecture without settings of one machine or of training only."""
    portable = deepcopy(built.model_cfg)
    portable.pop("init_logit_bias", None)
    if logit_bias is not None:
        portable["init_logit_bias"] = logit_bias
    portable["vision_cfg"].pop("patch_dropout", None)
    text_cfg = portable["text_cfg"]
    if built.tokenizer_folder is not None and not _comes_with_model(built):
        # the model's own cleaning belongs to the tokenizer that was replaced
        text_cfg.pop("tokenizer_kwargs", None)
        text_cfg.pop("tokenizer_mode", None)
    if "hf_tokenizer_name" in text_cfg:
        text_cfg["hf_tokenizer_name"] = _TOKENIZER_NAME
    return portable


def keeps_text_tower_apart(model_cfg: Mapping[str, Any]) -> bool:
    """Whether open_clip's class for it keeps the text tower as ``text.*`` (CustomTextCLIP).

    Otherwise its parts are spread over the model (CLIP).
    """
    return bool(model_cfg.get("custom_text")) or "hf_model_name" in model_cfg["text_cfg"]


def open_clip_state(weights: Mapping[str, Tensor], *, custom_text: bool) -> dict[str, Tensor]:
    """Weights under the names of open_clip's model class.

    Args:
        weights: by DualEncoder name.
        custom_text: see :func:`keeps_text_tower_apart`.
    """
    if custom_text:
        return dict(weights)
    return {name.removeprefix("text."): value for name, value in weights.items()}


def _comes_with_model(built: BuiltModel) -> bool:
    """Whether the tokenizer folder is the model's own rather than one that took its place."""
    return built.model_cfg["text_cfg"].get("hf_tokenizer_name") != built.tokenizer_folder
