"""What a newcomer types wrong: one line (what, where, how to fix), exit code 2, no traceback."""

import json
import os
import resource
import signal
import stat
import sys

import pytest

from tests.support.evaluation_data import (
    captioned,
    labelled,
    write_evaluation_folder,
    write_tar,
)
from tests.support.exported_models import exported_model, nan_for_word, nan_in_images
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


def test_tables_and_pictures_where_shards_belong(capsys, tmp_path):
    table = tmp_path / "pairs.csv"
    table.write_text("path,caption\na.jpg,a\n")
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    (tmp_path / "photos" / "cats" / "a.JPG").write_bytes(b"")
    for path, command in (
        (table, f"vlsuite data build table {table} --out DIR"),
        (tmp_path / "photos", f"data build image-folder {tmp_path / 'photos'} --out DIR"),
    ):
        assert command in _mistake(capsys, "train", "cifar10", "--set", f"data.train={path}")
        assert command in _mistake(capsys, "data", "validate", path)


def test_a_model_folder_where_weights_belong(capsys, tmp_path, shards):
    (tmp_path / "run" / "export").mkdir(parents=True)
    (tmp_path / "run" / "export" / "open_clip_config.json").write_text("{}")
    for folder in ("run", "run/export"):
        for key in ("pretrained", "name"):
            start = _quick(shards, tmp_path / "new")
            line = _mistake(capsys, *start, "--set", f"model.{key}={tmp_path / folder}")
            assert f"model.name=local-dir:{tmp_path / 'run' / 'export'}" in line
    start = _quick(shards, tmp_path / "new")
    line = _mistake(capsys, *start, "--set", f"model.pretrained={tmp_path}")
    assert "'vlsuite export RUN' writes" in line


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
    assert "changed from step 1 on: optim.lr: " in capsys.readouterr().err
    (line,) = (out / "changes.jsonl").read_text().splitlines()
    assert json.loads(line)["changes"]["optim.lr"][1] == 0.125
    assert json.loads(line)["step"] == 1
    assert json.loads(line)["command"]
    assert json.loads((out / "config.json").read_text())["config"]["optim"]["lr"] == 0.125
    assert main([*again, "--show-config"]) == 0
    assert json.loads(capsys.readouterr().out)["optim"]["lr"] == 0.125
    assert main(again) == 0
    assert "changed" not in capsys.readouterr().err
    assert len((out / "changes.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "setting",
    ["model.tokenizer=/no/such", "model.pretrained=/no/such.pt", "logging.wandb_project=x"],
)
def test_a_start_that_fails_on_a_setting_leaves_nothing(
    capsys, tmp_path, shards, setting, monkeypatch
):
    monkeypatch.setitem(sys.modules, "wandb", None)
    out = tmp_path / "runs" / "run"
    start = [str(a) for a in _quick(shards, out)]
    _mistake(capsys, *start, "--auto-resume", "--set", setting)
    assert not out.exists(), sorted(out.rglob("*"))
    assert main([*start, "--auto-resume"]) == 0
    stored = (out / "config.json").read_text()
    _mistake(capsys, "train", "--resume", "--out", out, "--set", setting)
    assert (out / "config.json").read_text() == stored
    assert not (out / "changes.jsonl").exists()


def test_a_start_that_fails_keeps_what_was_in_the_folder(capsys, tmp_path, shards):
    out = tmp_path / "run"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    _mistake(capsys, *_quick(shards, out), "--set", "model.tokenizer=/no/such")
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


def test_a_run_continues_from_another_folder(capsys, tmp_path, shards, monkeypatch):
    monkeypatch.chdir(shards.parent)
    out = tmp_path / "run"
    start = [str(a) for a in _quick(shards.name, out)]
    assert main(start) == 0
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--resume", "--out", str(out), "--set", "duration=2steps"]) == 0
    (line,) = (out / "changes.jsonl").read_text().splitlines()
    assert json.loads(line)["changes"] == {"duration": ["1steps", "2steps"]}


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


CLASS_NAMES = ("cat", "dog", "boat", "zebra")


class _Evaluation:
    """A tiny model and four small data sets, and the errors that commands with them end in."""

    def __init__(self, folder, capsys):
        self.model, self.data = folder / "model", folder / "animals"
        self.others, self.pairs = folder / "others", folder / "pairs"
        self._capsys = capsys

    def mistake(self, *arguments, model=None):
        """Nothing but the one line of the error may be on stderr."""
        code = main([str(a) for a in ("eval", model or self.model, *arguments)])
        error = self._capsys.readouterr().err
        assert code == 2, error
        assert error.startswith("error: "), error
        assert error.count("\n") == 1, error
        return error


@pytest.fixture(scope="module")
def small_sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    exported_model(folder / "model")
    samples = labelled(12, num_classes=4)
    write_evaluation_folder(folder / "animals", samples[:8], class_names=CLASS_NAMES)
    write_evaluation_folder(folder / "others", samples[8:], class_names=CLASS_NAMES)
    write_evaluation_folder(folder / "pairs", captioned([["a"], ["b"], ["c"]]))
    return folder


@pytest.fixture
def evaluation(small_sets, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache-home"))
    return _Evaluation(small_sets, capsys)


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("ViT-B-33:openai", "closest: ViT-B-32"),
        ("nosuchmodel", "there is no folder 'nosuchmodel' here, and unknown architecture"),
        ("ViT-B-32", "has no weights; name them as ViT-B-32:TAG"),
        ("runs/gone", "no such folder: runs/gone"),
        (".", "looked for frozen_in_time_config.json, nevlp_config.json"),
        ("local-dir:/nowhere", "'vlsuite export RUN' writes one"),
    ],
)
def test_model_that_does_not_exist(evaluation, model, hint):
    assert hint in evaluation.mistake("--data", evaluation.data, model=model)


def test_weights_that_are_not_there_or_broken(evaluation, tmp_path):
    assert "'opnai'" in evaluation.mistake("--data", evaluation.data, model="ViT-B-32:opnai")
    model = exported_model(tmp_path / "model")
    weights = model / "open_clip_model.safetensors"
    weights.write_bytes(b"no tensors" * 10)
    assert "cannot build" in evaluation.mistake("--data", evaluation.data, model=model)
    line = evaluation.mistake("--data", evaluation.data, model=f"ViT-B-32:{weights}")
    assert "cannot build" in line
    (tmp_path / "weights.pt").write_bytes(b"no pickle")
    line = evaluation.mistake("--data", evaluation.data, model="ViT-B-32:weights.pt")
    assert "cannot build" in line
    weights.unlink()
    assert "cannot build" in evaluation.mistake("--data", evaluation.data, model=model)


def test_missing_class_list(evaluation, tmp_path):
    shard = write_tar(tmp_path / "plain" / "a.tar", labelled(4, num_classes=2))
    assert "--class-names FILE" in evaluation.mistake("--data", shard)
    assert "gone.txt does not exist" in evaluation.mistake(
        "--data", shard, "--class-names", "gone.txt"
    )
    (tmp_path / "names.txt").write_text("only one\n")
    line = evaluation.mistake("--data", shard, "--class-names", "names.txt")
    assert "only 1 class names" in line
    assert "at least 2 lines" in line


def test_empty_sets(evaluation, tmp_path):
    write_evaluation_folder(tmp_path / "none", [], class_names=CLASS_NAMES)
    assert "no usable sample" in evaluation.mistake("--data", tmp_path / "none")
    (tmp_path / "folder" / "cat").mkdir(parents=True)
    (tmp_path / "folder" / "cat" / "notes.txt").write_text("no picture")
    assert "no class folders with pictures" in evaluation.mistake("--data", tmp_path / "folder")
    assert "no shard matches gone" in evaluation.mistake("--data", "gone")
    broken = [sample | {"png": b"broken"} for sample in labelled(4, num_classes=4)]
    write_evaluation_folder(tmp_path / "broken", broken, class_names=CLASS_NAMES)
    line = evaluation.mistake("--data", tmp_path / "broken")
    assert "none of the 4 images" in line
    assert "'vlsuite data validate'" in line


def test_nan_embeddings(evaluation, tmp_path):
    model = exported_model(tmp_path / "nan-images", spoil=nan_in_images)
    line = evaluation.mistake("--data", evaluation.data, model=model)
    assert "nan-images gives NaN or infinity" in line
    assert "check its weights" in line
    model = exported_model(tmp_path / "nan-zebra", spoil=nan_for_word("zebra"))
    (tmp_path / "prompts.txt").write_text("a {c}.\nthe {c}.\n")
    arguments = ("--data", evaluation.data, "--templates", "prompts.txt")
    line = evaluation.mistake(*arguments, model=model)
    assert "gives NaN or infinity for 2 of 8 texts" in line
    assert not list((tmp_path / "results").glob("*"))


@pytest.mark.parametrize(
    ("task", "setting", "hint"),
    [
        ("corruptions", "corruptions.severity=1", "did you mean 'severities'"),
        ("corruptions", "corruption.kinds=fog", "did you mean 'corruptions'"),
        ("corruptions", "severities=1", "write TASK.KEY=VALUE"),
        ("corruptions", "corruptions=all", "write TASK.KEY=VALUE"),
        ("corruptions", "corruptions.severities=6", "corruptions.severities needs some of 1,2,3"),
        ("corruptions", "corruptions.severities=high", "expected int"),
        ("corruptions", "corruptions.kinds=gausian_noise", "closest: gaussian_noise"),
        ("corruptions", "corruptions.constants=cifar", "choose auto, imagenet-c, cifar-c"),
        ("corruptions", "corruptions.frost_dir=/gone", "/gone is no folder"),
        ("corruptions", "corruptions.max_images=-1", "0 uses all"),
        ("adversarial", "attack.eps=0", "between 0 and 255"),
        ("adversarial", "attack.eps=nan", "between 0 and 255"),
        ("adversarial", "attack.eps=", "between 0 and 255"),
        ("adversarial", "attack.kind=fgsm", "choose apgd-ce, apgd, autoattack"),
        ("adversarial", "attack.steps=0", "attack.steps must be at least 1"),
        ("translation", "translation.rics_side=1", "above 1 and up to 4"),
        ("translation", "translation.rics_side=nan", "above 1 and up to 4"),
        ("translation", "translation.max_images=-1", "0 uses all"),
        ("perturbations", "perturbations.kinds=tlt", "closest: tilt"),
        ("perturbations", "perturbations.num_frames=1", "must be at least 2"),
        ("corruptions_3d", "corruptions.max_images=-1", "0 uses all"),
        ("corruptions_3d", "corruptions.severities=2", "no depth"),
        ("zero_shot", "attack.kind=apgd-ce", "add --task adversarial"),
        ("all", "attack.kind=fgsm", "adversarial: attack.kind is 'fgsm'"),
        ("all", "corruptions.severities=0", "corruptions: corruptions.severities needs"),
    ],
)
def test_settings_of_tasks(evaluation, task, setting, hint):
    arguments = ("--data", evaluation.data, "--task", task, "--set", setting)
    assert hint in evaluation.mistake(*arguments)


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("ood.neighbour=9", "ood.neighbour is 9 and there are 4 pictures"),
        ("ood.neighbour=0", "ood.neighbour is 0"),
        ("ood.template=photo", "write {c} where the class name goes"),
    ],
)
def test_settings_of_detection(evaluation, setting, hint):
    arguments = ("--data", evaluation.data, "--task", "ood", "--ood", evaluation.others)
    assert hint in evaluation.mistake(*arguments, "--set", setting)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--task", "zeroshot"], "unknown evaluation task 'zeroshot'; closest: zero_shot"),
        (["--task", "ood"], "give other pictures with --ood"),
        (["--task", "ood", "--ood", "gone"], "no shard matches gone"),
        (["--task", "shift", "--base", "gone"], "no shard matches gone"),
        (["--task", "shift"], "with --base PATH"),
        (["--task", "factors", "--factors", "gone"], "cannot read gone"),
        (["--factors", "gone"], "add --task factors"),
        (["--bank", "gone"], "no shard matches gone"),
        (["--influence", "colour=red"], "write KEY=VALUE with one of architecture"),
        (["--seed", "-1"], "--seed is -1"),
        (["--device", "abacus"], "device abacus: "),
        (["--cache", "c", "--no-cache"], "leave one of them out"),
        (["--split", "val"], "choose one of: test (--split NAME)"),
        (["--templates", "gone.txt"], "known sets: cifar10, imagenet"),
    ],
)
def test_options(evaluation, arguments, hint):
    assert hint in evaluation.mistake("--data", evaluation.data, *arguments)


def test_options_that_nothing_uses(evaluation):
    arguments = ("--data", evaluation.data, "--backgrounds", evaluation.others)
    assert "background pictures given" in evaluation.mistake(*arguments)
    arguments = ("--data", evaluation.data, "--ood", evaluation.others)
    assert "add --task ood" in evaluation.mistake(*arguments)
    arguments = ("--data", evaluation.pairs, "--templates", "simple")
    assert "templates given" in evaluation.mistake(*arguments)


def test_store_that_cannot_be_written(evaluation, tmp_path):
    (tmp_path / "file").write_text("")
    for cache in ("file", "file/below", "/proc/vlsuite-cache"):
        line = evaluation.mistake("--data", evaluation.data, "--cache", cache)
        assert f"cannot keep embeddings in {cache}" in line
        assert "--cache DIR, or --no-cache" in line


def test_results_that_cannot_be_written(evaluation, tmp_path):
    (tmp_path / "file").write_text("")
    line = evaluation.mistake("--data", evaluation.data, "--out", "file")
    assert "--out file is a file; give a folder" in line


def test_full_disk(evaluation, tmp_path):
    """A file-size limit makes writes fail as a full disk does; nothing half-written is left."""
    previous = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (256, previous[1]))
        line = evaluation.mistake("--data", evaluation.data, "--cache", "store")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, previous)
        signal.signal(signal.SIGXFSZ, handler)
    assert "cannot write store/" in line
    assert "free space" in line
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert set(left) <= {".lock"}


def test_influences_stated_later_reach_the_finished_result(evaluation, tmp_path, capsys):
    arguments = ["eval", str(evaluation.model), "--data", str(evaluation.data), "--out", "out"]
    assert main(arguments) == 0
    (path,) = (tmp_path / "out").glob("*.json")
    before = json.loads(path.read_text())
    assert main([*arguments, "--influence", "training_source=noise"]) == 0
    assert "finished earlier, kept" in capsys.readouterr().out
    after = json.loads(path.read_text())
    assert after.pop("influences") == before.pop("influences") | {"training_source": "noise"}
    assert after == before
    assert len(list((tmp_path / "out" / "superseded").iterdir())) == 1
    assert main(arguments) == 0
    assert json.loads(path.read_text())["influences"]["training_source"] == "noise"


def test_models_to_compare(evaluation, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for out, data in ((one, evaluation.data), (other, evaluation.others)):
        arguments = ("eval", evaluation.model, "--data", data, "--out", out)
        assert main([str(argument) for argument in arguments]) == 0
    mistake = evaluation.mistake
    assert "vlsuite eval compare" in mistake(other, "--data", evaluation.data, model=one)
    assert "compare needs two models" in mistake(one, model="compare")
    assert "twice" in mistake(one, one, model="compare")
    assert "no result in common" in mistake(one, other, model="compare")
    assert "gone is no folder of results" in mistake(one, "gone", model="compare")
    assert "nothing to report in" in mistake(one, evaluation.others, model="compare")
    assert "give --data PATH" in mistake(one, other, "--task", "ood", model="compare")
    line = mistake(one, other, "--data", evaluation.data, model="compare")
    assert "looked for frozen_in_time_config.json, nevlp_config.json" in line
