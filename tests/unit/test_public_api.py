"""``import vlsuite`` is cheap, and what one would guess to be there is there."""

import importlib
import pickle
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest
import torch

import vlsuite
from data_pipelines.errors import DataError
from data_pipelines.settings import to_dict
from data_pipelines.shards.write import write_benchmark, write_pairs
from data_pipelines.sources.synthetic import SyntheticSource
from tests.support.embedding_model import SmallClip
from tests.support.shards import picture, samples
from vlsuite.api.version import _of_source_tree
from vlsuite.errors import ConfigError, ShardError, UnknownNameError, UserError

GUESSED = (
    "train",
    "evaluate",
    "detect",
    "load_model",
    "compare",
    "open_shards",
    "build_shards",
    "recipe",
    "embed_images",
    "embed_texts",
    "embed",
    "search",
)


@pytest.mark.parametrize("name", GUESSED)
def test_guessed_import_works_and_is_documented(name):
    scope: dict = {}
    exec(f"from vlsuite import {name}", scope)
    text = scope[name].__doc__
    assert all(part in text for part in ("Args:", "Raises:", "Example::"))
    assert "return" in get_type_hints(scope[name])


def test_every_public_name_is_listed_and_found():
    assert set(GUESSED) | {"__version__"} == set(vlsuite.__all__)
    assert set(vlsuite.__all__) <= set(dir(vlsuite))
    for name in vlsuite.__all__:
        assert getattr(vlsuite, name) is not None


def test_import_brings_neither_torch_nor_numpy_nor_the_wings():
    code = (
        "import sys, vlsuite; vlsuite.__version__; dir(vlsuite); print(sorted(m for m in "
        "('torch', 'numpy', 'PIL', 'eval', 'data_pipelines.schema') if m in sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_unknown_name_is_an_attribute_error_with_the_closest():
    with pytest.raises(AttributeError, match=r"no attribute 'evaluat'; did you mean 'evaluate'\?"):
        _ = vlsuite.evaluat  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="cannot import name 'quantum'"):
        exec("from vlsuite import quantum")
    assert importlib.import_module("vlsuite.models") is not None


def test_version_of_a_source_tree(tmp_path):
    assert vlsuite.__version__[0].isdigit()
    assert _of_source_tree(tmp_path) == "0+unknown"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\nversion = "9"\n')
    assert _of_source_tree(tmp_path) == "0+unknown"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "vlsuite"\nversion = "1.2"\n')
    assert _of_source_tree(tmp_path) == "1.2+source"


def test_recipe_takes_text_values_and_groups():
    as_text = vlsuite.recipe("emoji", "optim.lr=5e-4", "objective=siglip", "objective.tile_size=8")
    as_values = vlsuite.recipe(
        "emoji", **{"optim.lr": 5e-4}, objective={"tile_size": 8, "kind": "siglip"}
    )
    as_objects = vlsuite.recipe("emoji", optim={"lr": 5e-4}, objective=as_text.objective)
    assert to_dict(as_text) == to_dict(as_values) == to_dict(as_objects)
    assert as_text.objective.tile_size == 8


def test_recipe_takes_python_values_for_tuples_paths_and_none():
    config = vlsuite.recipe(
        "emoji",
        data={"train": [Path("a,b.tar"), "c.tar"], "augment": {"crop_scale": (0.5, 1)}},
        optim={"grad_clip_norm": None},
        compile=True,
        seed=3,
    )
    assert config.data.train == ("a,b.tar", "c.tar")
    assert config.data.augment.crop_scale == (0.5, 1.0)
    assert config.optim.grad_clip_norm is None
    assert config.compile is True


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optim": {"lrr": 1}}, "did you mean 'lr'"),
        ({"optim.lr": True}, "expected float, got bool"),
        ({"global_batch_size": 1.5}, "expected int, got float"),
        ({"compile": 1}, "expected bool, got int"),
        ({"lr": 1e-3}, r"did you mean 'optim.lr'\? Write optim=\{'lr': ...\}"),
        ({"seed": {"x": 1}}, "single value, it has no sub-keys"),
        ({"objective": 3}, "not a registered objective"),
        ({"precision": "fp8"}, "choose from fp32, bf16, fp16"),
        ({"optim": {"lr": -1.0}}, "must be positive"),
    ],
)
def test_wrong_value_is_refused_in_one_line(values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        vlsuite.recipe("emoji", **values)
    assert "\n" not in str(caught.value)


def test_unknown_recipe_names_the_closest():
    with pytest.raises(UnknownNameError, match="closest: emoji"):
        vlsuite.recipe("emojis")


def test_shards_are_a_sequence_of_samples(tmp_path):
    write_pairs(samples(7), tmp_path / "pairs", max_samples=3)
    shards = vlsuite.open_shards(tmp_path / "pairs")
    assert len(shards) == 7
    assert [sample.uid for sample in shards] == [one.uid for one in samples(7)]
    copied = pickle.loads(pickle.dumps(shards))  # noqa: S301
    for number, expected in enumerate(samples(7)):
        for found in (shards[number], shards[number - 7], copied[number]):
            assert found.image_bytes == expected.image
            assert found.captions == expected.captions
            assert found.image.size == (8, 8)
            assert found.json["uid"] == expected.uid
    assert [sample.uid for sample in shards[5:]] == [one.uid for one in samples(7)[5:]]
    assert shards[3].members == list(shards)[3].members
    for outside in (7, -8):
        with pytest.raises(IndexError):
            _ = shards[outside]


def test_evaluation_shards_have_one_caption_a_line_and_labels(tmp_path):
    ours = samples(4)
    write_benchmark(
        ours, tmp_path / "set", split="test", kind="retrieval", class_names=(), templates=()
    )
    found = list(vlsuite.open_shards([tmp_path / "set"]))
    assert [sample.captions for sample in found] == [sample.captions for sample in ours]
    assert all(sample.label is None for sample in found)


def test_no_shards_is_an_error():
    with pytest.raises(ShardError, match="no shard"):
        vlsuite.open_shards("not/there")
    with pytest.raises(ShardError, match="no shards"):
        vlsuite.open_shards([])


def test_built_shards_equal_those_of_the_command(tmp_path):
    from vlsuite.cli.main import main

    arguments = ["synthetic", "--num-samples", "5", "--side", "16"]
    assert main(["data", "build", *arguments, "--out", str(tmp_path / "command")]) == 0
    manifest = vlsuite.build_shards("synthetic", out=tmp_path / "api", num_samples=5, side=16)
    assert manifest.num_samples == 5
    names = ("manifest.json", *(shard.name for shard in manifest.shards))
    for name in names:
        assert (tmp_path / "api" / name).read_bytes() == (tmp_path / "command" / name).read_bytes()


def test_a_source_of_ones_own_can_be_built(tmp_path):
    vlsuite.build_shards(SyntheticSource(num_samples=3, side=16), out=tmp_path / "own")
    assert len(vlsuite.open_shards(tmp_path / "own")) == 3


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        ("synthetic", {"num_sample": 5}, ConfigError, "did you mean 'num_samples'"),
        ("synthetic", {"num_samples": "many"}, ConfigError, "expected int"),
        ("table", {}, ConfigError, "table needs table="),
        ("synthetik", {}, UserError, "synthetic"),
    ],
)
def test_wrong_option_of_a_source_is_refused(source, options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        vlsuite.build_shards(source, out=tmp_path / "x", **options)


def test_pictures_are_embedded_from_files_bytes_and_objects(tmp_path):
    model = SmallClip()
    path = tmp_path / "a.png"
    path.write_bytes(picture(1, side=24))
    one = vlsuite.embed_images(model, path)
    assert one.shape == (1, model.embed_dim)
    opened = vlsuite.embed_images(model, _opened(path))
    rows = vlsuite.embed_images(model, [str(path), path.read_bytes()] * 3, batch_size=4)
    assert torch.equal(one, opened)
    torch.testing.assert_close(rows, one.expand(6, -1))
    assert model.image_batch_sizes == [1, 1, 4, 2]
    assert vlsuite.embed_images(model, []).shape == (0, model.embed_dim)


def test_one_string_is_one_text():
    model = SmallClip()
    assert torch.equal(vlsuite.embed_texts(model, "a cat"), vlsuite.embed_texts(model, ["a cat"]))


def test_unusable_pictures_and_models_are_named(tmp_path):
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"b\.png: not an image"):
        vlsuite.embed_images(SmallClip(), [tmp_path / "b.png"])
    with pytest.raises(DataError, match=r"cannot read .*c\.png: No such file"):
        vlsuite.embed_images(SmallClip(), [tmp_path / "c.png"])
    with pytest.raises(ConfigError, match="picture 0 is a Tensor"):
        vlsuite.embed_images(SmallClip(), iter([torch.zeros(3, 16, 16)]))  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="object has no embed_texts"):
        vlsuite.embed_texts(object(), "a cat")


def _opened(path: Path):
    from PIL import Image

    return Image.open(path)


def test_training_refuses_an_empty_path(tmp_path):
    from vlsuite.errors import ConfigError

    with pytest.raises(ConfigError, match="data names an empty path"):
        vlsuite.train("emoji", data="", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
