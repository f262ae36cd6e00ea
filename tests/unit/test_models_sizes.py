"""Sizes in a model's description: looked at before anything is built."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import open_clip
import pytest

from vlsuite.errors import ModelError
from vlsuite.models.dual_encoder.config import OpenClipConfig, architecture
from vlsuite.models.sizes import check_architecture, check_model_folder

TINY = architecture("vlsuite-micro-32")
VISION, TEXT = "vision_cfg", "text_cfg"

IMPOSSIBLE: list[tuple[tuple[str, ...], Any]] = [
    ((VISION, "layers"), 10**7),
    ((VISION, "layers"), [10**6] * 4),
    ((VISION, "layers"), 2.5),
    ((VISION, "width"), 10**9),
    ((VISION, "width"), float("nan")),
    ((VISION, "width"), "wide"),
    ((VISION, "width"), 10**4000),
    ((VISION, "image_size"), 10**6),
    ((VISION, "image_size"), -1),
    ((VISION, "patch_size"), 0),
    ((VISION, "head_width"), 0),
    ((VISION, "mlp_ratio"), float("inf")),
    ((VISION, "mlp_ratio"), True),
    ((TEXT, "vocab_size"), 10**12),
    ((TEXT, "context_length"), 10**9),
    ((TEXT, "layers"), True),
    ((TEXT, "heads"), 0),
    ((TEXT, "width"), -512),
    (("embed_dim",), 10**9),
    (("embed_dim",), "x"),
    ((VISION,), 7),
    ((TEXT,), None),
    ((TEXT, "width"), 200_000),  # within bounds, and no machine's
]


@pytest.mark.parametrize(("keys", "value"), IMPOSSIBLE, ids=lambda v: str(v)[:40])
def test_what_cannot_be_built_is_refused_in_one_line(keys: tuple[str, ...], value: Any) -> None:
    told = deepcopy(TINY)
    inner: Any = told
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    if value == 200_000:
        inner["layers"] = 2000
    with pytest.raises(ModelError, match="cannot build 'x': ") as refused:
        check_architecture(told, where="x")
    assert len(str(refused.value)) < 250


def test_all_published_architectures_pass() -> None:
    for name in open_clip.list_models():
        check_architecture(architecture(name), where=name, is_built=False)


def test_weights_that_are_too_small_for_the_description() -> None:
    check_architecture(TINY, where="x", weights=40_000_000)
    with pytest.raises(ModelError, match="the weights have 1,000 bytes"):
        check_architecture(TINY, where="x", weights=1000)


def test_settings_are_looked_at_too() -> None:
    for values in ({"image_size": 10**6}, {"context_length": 10**9}):
        with pytest.raises(ModelError, match="cannot build 'vlsuite-micro-32'"):
            OpenClipConfig(name="vlsuite-micro-32", **values).build()


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, '{"model_cfg": ' + "[" * 90_000 + "]" * 90_000 + "}", "[1]", "", "{}", "\xff"],
    ids=["deep", "deep inside", "list", "empty", "nothing", "words"],
)
def test_descriptions_that_are_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text(content)
    with pytest.raises(ModelError):
        architecture(f"local-dir:{tmp_path}")


@pytest.mark.parametrize(
    "preparation",
    [
        [1, 2],
        {"mean": "abc", "std": [1, 1, 1]},
        {"mean": [0, 0, 0], "std": [1, 1, 1], "size": 10**7},
    ],
)
def test_preparations_that_are_none(preparation: Any, tmp_path: Path) -> None:
    told = {"model_cfg": TINY, "preprocess_cfg": preparation}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(told))
    with pytest.raises(ModelError, match="preprocess_cfg"):
        OpenClipConfig(name=f"local-dir:{tmp_path}").build()


GPT = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "vocab_size": 100}


@pytest.mark.parametrize(
    "changed",
    [
        {"n_layer": 10**7},
        {"n_embd": 10**9},
        {"vocab_size": 10**12},
        {"n_positions": 10**12},
        {"n_layer": True},
        {"n_embd": 3.5},
        {"vision_config": {"hidden_size": 10**9}},
        {"text_config": {"num_hidden_layers": 1000, "hidden_size": 65_536}},
    ],
    ids=str,
)
def test_folders_of_transformers(changed: dict[str, Any], tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(GPT))
    check_model_folder(str(tmp_path))
    config.write_text(json.dumps(GPT | changed))
    with pytest.raises(ModelError, match="cannot build"):
        check_model_folder(str(tmp_path))


def test_files_of_folders_are_bounded(tmp_path: Path) -> None:
    check_model_folder("no/such/folder")
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(ModelError, match="levels"):
        check_model_folder(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with (tmp_path / "tokenizer.json").open("wb") as stream:
        stream.truncate(1 << 30)
    with pytest.raises(ModelError, match=r"tokenizer\.json has 1,074 MB"):
        check_model_folder(str(tmp_path))


@pytest.mark.parametrize("content", ["[" * 100_000, '{"model": {"type": "Q"}}', "", "\x1b[31m"])
def test_tokenizers_that_are_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError) as refused:
        OpenClipConfig(name="vlsuite-micro-32", tokenizer=str(tmp_path)).build()
    assert str(refused.value).isprintable()
