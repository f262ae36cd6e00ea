"""NEVLP trained by two processes under ZeRO 1 and 2, and by one that is interrupted."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from data_pipelines.settings import apply_overrides
from tests.support.nevlp_models import frozen_parts
from tests.support.runs import make_shards, run_to_end
from tests.support.warm_processes import exit_codes, start_ranks
from vlsuite.engine.checkpoint import list_checkpoints
from vlsuite.engine.config import TrainConfig
from vlsuite.models.opening import open_model
from vlsuite.recipes.nevlp import nevlp

STEPS = 4


def config(parts: tuple[Path, Path], shards: Path, *overrides: str) -> TrainConfig:
    tower, language_model = parts
    settings = [
        f"model.image_tower.name=local-dir:{tower}",
        f"model.language_model={language_model}",
        "model.querying.num_queries=4",
        "model.querying.width=32",
        "model.querying.depth=2",
        "model.querying.heads=2",
        "model.context_length=24",
        "model.embed_dim=16",
        f"data.train={shards}",
        "data.num_workers=0",
        "optim.warmup_steps=2",
        "global_batch_size=16",
        f"duration={STEPS}steps",
        "logging.every=1steps",
        "checkpoint.every=2steps",
        "threads=1",
    ]
    return apply_overrides(nevlp(), [*settings, *overrides])


def worker(parts: tuple[Path, Path], shards: Path, root: Path) -> None:
    rank = int(os.environ["RANK"])
    for stage in (1, 2):
        run_once(config(parts, shards, f"deepspeed=zero{stage}"), root / f"zero{stage}", rank)
    alone = config(parts, shards, "objective.itm_weight=0", "deepspeed=zero1")
    run_once(alone, root / "no-matching", rank)


def run_once(settings: TrainConfig, path: Path, rank: int) -> None:
    from vlsuite.engine.distributed import start_distributed
    from vlsuite.engine.run_folder import RunFolder
    from vlsuite.engine.train_loop import train

    ctx = start_distributed(threads=1)
    folder = RunFolder(path)
    if rank == 0:
        folder.create("nevlp", settings)
    ctx.barrier()
    train(settings, ctx, folder)


def losses_of(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["kind"] == "train"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder of shards and of the runs of two processes."""
    root = tmp_path_factory.mktemp("nevlp")
    shards = make_shards(root)
    assert exit_codes(start_ranks(2, worker, frozen_parts(), shards, root)) == [0, 0]
    return root


@pytest.mark.parametrize("stage", [1, 2])
def test_frozen_parts_are_what_they_were(runs, stage):
    export = runs / f"zero{stage}" / "export"
    tower, language_model = frozen_parts()
    pairs = [
        (tower / "open_clip_model.safetensors", "image_tower/open_clip_model.safetensors"),
        (language_model / "model.safetensors", "language_model/model.safetensors"),
    ]
    for before, after in pairs:
        old, new = load_file(before), load_file(export / after)
        assert old.keys() == new.keys()
        assert all(torch.equal(old[name], new[name]) for name in old)


def test_stages_agree(runs):
    first, second = losses_of(runs / "zero1"), losses_of(runs / "zero2")
    assert len(first) == STEPS
    assert first == pytest.approx(second, abs=1e-5)
    assert first[-1] < first[0]
    weights = [load_file(runs / f"zero{s}" / "export" / "nevlp.safetensors") for s in (1, 2)]
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=0, atol=1e-5)


def test_two_processes_equal_one_but_for_what_they_draw(runs, tmp_path):
    """Hard negatives are drawn by each process, so matching is left out."""
    alone = config(frozen_parts(), runs / "shards", "objective.itm_weight=0")
    _, losses = run_to_end(alone, tmp_path / "run")
    assert losses == pytest.approx(losses_of(runs / "no-matching"), abs=1e-5)


def test_a_run_goes_on_where_it_stopped(runs, tmp_path):
    settings = config(frozen_parts(), runs / "shards")
    whole, losses = run_to_end(settings, tmp_path / "run")
    memory = {name: value.clone() for name, value in whole.objective.memory().items()}
    checkpoints = list_checkpoints(tmp_path / "run" / "checkpoints")
    shutil.rmtree(checkpoints[-1])
    before = load_file(tmp_path / "run" / "export" / "nevlp.safetensors")
    again, all_losses = run_to_end(settings, tmp_path / "run")
    assert all_losses[-2:] == losses[-2:]
    after = load_file(tmp_path / "run" / "export" / "nevlp.safetensors")
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    for name, value in again.objective.memory().items():
        assert torch.equal(value.nan_to_num(), memory[name].nan_to_num()), name


def test_a_trained_run_is_loaded_for_evaluation(runs):
    model = open_model(str(runs / "zero1"))
    pixels = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    assert model.embed_images(pixels).shape == (2, 16)
    assert len(model.caption(pixels, max_tokens=4)) == 2
