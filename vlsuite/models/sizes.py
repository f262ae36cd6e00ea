"""Sizes in a model's description, looked at before anything is built from them.

A description of a stranger may ask for ten million layers, or for a table of a billion words:
building is then killed for memory, which no program can say anything about. The bounds lie far
above every published model; within them, what a description asks for at least is held against the
weights beside it and against the memory of the machine.
"""

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import read_object
from data_pipelines.field_types import shown
from data_pipelines.foreign_files import MOST_DESCRIPTION_BYTES, check_file_sizes
from vlsuite.errors import ModelError

#: Of a layer, an embedding, or the inner part of a block.
MOST_WIDTH = 262_144

#: What names of sizes look like, and the least and the most of each; the first that fits counts.
_BOUNDS: tuple[tuple[re.Pattern[str], int, int], ...] = (
    (re.compile(r"(^|_)n?_?(layers?|depths?|blocks)$"), 0, 2048),
    (re.compile(r"vocab(ulary)?_size$"), 0, 1 << 23),
    (re.compile(r"context_length$"), 1, 1 << 15),
    (re.compile(r"(position_embeddings|n_positions|n_ctx|max_length)$"), 1, 1 << 24),
    (re.compile(r"^(image|input|crop)_size$"), 1, 1 << 14),
    (re.compile(r"^(patch|stride|kernel)_size$"), 1, 1 << 14),
    (re.compile(r"(^|_)(width|dims?|channels|hidden_size|intermediate_size|n_embd|n_inner)$"),
     0, MOST_WIDTH),
    (re.compile(r"(^|_)(heads?|queries|experts|groups)$"), 0, 1 << 16),
)  # fmt: skip
_RATIO = re.compile(r"(^|_)mlp_ratio$")
_MOST_RATIO = 64.0
_SWITCH = re.compile(r"(^|_)use_")

#: Of these, every description of open_clip's has at least one, or its default of above 0.
_POSITIVE = frozenset({"embed_dim", "width", "head_width", "heads", "patch_size", "vocab_size"})

_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.npz", "*.h5", "*.msgpack")
_SAFE = ("*.safetensors",)
_FP32 = 4  # bytes


def check_sizes(description: Mapping[str, Any], *, where: str) -> None:
    """Refuse what no model has: sizes without bound, below zero, or that are no whole numbers.

    Raises:
        ModelError: names the first one, in one line.
    """
    for key, value in description.items():
        if isinstance(value, Mapping):
            check_sizes(value, where=where)
        elif value is not None and not _SWITCH.search(str(key)):
            _check(str(key), value, where)


def check_architecture(
    model_cfg: Any, *, where: str, weights: int = 0, is_built: bool = True
) -> None:
    """Look at an architecture in open_clip's form.

    Args:
        weights: bytes beside it, 0 where there are none.
        is_built: whether what it asks for has to fit into memory.
    Raises:
        ModelError: it is no such description, or asks for what cannot be.
    """
    if not isinstance(model_cfg, Mapping):
        raise _refused(where, "it is no JSON object")
    for key in ("vision_cfg", "text_cfg"):
        if not isinstance(model_cfg.get(key), Mapping):
            raise _refused(where, f"it has no object '{key}'")
    if not isinstance(model_cfg.get("embed_dim"), int):
        raise _refused(where, f"embed_dim is {shown(model_cfg.get('embed_dim'))}, not a number")
    check_sizes(model_cfg, where=where)
    _check_positive(model_cfg, where)
    if is_built:
        _check_memory(_least_of_towers(model_cfg), where, weights)


def check_model_folder(name: str) -> None:
    """Look at a folder in Hugging Face's form before transformers does; other names pass.

    Raises:
        ModelError: its config.json cannot be read or asks for what cannot be, or a file of its
            tokenizer is too large.
    """
    folder = Path(name)
    if not folder.is_dir():
        return
    try:
        check_file_sizes(folder)
        path = folder / "config.json"
        if not path.is_file():
            return
        told = read_object(path, most_bytes=MOST_DESCRIPTION_BYTES)
    except (OSError, ValueError) as error:
        raise _refused(str(folder), " ".join(str(error).split())) from error
    check_sizes(told, where=str(path))
    if not any("groups" in key or "shared" in key for key in told):  # ALBERT: one layer, used often
        # other weights would have to be unpickled: whoever loads them refuses that
        _check_memory(_least_of_layers(told), str(path), bytes_of_weights(folder, _SAFE))


def bytes_of_weights(folder: Path, patterns: Sequence[str] = _WEIGHTS) -> int:
    """Of all files in a folder that may hold weights."""
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return sum(path.stat().st_size for path in found)


def _check(key: str, value: Any, where: str) -> None:
    if _RATIO.search(key):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _refused(where, f"{key} is {shown(value)}, not a number")
        if not 0 < value <= _MOST_RATIO or math.isnan(value):
            raise _refused(where, f"{key} is {shown(value)}; it lies between 0 and {_MOST_RATIO:g}")
        return
    bounds = next(((low, high) for name, low, high in _BOUNDS if name.search(key)), None)
    if bounds is None or isinstance(value, str):
        return
    for one in value if isinstance(value, list | tuple) else (value,):
        if one is None or isinstance(one, str | Mapping):
            continue
        if isinstance(one, bool) or not isinstance(one, int):
            raise _refused(where, f"{key} is {shown(value)}, not a whole number")
        if not bounds[0] <= one <= bounds[1]:
            raise _refused(
                where, f"{key} is {shown(one)}; it lies between {bounds[0]} and {bounds[1]:,}"
            )


def _check_positive(model_cfg: Mapping[str, Any], where: str) -> None:
    towers = (model_cfg, model_cfg["vision_cfg"], model_cfg["text_cfg"])
    for told in towers:
        for key in sorted(_POSITIVE & told.keys()):
            if told[key] == 0 or isinstance(told[key], str):
                raise _refused(where, f"{key} is {shown(told[key])}; it must be above 0")


def _least_of_towers(model_cfg: Mapping[str, Any]) -> int:
    """Values that open_clip's towers hold at least: blocks, tables of words and of positions."""
    vision, text = model_cfg["vision_cfg"], model_cfg["text_cfg"]
    total = 0
    if not text.get("hf_model_name"):
        width, length = _whole(text, "width", 512), _whole(text, "context_length", 77)
        total += 4 * width * width * _whole(text, "layers", 12)
        total += width * _whole(text, "vocab_size", 49408) + length * (width + length)
    if not vision.get("timm_model_name") and isinstance(vision.get("layers", 12), int):
        width, patch = _whole(vision, "width", 768), _whole(vision, "patch_size", 16)
        size = vision.get("image_size", 224)
        sides = size if isinstance(size, list | tuple) else (size, size)
        positions = math.prod(side // patch for side in sides if isinstance(side, int))
        total += 4 * width * width * _whole(vision, "layers", 12)
        total += width * (positions + 3 * patch * patch)
    return total


def _whole(told: Mapping[str, Any], key: str, default: int) -> int:
    value = told.get(key, default)
    return value if isinstance(value, int) else default


def _least_of_layers(told: Mapping[str, Any]) -> int:
    """Values that a description in Hugging Face's form asks for at least, with what is inside."""
    width = _first(told, "hidden_size", "n_embd", "d_model")
    layers = _first(told, "num_hidden_layers", "n_layer", "num_layers")
    inner = sum(_least_of_layers(one) for one in told.values() if isinstance(one, Mapping))
    words = _first(told, "embedding_size") or width
    return inner + 2 * width * width * layers + words * _first(told, "vocab_size")


def _first(told: Mapping[str, Any], *keys: str) -> int:
    found = (told[key] for key in keys if isinstance(told.get(key), int))
    return next(found, 0)


def _check_memory(least: int, where: str, weights: int) -> None:
    if weights and least > 2 * weights:
        raise _refused(
            where, f"it asks for {least:,} values at least, the weights have {weights:,} bytes"
        )
    if least * _FP32 > _memory():
        raise _refused(
            where,
            f"it asks for {least * _FP32 / 1e9:,.0f} GB at least, more than this machine's memory",
        )


def _memory() -> int:
    """Bytes of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _refused(where: str, why: str) -> ModelError:
    return ModelError(f"cannot build '{where}': {why}; fetch the model again")
