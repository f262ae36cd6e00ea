"""Folders and hub names of transformers' dual encoders: what they are, and loading them whole."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from data_pipelines.bounded_json import read_object
from vlsuite.errors import ModelError
from vlsuite.models.huggingface_clip.model import HuggingFaceClip
from vlsuite.models.quiet_loading import quiet_loading
from vlsuite.models.sizes import check_model_folder

CONFIG = "config.json"

#: Model types, and transformers' classes of the model and of its pictures' preparation by Pillow.
CLASSES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "clip": ("CLIPModel", "CLIPImageProcessorPil"),
        "siglip": ("SiglipModel", "SiglipImageProcessorPil"),
    }
)


def model_type(place: Path) -> str:
    """What transformers calls the architecture in a folder; empty where it holds none."""
    try:
        told = read_object(place / CONFIG).get("model_type")
    except (OSError, ValueError):
        return ""
    return told if isinstance(told, str) else ""


def is_dual_encoder(name: str) -> bool:
    """Whether a folder, or a repository of the hub that is kept on this machine, holds one."""
    if Path(name).is_dir():
        return model_type(Path(name)) in CLASSES
    from transformers.utils.hub import cached_file

    try:
        found = cached_file(name, CONFIG, _raise_exceptions_for_missing_entries=False)
    except (OSError, ValueError):
        return False
    return found is not None and model_type(Path(found).parent) in CLASSES


def load(name: str, *, device: torch.device) -> HuggingFaceClip:
    """The model with its own preparation of pictures and its tokenizer.

    Args:
        name: a folder in transformers' layout, or a repository of the hub.
    Raises:
        ModelError: a part is missing or broken, or the weights are not all of the model's.
    """
    import transformers

    check_model_folder(name)
    local = Path(name).is_dir()
    try:
        config = transformers.AutoConfig.from_pretrained(name, local_files_only=local)
        model_class, pictures_class = CLASSES[config.model_type]
        with quiet_loading():
            module, told = getattr(transformers, model_class).from_pretrained(
                name, dtype=torch.float32, local_files_only=local, output_loading_info=True
            )
        pictures = getattr(transformers, pictures_class).from_pretrained(
            name, local_files_only=local
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, local_files_only=local)
    except (OSError, ValueError, RuntimeError, KeyError, AttributeError, ImportError) as error:
        raise ModelError(
            f"transformers cannot load {name}: {_first_line(error)}; a folder needs config.json, "
            "model.safetensors, preprocessor_config.json and the tokenizer's files"
        ) from error
    _refuse_incomplete(name, told)
    return HuggingFaceClip(
        name,
        module.to(device).eval(),
        pictures=pictures,
        tokenizer=tokenizer,
        context_length=config.text_config.max_position_embeddings,
        pads_to_the_end=config.model_type == "siglip",
        device=device,
    )


def _refuse_incomplete(name: str, told: Mapping[str, Any]) -> None:
    """transformers draws the weights that a file lacks at random: they would be measured."""
    lacks = sorted(map(str, told.get("missing_keys", ())))
    wrong = sorted(str(one) for one in told.get("mismatched_keys", ()))
    if lacks or wrong:
        first = f"no '{lacks[0]}'" if lacks else f"another shape of {wrong[0]}"
        raise ModelError(
            f"the weights of {name} are not those of its config.json: {first} "
            f"({len(lacks) + len(wrong)} such); fetch the folder again"
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return json.dumps(lines[0][:300], ensure_ascii=True)[1:-1]
