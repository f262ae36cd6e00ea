"""One file that finds what the detector finds, without teacher and without this package."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.support.detectors import tiny_detector, tiny_network
from vlsuite.cli.main import main
from vlsuite.errors import ModelError
from vlsuite.models.vild.fixed_detector import fixed_detector
from vlsuite.models.vild.settings import NetworkSettings, TrunkSettings
from vlsuite.models.vild.trainable import TrainableVild

CPU = torch.device("cpu")
NAMES = ("red", "zebra", "yellow", "hot dog")
#: Height and width: as trained, wide, tall, smaller than a cell, larger than any.
SIZES = ((64, 64), (40, 90), (130, 50), (7, 5), (33, 257))


def picture(size: tuple[int, int]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(size[0])
    return torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=generator)


def check_same(built: TrainableVild, sizes: tuple[tuple[int, int], ...] = SIZES) -> None:
    """Boxes to 1e-3 pixels, scores to 1e-5, labels and their number."""
    fixed = fixed_detector(built, NAMES)
    assert fixed.names == list(NAMES)
    model = built.evaluated("tiny", scalars={}, device=CPU)
    for number, size in enumerate(sizes):
        most = (300, 5)[number % 2]
        (wanted,) = model.detect([picture(size)], NAMES, max_detections=most)
        boxes, scores, labels = fixed(picture(size), most)
        assert len(wanted.boxes)
        torch.testing.assert_close(boxes, wanted.boxes, rtol=0, atol=1e-3)
        torch.testing.assert_close(scores, wanted.scores, rtol=0, atol=1e-5)
        assert torch.equal(labels, wanted.labels)


@pytest.mark.parametrize("mode", ["supervised", "text", "image", "vild", "ensemble"])
def test_it_finds_the_same(mode):
    check_same(tiny_detector(mode))


def test_after_a_training_under_zero_3(monkeypatch):
    """DeepSpeed leaves a linear of its own in torch.nn.functional."""
    from deepspeed.runtime.zero.linear import zero3_linear_wrap

    monkeypatch.setattr(torch.nn.functional, "linear", zero3_linear_wrap)
    check_same(tiny_detector("text"), SIZES[:1])
    assert torch.nn.functional.linear is zero3_linear_wrap


def test_with_a_head_of_names_of_its_own_and_masks():
    heads = dataclasses.replace(tiny_network(masks=True).heads, separate=True)
    check_same(tiny_detector("ensemble", network=dataclasses.replace(tiny_network(), heads=heads)))


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_the_pyramid_of_the_published_size(norm):
    heads = dataclasses.replace(NetworkSettings().heads, convs=1, width=64)
    network = NetworkSettings(trunk=TrunkSettings(kind="resnet50_fpn", norm=norm), heads=heads)
    check_same(tiny_detector("vild", network=network), SIZES[:2])


def test_a_teacher_that_looks_at_pictures_cannot_be_folded_in():
    with pytest.raises(ModelError, match="asks its teacher about every picture"):
        fixed_detector(tiny_detector("crop"), NAMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    built = tiny_detector("ensemble")
    place = tmp_path_factory.mktemp("detector")
    built.write(place, built.network.state_dict(), scalars={}, name="tiny", history=None)
    return place


def test_the_command_writes_a_file_that_runs_alone(folder, tmp_path, capfd):
    """In a process that cannot import this package."""
    names = tmp_path / "names.txt"
    names.write_text("red\nzebra\n\nyellow\n", encoding="utf-8")
    out = tmp_path / "out"
    told = ["--format", "torchscript", "--names", str(names), "--out", str(out)]
    assert main(["export", str(folder), *told]) == 0
    shown = capfd.readouterr()
    assert "3 names folded in" in shown.out
    assert "4 sizes are those of the model" in shown.out
    assert "deprecated" not in shown.err
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "detector.pt", "names.txt"]
    code = f"""
import sys
sys.path = [p for p in sys.path if p]
import torch, torchvision
detector = torch.jit.load({str(out / "detector.pt")!r})
boxes, scores, labels = detector(torch.full((3, 50, 70), 99, dtype=torch.uint8), 5)
assert boxes.shape == (5, 4) and (scores.diff() <= 0).all(), boxes
assert detector.names == ["red", "zebra", "yellow"]
assert not [name for name in sys.modules if name.split(".")[0] in ("vlsuite", "open_clip")]
"""
    subprocess.run([sys.executable, "-P", "-W", "ignore", "-c", code], cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    ("options", "content", "told"),
    [
        (["--format", "torchscript"], "", "it has no name"),
        (["--format", "torchscript"], "dog\ncat\ndog\n", "'dog' occurs twice"),
        (["--format", "vild"], "dog\n", "for a detector: --format torchscript"),
    ],
)
def test_names_that_cannot_be_folded_in_are_one_line(
    folder, tmp_path, capsys, options, content, told
):
    names = tmp_path / "names.txt"
    names.write_text(content, encoding="utf-8")
    words = ["export", str(folder), *options, "--names", str(names), "--out", str(tmp_path / "o")]
    assert main(words) == 2
    assert told in capsys.readouterr().err
