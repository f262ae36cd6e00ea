"""A model as a folder that transformers loads: CLIPModel, CLIPProcessor and their tokenizer.

transformers' CLIP is one particular design. ``check_fits`` names the first thing of a model that
it cannot express; nothing is approximated.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from torch import Tensor

from vlsuite.errors import ModelError
from vlsuite.export.new_file import write_json, write_weights
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.huggingface_tokenizer import clip_tokenizer
from vlsuite.models.dual_encoder.huggingface_weights import clip_model_state
from vlsuite.models.dual_encoder.tokenizer_files import save_fast_tokenizer

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"

_RESAMPLE = {"bilinear": 2, "bicubic": 3}  # Pillow's numbers, which transformers stores
_LAYER_NORM_EPS = 1e-5  # torch's default, which open_clip keeps

#: Options of open_clip that the configs below express, or that change no embedding. Every other
#: one must stand at open_clip's default.
_TOP_KEYS = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "custom_text"}
_TOP_KEYS |= {"init_logit_scale", "init_logit_bias", "nonscalar_logit_scale"}
_VISION_KEYS = {"layers", "width", "head_width", "mlp_ratio", "patch_size", "image_size"}
_VISION_KEYS |= {"norm_kwargs", "patch_dropout", "final_ln_after_pool"}
_TEXT_KEYS = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"}
_TEXT_KEYS |= {"norm_kwargs", "hf_tokenizer_name", "pad_id", "eos_id"}


def write_huggingface_folder(
    folder: Path,
    built: BuiltModel,
    weights: Mapping[str, Tensor],
    *,
    logit_scale: float,
    logit_bias: float | None,
) -> None:
    """Write model.safetensors, tokenizer, preprocessor_config.json and config.json.

    Args:
        built: the model as it was built (its weights are not used).
        weights: fp32, by DualEncoder name ("visual.*", "text.*").
        logit_scale: the multiplier itself.
        logit_bias: must be None; transformers' CLIP has none.
    Raises:
        ModelError: transformers' CLIP cannot express the model.
        RunFolderError: the folder cannot be written.
    """
    check_fits(built, logit_bias=logit_bias)
    tokenizer = clip_tokenizer(built)
    state = clip_model_state(weights)
    state["logit_scale"] = torch.tensor(math.log(logit_scale))
    write_weights(folder / WEIGHTS, state)
    save_fast_tokenizer(folder, tokenizer)
    write_json(folder / PREPROCESSOR, preprocessor_config(built.preprocess))
    write_json(folder / CONFIG, clip_config(built, tokenizer))


def check_fits(built: BuiltModel, *, logit_bias: float | None) -> None:
    """Refuse a model that transformers' CLIP cannot express.

    Raises:
        ModelError: names the first thing that does not fit, and the form that does.
    """
    misfit = find_misfit(built, logit_bias=logit_bias)
    if misfit is not None:
        raise ModelError(
            f"transformers' CLIPModel cannot express this model: {misfit}; use --format open_clip"
        )


def find_misfit(built: BuiltModel, *, logit_bias: float | None) -> str | None:
    """The first thing of a model that transformers' CLIP lacks, None if everything fits."""
    cfg, preprocess = built.model_cfg, built.preprocess
    vision, text = cfg["vision_cfg"], cfg["text_cfg"]
    if built.embed_parts:
        return "it has a second embedding (model.token_selection)"
    if built.embed_parts:
        return "it has a token-selection embedding beside the global one"
    if logit_bias is not None:
        return f"it has a logit bias (SigLIP; here {logit_bias:.4g})"
    if vision.get("timm_model_name"):
        return f"its image tower is timm's '{vision['timm_model_name']}'"
    if text.get("hf_model_name"):
        return f"its text tower is '{text['hf_model_name']}'"
    if not isinstance(vision.get("layers", 12), int):
        return "its image tower is a ResNet"
    for where, given, expressed in (
        ("the model", cfg, _TOP_KEYS),
        ("the image tower", _changed(vision, CLIPVisionCfg), _VISION_KEYS),
        ("the text tower", _changed(text, CLIPTextCfg), _TEXT_KEYS),
    ):
        for key in given:
            if key not in expressed:
                return f"{where} has {key}={given[key]!r}"
    for tower in (vision, text):
        if set(tower.get("norm_kwargs") or ()) - {"eps"}:
            return f"norm_kwargs={tower['norm_kwargs']!r}"
    height, width = preprocess["size"]
    if height != width:
        return f"its pictures are not square ({height} x {width})"
    if not isinstance(vision.get("patch_size", 16), int):
        return f"its patches are not square ({vision['patch_size']})"
    if preprocess.get("resize_mode", "shortest") == "longest":
        return "its pictures are padded (resize_mode 'longest')"
    return None


def clip_config(built: BuiltModel, tokenizer: Any) -> dict[str, Any]:
    """transformers' description of the architecture, with the token ids of ``tokenizer``."""
    cfg = built.model_cfg
    vision = dataclasses.asdict(CLIPVisionCfg(**cfg["vision_cfg"]))
    text = dataclasses.asdict(CLIPTextCfg(**cfg["text_cfg"]))
    activation = "quick_gelu" if cfg.get("quick_gelu") else "gelu"
    shared = {"hidden_act": activation, "projection_dim": cfg["embed_dim"]}
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": cfg["embed_dim"],
        "logit_scale_init_value": math.log(1 / 0.07),
        "torch_dtype": "float32",
        "vision_config": {
            "model_type": "clip_vision_model",
            "hidden_size": vision["width"],
            "num_hidden_layers": vision["layers"],
            "num_attention_heads": vision["width"] // vision["head_width"],
            "intermediate_size": int(vision["width"] * vision["mlp_ratio"]),
            "image_size": built.preprocess["size"][0],
            "patch_size": vision["patch_size"],
            "layer_norm_eps": (vision["norm_kwargs"] or {}).get("eps", _LAYER_NORM_EPS),
            **shared,
        },
        "text_config": {
            "model_type": "clip_text_model",
            "vocab_size": text["vocab_size"],
            "hidden_size": text["width"],
            "num_hidden_layers": text["layers"],
            "num_attention_heads": text["heads"],
            "intermediate_size": int(text["width"] * text["mlp_ratio"]),
            "max_position_embeddings": text["context_length"],
            "layer_norm_eps": (text["norm_kwargs"] or {}).get("eps", _LAYER_NORM_EPS),
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            **shared,
        },
    }


def preprocessor_config(preprocess: Mapping[str, Any]) -> dict[str, Any]:
    """transformers' description of the evaluation view."""
    side = preprocess["size"][0]
    square = {"height": side, "width": side}
    squash = preprocess.get("resize_mode") == "squash"
    return {
        "image_processor_type": "CLIPImageProcessor",
        "processor_class": "CLIPProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": square if squash else {"shortest_edge": side},
        "resample": _RESAMPLE[preprocess.get("interpolation", "bicubic")],
        "do_center_crop": not squash,
        "crop_size": square,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preprocess["mean"]),
        "image_std": list(preprocess["std"]),
    }


def _changed(given: Mapping[str, Any], defaults: type) -> dict[str, Any]:
    """Options that differ from open_clip's defaults."""
    known = {f.name: f.default for f in dataclasses.fields(defaults)}
    return {k: v for k, v in given.items() if k not in known or v != known[k]}
