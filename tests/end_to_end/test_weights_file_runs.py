"""A run that begins from a weights file: pictures as its tags say, in training and ever after."""

import dataclasses
import json
import logging
import shutil
from pathlib import Path

import open_clip
import pytest
from safetensors.torch import save_file

import vlsuite
from tests.support.runs import make_shards, small_config
from tests.support.tiny_models import register_architecture
from tests.support.warm_processes import exit_codes, start_command
from vlsuite.cli.main import main
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.stored_model import load_stored_model
from vlsuite.errors import RunFolderError
from vlsuite.models.dual_encoder.config import OpenClipConfig

NAME = "tiny-published"
SAID = {"interpolation": "bilinear", "resize_mode": "squash"}
PUBLISHED = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), **SAID}
LATER = PUBLISHED | {"mean": (0.1, 0.1, 0.1)}
KEPT = {"mean": [0.5] * 3, "std": [0.25] * 3, **SAID}
OPENAI = [0.48145466, 0.4578275, 0.40821073]


def publish(patch: pytest.MonkeyPatch, values: dict) -> None:
    """Let open_clip know one tag of the tiny architecture."""
    patch.setattr(open_clip, "list_pretrained_tags_by_model", lambda name: ["tag"])
    patch.setattr(
        open_clip, "get_pretrained_cfg", lambda name, tag: dict(values) if tag == "tag" else {}
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Two steps from a file."""
    folder = tmp_path_factory.mktemp("run")
    register_architecture(folder, NAME)
    weights = open_clip.create_model(NAME).state_dict()
    save_file({key: value.contiguous() for key, value in weights.items()}, folder / "w.safetensors")
    config = small_config(
        make_shards(folder / "pairs"),
        "duration=2steps",
        "checkpoint.every=1steps",
    )
    model = OpenClipConfig(name=NAME, pretrained=str(folder / "w.safetensors"))
    config = dataclasses.replace(config, model=model)
    with pytest.MonkeyPatch.context() as patch:
        publish(patch, PUBLISHED)
        vlsuite.train(config, out=folder / "out")
    return folder / "out"


@pytest.fixture
def later(monkeypatch):
    """A later open_clip, whose tag says something else."""
    publish(monkeypatch, LATER)


def described(folder: Path) -> dict:
    given = json.loads((folder / "open_clip_config.json").read_text())["preprocess_cfg"]
    return {key: given[key] for key in KEPT}


def copy(run: Path, to: Path, *, without: str) -> None:
    shutil.copytree(run, to, ignore=shutil.ignore_patterns(without))


def test_the_export_of_a_run_has_the_values_of_the_tag(run):
    assert described(run / "export") == KEPT
    assert json.loads((run / "resolved.json").read_text()) == KEPT


def test_the_transformers_form_has_them_too(run, tmp_path, later):
    assert main(["export", str(run), "--format=huggingface", f"--out={tmp_path / 'hf'}"]) == 0
    given = json.loads((tmp_path / "hf" / "preprocessor_config.json").read_text())
    assert (given["image_mean"], given["image_std"]) == ([0.5] * 3, [0.25] * 3)
    assert given["resample"] == 2
    assert given["size"] == {"height": 16, "width": 16}
    assert given["do_center_crop"] is False


def test_a_run_without_an_export_keeps_its_values(run, tmp_path, later):
    alone = tmp_path / "alone"
    copy(run, alone, without="export")
    built = load_stored_model(RunFolder(alone)).built
    assert {key: built.preprocess[key] for key in KEPT} == KEPT


def test_a_resumed_run_keeps_its_values(run, tmp_path, later):
    again = tmp_path / "again"
    copy(run, again, without="export")
    vlsuite.train(None, out=again, resume=True, duration="3steps")
    assert described(again / "export") == KEPT


def test_an_old_run_keeps_the_defaults_it_had_and_says_so(run, tmp_path, later, capsys, caplog):
    old = tmp_path / "old"
    copy(run, old, without="export")
    (old / "resolved.json").unlink()
    with caplog.at_level(logging.WARNING):
        assert load_stored_model(RunFolder(old)).built.preprocess["mean"][0] == OPENAI[0]
    assert "before runs recorded" in caplog.text
    vlsuite.train(None, out=old, resume=True, duration="3steps")
    assert "before runs recorded" in "".join(capsys.readouterr())
    assert described(old / "export")["mean"] == OPENAI


def test_a_damaged_record_is_one_line(run, tmp_path, later):
    damaged = tmp_path / "damaged"
    copy(run, damaged, without="export")
    (damaged / "resolved.json").write_text("[")
    with pytest.raises(RunFolderError, match=r"resolved\.json"):
        load_stored_model(RunFolder(damaged))


def test_the_command_says_which_quick_gelu_was_taken(tmp_path):
    damaged = tmp_path / "w.safetensors"
    damaged.write_bytes(b"weights")
    log = tmp_path / "log"
    words = ("export", f"ViT-B-32:{damaged}", "--out", tmp_path / "out")
    assert exit_codes([start_command(*words, log=log)]) == [2]
    assert "come with and without QuickGELU; taken as plain GELU" in log.read_text()
