"""CoCa trained by two processes, in micro-batches, interrupted, opened, and asked for captions."""

import shutil
from functools import partial
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import load_file

from eval.contract import Captioner
from tests.support.coca_models import NAME
from tests.support.runs import logged, make_shards, run_to_end, small_config, train_stages
from tests.support.warm_processes import exit_codes, start_ranks
from vlsuite.api.evaluation import evaluate
from vlsuite.cli.main import main
from vlsuite.engine.checkpoint import list_checkpoints
from vlsuite.engine.config import TrainConfig
from vlsuite.models.opening import open_model

WEIGHTS = "open_clip_model.safetensors"
STAGES = (0, 2, 3)
#: fp32 sums over 16 captions in another order, after four steps of AdamW.
LOSS, WEIGHT = 2e-5, 2e-4


def config(shards: Path, *overrides: str) -> TrainConfig:
    settings = [f"model.name={NAME}", "objective=coca", "checkpoint.every=2steps"]
    return small_config(shards, *settings, *overrides)


def worker(shards: Path, root: Path) -> None:
    train_stages(partial(config, shards), root, STAGES, micro=4)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Folder of shards, of the runs of two processes, and of one process ("one")."""
    root = tmp_path_factory.mktemp("coca")
    shards = make_shards(root)
    log = root / "log"
    codes = exit_codes(start_ranks(2, worker, shards, root, log=log))
    assert codes == [0, 0], log.read_text()[-3000:]
    run_to_end(config(shards), root / "one")
    return root


def assert_same_run(ours: Path, reference: Path) -> None:
    for a, b in zip(logged(ours), logged(reference), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=LOSS)
        assert a["terms"].keys() == {"clip", "caption"}
        assert a["terms"] == pytest.approx(b["terms"], abs=LOSS)
    weights = load_file(ours / "export" / WEIGHTS)
    for name, value in load_file(reference / "export" / WEIGHTS).items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=WEIGHT, msg=name)


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_equal_one(runs, stage):
    assert_same_run(runs / f"zero{stage}", runs / "one")


def test_micro_batches_equal_one_batch(runs, tmp_path):
    run_to_end(config(runs / "shards", "micro_batch_size=4"), tmp_path / "parts")
    assert_same_run(tmp_path / "parts", runs / "one")


def test_the_loss_is_the_weighted_sum_and_falls(runs):
    lines = logged(runs / "one")
    for line in lines:
        terms = line["terms"]
        assert line["loss"] == pytest.approx(terms["clip"] + 2 * terms["caption"], rel=1e-6)
    assert lines[-1]["terms"]["caption"] < lines[0]["terms"]["caption"]


def test_a_run_goes_on_where_it_stopped(runs, tmp_path):
    settings = config(runs / "shards")
    _, losses = run_to_end(settings, tmp_path / "run")
    before = load_file(tmp_path / "run" / "export" / WEIGHTS)
    shutil.rmtree(list_checkpoints(tmp_path / "run" / "checkpoints")[-1])
    _, all_losses = run_to_end(settings, tmp_path / "run")
    assert all_losses[-2:] == losses[-2:]
    after = load_file(tmp_path / "run" / "export" / WEIGHTS)
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_contrastive_objective_trains_the_towers_alone(runs, tmp_path, capsys):
    run_to_end(config(runs / "shards", "objective=siglip", "duration=2steps"), tmp_path / "run")
    assert "text decoder" in capsys.readouterr().err
    start = load_file(runs / "one" / "export" / WEIGHTS)
    weights = load_file(tmp_path / "run" / "export" / WEIGHTS)
    assert start.keys() <= weights.keys()
    assert open_model(str(tmp_path / "run")).logit_bias != 0


@pytest.mark.parametrize("option", ["lock_image", "grad_checkpointing"])
def test_training_options(runs, tmp_path, option):
    settings = config(runs / "shards", f"model.{option}=true", "micro_batch_size=8")
    _, losses = run_to_end(settings, tmp_path / "run")
    if option == "grad_checkpointing":
        assert losses == pytest.approx([line["loss"] for line in logged(runs / "one")], abs=LOSS)
    assert losses[-1] < losses[0]


def test_export_opens_in_plain_open_clip_and_writes(runs, tmp_path, capsys):
    out = tmp_path / "exported"
    assert main(["export", str(runs / "one"), "--out", str(out)]) == 0
    assert "caption logits" in capsys.readouterr().out
    plain = open_clip.create_model(f"local-dir:{out}")
    assert isinstance(plain, open_clip.CoCa)
    assert "model.generate" in (out / "README.md").read_text()
    model = open_model(f"local-dir:{out}")
    assert isinstance(model, Captioner)
    results = evaluate(model, runs / "shards", tasks=["captioning", "retrieval"])
    scores = {r.benchmark: set(r.scores) for r in results}
    assert {"cider", "cider_shuffled"} <= scores["captioning"]
    assert scores["retrieval"]


def test_a_decoder_that_cannot_learn_is_refused_before_the_data_is_opened(tmp_path, capsys):
    (tmp_path / "nothing.tar").write_bytes(b"no shard")
    code = main(
        [
            "train",
            "cifar10",
            "--out",
            str(tmp_path / "run"),
            "--set",
            "model.name=coca_roberta-ViT-B-32",
            "--set",
            f"data.train={tmp_path / 'nothing.tar'}",
        ]
    )
    told = capsys.readouterr().err.strip()
    assert code == 2
    assert "both directions" in told
    assert "\n" not in told
    assert not (tmp_path / "run").exists()
