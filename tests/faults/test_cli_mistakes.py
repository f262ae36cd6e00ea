"""What a newcomer types wrong: one line (what, where, how to fix), exit code 2, no traceback."""

import json
import os
import stat

import pytest

from tests.support.runs import make_shards
from tests.support.words import word_tokenizer_folder
from vlsuite.cli.main import main


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("mistakes"))


def _mistake(capsys, *arguments):
    code = main([str(a) for a in arguments])
    streams = capsys.readouterr()
    lines = [line for line in streams.err.splitlines() if line.startswith("error: ")]
    assert code == 2, streams.err
    assert len(lines) == 1, streams.err
    assert "Traceback" not in streams.err
    return lines[0]


def test_wrong_recipe(capsys):
    assert "closest: emoji" in _mistake(capsys, "train", "emojis")


def test_wrong_setting(capsys):
    line = _mistake(capsys, "train", "cifar10", "--set", "optim.warmup=1")
    assert "did you mean 'warmup_steps'" in line


def test_no_shards(capsys):
    assert "--set data.train=DIR" in _mistake(capsys, "train", "cifar10")


def test_missing_shard(capsys, tmp_path):
    line = _mistake(capsys, "train", "cifar10", "--set", f"data.train={tmp_path}/gone.tar")
    assert "gone.tar" in line


def test_shard_that_is_no_tar(capsys, tmp_path):
    path = tmp_path / "text.tar"
    path.write_text("this is not a tar file" * 100)
    assert "text.tar" in _mistake(capsys, "train", "cifar10", "--set", f"data.train={path}")


def test_unreadable_shard(capsys, tmp_path, shards):
    path = tmp_path / "locked.tar"
    path.write_bytes((shards / "shard-000000.tar").read_bytes())
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    assert "locked.tar" in _mistake(capsys, "train", "cifar10", "--set", f"data.train={path}")


def _quick(shards, out):
    return [
        *("train", "cifar10", "--out", out, "--set", f"data.train={shards}"),
        *("--set", "duration=1steps", "--set", "global_batch_size=8"),
        *("--set", "data.num_workers=0", "--set", f"model.tokenizer={word_tokenizer_folder()}"),
        *("--set", "model.context_length=24", "--set", "validation.data="),
    ]


def test_existing_run_folder_and_its_resume(capsys, tmp_path, shards):
    out = tmp_path / "run"
    assert main([str(a) for a in _quick(shards, out)]) == 0
    capsys.readouterr()
    assert "--resume" in _mistake(capsys, *_quick(shards, out))
    assert main(["train", "cifar10", "--out", str(out), "--resume"]) == 0
    assert "is a run of recipe 'cifar10'" in _mistake(
        capsys, "train", "emoji", "--out", out, "--resume"
    )


def test_a_run_continues_by_its_folder_alone_and_changes_are_recorded(capsys, tmp_path, shards):
    out = tmp_path / "run"
    assert main([str(a) for a in _quick(shards, out)]) == 0
    again = ["train", "--resume", "--out", str(out)]
    assert main(again) == 0
    assert not (out / "changes.jsonl").exists()
    assert main([*again, "--set", "optim.lr=0.125"]) == 0
    assert "changed since the run began: optim.lr: " in capsys.readouterr().err
    (line,) = (out / "changes.jsonl").read_text().splitlines()
    assert json.loads(line)["changes"]["optim.lr"][1] == 0.125


def test_nothing_to_resume(capsys, tmp_path):
    line = _mistake(capsys, "train", "cifar10", "--out", tmp_path / "none", "--resume")
    assert "nothing to resume" in line


def test_no_write_permission(capsys, tmp_path, shards):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    # even the superuser cannot make a folder in /proc
    out = "/proc/vlsuite-run" if os.access(locked, os.W_OK) else locked / "run"
    assert "choose another with --out" in _mistake(capsys, *_quick(shards, out))


def test_run_folder_is_a_file(capsys, tmp_path, shards):
    path = tmp_path / "file"
    path.write_text("")
    assert "choose another with --out" in _mistake(capsys, *_quick(shards, path))


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("deepspeed=zero9", "did you mean"),
        ("deepspeed=missing.json", ".json"),
        ("model.name=ViT-B-33", "ViT-B-32"),
        ("model.pretrained=/no/such/file", "/no/such/file"),
        ("model.tokenizer=/no/such/folder", "vlsuite data tokenizer"),
        ("global_batch_size=0", "must be positive"),
        ("micro_batch_size=3", "does not divide"),
    ],
)
def test_wrong_values(capsys, tmp_path, shards, override, hint):
    line = _mistake(capsys, *_quick(shards, tmp_path / "run"), "--set", override)
    assert hint in line


def test_deepspeed_file_may_not_set_what_the_recipe_owns(capsys, tmp_path, shards):
    path = tmp_path / "own.json"
    path.write_text('{"train_batch_size": 8, "zero_optimization": {"stage": 1}}')
    line = _mistake(capsys, *_quick(shards, tmp_path / "run"), "--set", f"deepspeed={path}")
    assert "train_batch_size belongs to the training config" in line
