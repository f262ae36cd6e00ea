"""Fine-tuning with replay: two vocabularies in one run; killed, and cut into micro-batches."""

import dataclasses
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

from data_pipelines.settings import apply_overrides
from tests.support.detection_shards import write_squares
from tests.support.detectors import four_steps, squares, tiny_config, tiny_network
from tests.support.own_squares import write_own_squares
from tests.support.runs import run_to_end
from tests.support.warm_processes import exit_codes, start
from vlsuite.engine.checkpoint import list_checkpoints
from vlsuite.engine.config import TrainConfig
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.opening import open_model
from vlsuite.models.vild import trunk
from vlsuite.models.vild.settings import NetworkSettings, TrunkSettings
from vlsuite.models.vild.trainable import TrainableVild

WEIGHTS = "export/vild.safetensors"


def config(root: Path, *overrides: str, network: NetworkSettings | None = None) -> TrainConfig:
    """8 pictures a step, four steps, of the base set."""
    model = tiny_config("text", vocabulary=(str(root / "base"),))
    model = dataclasses.replace(model, network=network or tiny_network())
    return four_steps(model, root / "base", *overrides)


def fine(root: Path, *overrides: str) -> TrainConfig:
    """The same from the start on, on own pictures and as many of the base set."""
    both = f"{root / 'own'},{root / 'base'}"
    settings = config(root)
    model = dataclasses.replace(settings.model, teacher=OpenClipConfig())
    words = [f"model.pretrained={root / 'start'}", f"model.vocabulary={both}"]
    words += [f"data.train={both}", "data.weights=1,1", *overrides]
    return apply_overrides(dataclasses.replace(settings, model=model), words)


def killed_in_step_4(root: Path, out: Path) -> None:
    """As by the system, in the middle of the last step."""
    forward, calls = TrainableVild.forward, []

    def counted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return forward(*args, **kwargs)

    TrainableVild.forward = counted
    run_to_end(fine(root), out)


def shallow(*, weights: None, norm_layer: Callable[[int], nn.Module]) -> ResNet:
    """ResNet-50 with one block where it has several."""
    return ResNet(Bottleneck, [1, 1, 1, 1], norm_layer=norm_layer)


def logged(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "train"]


def check_same_weights(one: Path, other: Path) -> None:
    found = load_file(one / WEIGHTS)
    for name, value in load_file(other / WEIGHTS).items():
        assert torch.equal(found[name], value), name


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("fine")
    write_squares(root / "base", 24)
    write_own_squares(root / "own", 16)
    run_to_end(config(root), root / "start")
    run_to_end(fine(root), root / "fine")
    return root


def test_it_finds_names_of_both_and_goes_on_from_the_start(root):
    model = open_model(str(root / "fine"))
    image = torch.from_numpy(squares(0)[0]).permute(2, 0, 1)
    (found,) = model.detect([image], ["zebra", "yellow", "red"], max_detections=9)
    assert len(found.boxes) == 9
    about = json.loads((root / "fine" / "export" / "categories.json").read_text())
    names = {one["name"]: one["group"] for one in about["categories"]}
    assert names == dict.fromkeys(("zebra", "yellow", "red", "green", "blue"), "base")
    first, fresh = logged(root / "fine")[0], logged(root / "start")[0]
    assert first["terms"]["proposal_box"] < fresh["terms"]["proposal_box"]


def test_killed_and_continued_is_the_same(root, tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    codes = exit_codes([start(killed_in_step_4, root, out, log=log)])
    assert codes == [-signal.SIGKILL], log.read_text()[-3000:]
    assert len(list_checkpoints(out / "checkpoints")) == 1
    run_to_end(fine(root), out)
    assert [line["loss"] for line in logged(out)] == [
        line["loss"] for line in logged(root / "fine")
    ]
    check_same_weights(out, root / "fine")


def test_micro_batches_change_nothing(root, tmp_path):
    """Losses are means over pictures, whichever names these are annotated with."""
    run_to_end(fine(root, "micro_batch_size=2"), tmp_path / "run")
    for ours, theirs in zip(logged(tmp_path / "run"), logged(root / "fine"), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=5e-5)


def test_batch_norm_goes_on_where_it_stopped(root, tmp_path, monkeypatch):
    """Running statistics too; a pyramid of four blocks stands in for ResNet-50."""
    monkeypatch.setattr(trunk, "resnet50", shallow)
    heads = dataclasses.replace(tiny_network().heads, convs=1)
    proposals = dataclasses.replace(
        tiny_network().proposals, anchor_sizes=(8.0, 16.0, 32.0, 64.0, 128.0)
    )
    network = NetworkSettings(
        trunk=TrunkSettings(kind="resnet50_fpn", norm="batch"), heads=heads, proposals=proposals
    )
    settings = config(
        root, "global_batch_size=4", "duration=3steps", "checkpoint.keep=5", network=network
    )
    out = tmp_path / "run"
    run_to_end(settings, out)
    shutil.copytree(out / "export", tmp_path / "whole" / "export")
    losses = [line["loss"] for line in logged(out)]
    shutil.rmtree(list_checkpoints(out / "checkpoints")[-1])
    assert list_checkpoints(out / "checkpoints")
    run_to_end(settings, out)
    assert [line["loss"] for line in logged(out)] == losses
    check_same_weights(out, tmp_path / "whole")
    statistics = load_file(out / WEIGHTS)["trunk.net.body.bn1.running_mean"]
    assert statistics.abs().max() > 0
