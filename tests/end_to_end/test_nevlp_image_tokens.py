"""Training on tokens that the image tower gave once is training on the pictures."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from data_pipelines.settings import apply_overrides
from tests.support.nevlp_models import frozen_parts
from tests.support.runs import make_shards, run_to_end
from vlsuite.cli.main import main
from vlsuite.engine.config import TrainConfig
from vlsuite.errors import BadSampleError, ModelError
from vlsuite.models.nevlp.image_tokens import ABOUT, ImageTokens
from vlsuite.recipes.nevlp import nevlp

_STILL = ("rotation=0", "translation=0", "crop_scale=1,1", "crop_ratio=1,1", "flip_probability=0")


def settings(shards: Path) -> list[str]:
    """Of tiny runs whose pictures are shown as they are."""
    tower, language_model = frozen_parts()
    return [
        f"model.image_tower.name=local-dir:{tower}",
        f"model.language_model={language_model}",
        "model.querying.num_queries=4",
        "model.querying.width=32",
        "model.querying.heads=2",
        "model.context_length=24",
        "model.embed_dim=16",
        f"data.train={shards}",
        "data.num_workers=0",
        *(f"data.augment.{one}" for one in _STILL),
        "optim.warmup_steps=2",
        "global_batch_size=16",
        "duration=8steps",
        "logging.every=1steps",
        "checkpoint.every=1000steps",
        "threads=1",
    ]


def config(shards: Path, *more: str) -> TrainConfig:
    return apply_overrides(nevlp(), [*settings(shards), *more])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Callable[..., Path]]:
    """Shards, and what makes a folder of tokens of them with some more settings."""
    root = tmp_path_factory.mktemp("tokens")
    shards = make_shards(root)

    def make(name: str, *more: str, views: int = 1) -> Path:
        words = [w for one in (*settings(shards), *more) for w in ("--set", one)]
        out = root / name
        assert main(["data", "image-tokens", *words, "--views", str(views), "--out", str(out)]) == 0
        return out

    return shards, make


@pytest.mark.parametrize("micro", [16, 8])
def test_losses_are_those_of_the_pictures(made, tmp_path, micro):
    shards, make = made
    tokens = make(f"same-{micro}")
    split = f"micro_batch_size={micro}"
    state, shown = run_to_end(config(shards, split), tmp_path / "pictures")
    cached, stored = run_to_end(
        config(shards, split, f"data.image_tokens={tokens}"), tmp_path / "tokens"
    )
    np.testing.assert_allclose(stored, shown, rtol=0, atol=1e-6)
    for (name, one), two in zip(
        state.engine.module.named_parameters(),
        cached.engine.module.parameters(),
        strict=True,
    ):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-5, msg=name)


def test_the_tower_does_not_run(made, tmp_path, monkeypatch):
    shards, make = made
    tokens = make("idle")

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("the image tower ran")

    monkeypatch.setattr("vlsuite.models.nevlp.encoder.tower_tokens", refused)
    _, losses = run_to_end(config(shards, f"data.image_tokens={tokens}"), tmp_path / "run")
    assert len(losses) == 8


def test_views_differ_and_come_back(made):
    _, make = made
    moved = ("data.augment.rotation=10", "data.augment.crop_scale=0.5,1")
    one, two = make("moved", *moved, views=3), make("moved-again", *moved, views=3)
    arrays = [np.load(next(folder.glob("*.npy"))) for folder in (one, two)]
    np.testing.assert_array_equal(*arrays)
    uids = json.loads((one / ABOUT).read_text())["uids"]
    assert arrays[0].shape[:2] == (len(uids), 3)
    assert np.abs(np.diff(arrays[0], axis=1)).max(axis=(2, 3)).min() > 1e-3
    stored, rng = ImageTokens.open(one), np.random.default_rng(0)
    drawn = {stored.view(uids[5], rng).numpy().tobytes() for _ in range(50)}
    assert drawn == {view.tobytes() for view in arrays[0][5]}


def test_other_tokens_are_refused(made, tmp_path, capsys):
    shards, make = made
    tokens = make("of-another-layer", "model.image_layer=-1")
    with pytest.raises(ModelError, match="image_layer -1, the run has -2"):
        run_to_end(config(shards, f"data.image_tokens={tokens}"), tmp_path / "run")
    words = ["--set", f"data.train={shards}", "--out", str(tokens)]
    name = f"model.image_tower.name=local-dir:{frozen_parts()[0]}"
    assert main(["data", "image-tokens", *words, "--set", name]) == 2
    assert "holds image tokens already" in capsys.readouterr().err
    assert main(["data", "image-tokens", *words[:2], "--recipe", "emoji", "--out", "x"]) == 2
    assert "no frozen image tower" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["format", "array", "uids", "cut", "json", "gone"])
def test_a_damaged_folder_is_one_line(made, damage):
    _, make = made
    tokens = make(f"damaged-{damage}")
    about = json.loads((tokens / ABOUT).read_text())
    array = tokens / about["array"]
    if damage == "cut":
        array.write_bytes(array.read_bytes()[:-100])
    elif damage == "gone":
        array.unlink()
    else:
        about[damage] = {"format": 99, "array": "../../etc/passwd", "uids": ["a"]}.get(damage)
        (tokens / ABOUT).write_text("[" if damage == "json" else json.dumps(about))
    with pytest.raises(ModelError, match="cannot read the image tokens"):
        ImageTokens.open(tokens)


def test_a_picture_without_tokens_is_a_bad_sample(made):
    _, make = made
    with pytest.raises(BadSampleError, match="no tokens of picture"):
        ImageTokens.open(make("few")).view("unknown", np.random.default_rng(0))
