"""Models whose descriptions, weights or tokenizers were made to harm."""

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.hostile_inputs.place import OBEYED, Hostile, Place, add_many, write

_CONFIG, _WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
_DEEP = "[" * 100_000 + "]" * 100_000


class _Planted:
    """Runs a program where it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.system, ("touch started-by-pickle; ffmpeg",)


def _set(*keys: str, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        told = json.loads((folder / _CONFIG).read_text())
        inner = told
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        write(folder / _CONFIG, json.dumps(told))

    return change


def _text(name: str, content: bytes | str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        write(folder / name, content)

    return change


def _weights(
    header: dict[str, Any] | bytes, *, length: int | None = None
) -> Callable[[Path], None]:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return _text(_WEIGHTS, struct.pack("<Q", len(text) if length is None else length) + text)


def _pickled(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / _WEIGHTS).unlink()
        write(folder / name, pickle.dumps(_Planted()))

    return change


def _tensor(kind: str, shape: list[int], offsets: list[int]) -> dict[str, Any]:
    return {"logit_scale": {"dtype": kind, "shape": shape, "data_offsets": offsets}}


_VISION, _TEXT = ("model_cfg", "vision_cfg"), ("model_cfg", "text_cfg")
_SIZES: dict[str, tuple[tuple[str, ...], Any]] = {
    "layers": ((*_VISION, "layers"), 10**7),
    "width": ((*_VISION, "width"), 10**9),
    "image_size": ((*_VISION, "image_size"), 10**6),
    "patch_zero": ((*_VISION, "patch_size"), 0),
    "vocabulary": ((*_TEXT, "vocab_size"), 10**12),
    "context": ((*_TEXT, "context_length"), 10**9),
    "text_layers": ((*_TEXT, "layers"), 10**8),
    "negative": ((*_TEXT, "width"), -512),
    "bool": ((*_TEXT, "layers"), True),
    "float": ((*_VISION, "layers"), 2.5),
    "nan": ((*_VISION, "width"), float("nan")),
    "infinite": ((*_VISION, "mlp_ratio"), float("inf")),
    "words": ((*_VISION, "width"), "wide"),
    "digits": ((*_VISION, "width"), 10**4000),
    "heads_zero": ((*_TEXT, "heads"), 0),
    "embedding": (("model_cfg", "embed_dim"), 10**9),
    "wide_within_bounds": ((*_VISION, "width"), 65_536),
    "list": ((*_VISION, "layers"), [10**6] * 4),
    "unknown_key": ((*_VISION, "surprise"), 1),
    "no_object": ((*_VISION,), 7),
    "null_tower": ((*_TEXT,), None),
    "mean_words": (("preprocess_cfg", "mean"), "abc"),
    "preparation_size": (("preprocess_cfg", "size"), 10**7),
    "preparation_list": (("preprocess_cfg",), [1, 2]),
    "interpolation": (("preprocess_cfg", "interpolation"), {"a": 1}),
    "timm_name": ((*_VISION, "timm_model_name"), OBEYED),
    "hf_folder": ((*_TEXT, "hf_model_name"), "../../../etc"),
}
_CHANGES: dict[str, Callable[[Path], None]] = {
    "config_deep": _text(_CONFIG, _DEEP),
    "config_deep_inside": _text(_CONFIG, '{"model_cfg": ' + _DEEP + "}"),
    "config_many_values": _text(_CONFIG, "[" + "{}," * 3_000_000 + "{}]"),
    "config_no_utf8": _text(_CONFIG, b"\xff\xfe{}"),
    "config_list": _text(_CONFIG, "[1, 2]"),
    "config_empty": _text(_CONFIG, ""),
    "weights_header_length": _weights(b"{}", length=1 << 62),
    "weights_deep_header": _weights(_DEEP.encode()),
    "weights_beyond_the_file": _weights(_tensor("F32", [1 << 40], [0, 1 << 42])),
    "weights_run_over": _weights(_tensor("F32", [1 << 62, 4], [0, 16])),
    "weights_unknown_kind": _weights(_tensor("X99", [1], [0, 4])),
    "weights_empty": _text(_WEIGHTS, b""),
    "weights_pickle_bin": _pickled("open_clip_pytorch_model.bin"),
    "weights_pickle_named_safetensors": _text(_WEIGHTS, pickle.dumps(_Planted())),
    "weights_names_obeyed": _weights(
        {OBEYED: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}} | {}
    ),
    "tokenizer_deep": _text("tokenizer.json", _DEEP),
    "tokenizer_wrong": _text("tokenizer.json", '{"version": "1.0", "model": {"type": "Q"}}'),
    "tokenizer_huge": _text("tokenizer.json", b'{"a": "' + b"x" * (100 << 20) + b'"}'),
    "tokenizer_settings_deep": _text("tokenizer_config.json", _DEEP),
    "selection_deep": _text("token_selection.json", _DEEP),
    "selection_wide": _text("token_selection.json", '{"width": 1000000000000}'),
    "selection_words": _text("token_selection.json", '{"width": "x", "share": null}'),
}
_CHANGES |= {f"size_{name}": _set(*keys, value=value) for name, (keys, value) in _SIZES.items()}


def _opened(name: str) -> Hostile:
    def make(place: Place) -> list[str]:
        model = place.inputs / "model"
        shutil.copytree(place.sane.model, model)
        _CHANGES[name](model)
        return [
            "eval", str(model), "--data", str(next(place.sane.shards.glob("*.tar"))), "--no-cache",
            "--out", str(place.target), "--workers", "1",
        ]  # fmt: skip

    return make


add_many("models", {name: _opened(name) for name in _CHANGES})

_HF: dict[str, Any] = {
    "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 32, "n_layer": 1,
    "n_head": 2, "n_positions": 64, "vocab_size": 100,
}  # fmt: skip
_HF_CHANGES: dict[str, str | dict[str, Any]] = {
    "layers": {"n_layer": 10**7},
    "width": {"n_embd": 10**9},
    "vocabulary": {"vocab_size": 10**12},
    "positions": {"n_positions": 10**12},
    "words": {"n_embd": [1]},
    "bool": {"n_layer": True},
    "type_unknown": {"model_type": OBEYED},
    "own_code": {"auto_map": {"AutoConfig": "evil.Config"}, "model_type": "evil"},
    "deep": _DEEP,
    "list": "[]",
}


def _language_model(name: str) -> Hostile:
    def make(place: Place) -> list[str]:
        model, change = place.inputs / "lm", _HF_CHANGES[name]
        text = change if isinstance(change, str) else json.dumps(_HF | change)
        write(model / "config.json", text)
        write(model / "evil.py", "import os; os.system('touch started-by-code; ffmpeg')\n")
        write(model / "model.safetensors", struct.pack("<Q", 2) + b"{}")
        shutil.copyfile(place.sane.model / "tokenizer.json", place.inputs / "lm" / "tokenizer.json")
        return [
            "train", "nevlp", "--out", str(place.target),
            "--set", f"data.train={place.sane.shards}",
            "--set", f"model.image_tower.name=local-dir:{place.sane.model}",
            "--set", f"model.language_model={model}", "--set", "duration=1steps",
        ]  # fmt: skip

    return make


add_many("language models", {name: _language_model(name) for name in _HF_CHANGES})
