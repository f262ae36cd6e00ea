"""The detector: what it learns, what it finds, what changes nothing."""

import dataclasses

import pytest
import torch

from tests.support.detectors import NAMES, SIDE, square_batch, squares, tiny_detector, tiny_network
from vlsuite.errors import ConfigError
from vlsuite.models.vild.model import Vild
from vlsuite.models.vild.targets import targets_of
from vlsuite.models.vild.trainable import TrainableVild
from vlsuite.objectives.vild import VildObjectiveConfig

MODES = ("supervised", "text", "image", "vild", "ensemble", "crop")
CPU = torch.device("cpu")


def losses_of(built: TrainableVild, batch):
    pixels = batch.pixels(built.preprocess, device=CPU, dtype=torch.float32)
    output = built.network(pixels, targets_of(batch, CPU))
    return VildObjectiveConfig().build()(output, batch)


def model_of(built: TrainableVild) -> Vild:
    return built.evaluated("tiny", scalars={}, device=CPU)


def pictures(count: int) -> list[torch.Tensor]:
    return [torch.from_numpy(squares(seed)[0]).permute(2, 0, 1) for seed in range(count)]


@pytest.mark.parametrize("mode", MODES)
class TestEveryMode:
    def test_some_steps_lower_the_loss(self, mode):
        built = tiny_detector(mode)
        batch = square_batch(range(4))
        optimizer = torch.optim.AdamW(built.network.parameters(), lr=2e-3)
        found = []
        for _ in range(12):
            optimizer.zero_grad()
            losses = losses_of(built, batch)
            losses.total.backward()
            optimizer.step()
            found.append(float(losses.total.detach()))
        assert found[-1] < 0.8 * found[0]

    def test_every_weight_has_a_gradient_without_objects(self, mode):
        """Else processes wait for each other's gradients for ever."""
        built = tiny_detector(mode, network=tiny_network(masks=True))
        losses = losses_of(built, square_batch(range(2), empty=(0, 1)))
        losses.total.backward()
        assert torch.isfinite(losses.total)
        missing = [n for n, p in built.network.named_parameters() if p.grad is None]
        assert not missing

    def test_losses_are_a_mean_over_pictures(self, mode):
        """So two processes, or two micro-batches, are one."""
        built = tiny_detector(mode, network=tiny_network(masks=True))
        whole = losses_of(built, square_batch(range(4), empty=(1,)))
        parts = [
            losses_of(built, square_batch(range(2), empty=(1,))),
            losses_of(built, square_batch(range(2, 4))),
        ]
        for name, value in whole.terms.items():
            mean = sum(part.terms[name] for part in parts) / 2
            torch.testing.assert_close(value, mean, rtol=1e-5, atol=1e-6, msg=name)

    def test_detections_are_in_the_picture_and_sorted(self, mode):
        model = model_of(tiny_detector(mode))
        images = [*pictures(2), torch.zeros(3, 40, 90, dtype=torch.uint8)]
        found = model.detect(images, NAMES, max_detections=7)
        assert len(found) == 3
        for image, one in zip(images, found, strict=True):
            assert 0 < len(one.boxes) <= 7
            assert (one.boxes >= -1e-3).all()
            limit = torch.tensor([image.shape[2], image.shape[1]] * 2) + 1e-3
            assert (one.boxes <= limit).all()
            assert (one.scores.diff() <= 0).all()
            assert one.labels.max() < len(NAMES)

    def test_company_changes_nothing(self, mode):
        model = model_of(tiny_detector(mode))
        images = pictures(3)
        together = model.detect(images, NAMES, max_detections=9)
        alone = [model.detect([image], NAMES, max_detections=9)[0] for image in images]
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one.scores, other.scores, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", ["text", "image", "vild", "ensemble", "supervised"])
def test_names_per_pass_changes_nothing(mode):
    """1,203 names in passes of 40, 80 and all: equal detections to 1e-6."""
    model = model_of(tiny_detector(mode))
    names = [*NAMES, *(f"thing {n}" for n in range(1199))]
    wanted = model.detect(pictures(1), names, max_detections=50)[0]
    for size in (40, 80):
        found = model.detect(pictures(1), names, max_detections=50, names_per_pass=size)[0]
        assert torch.equal(found.labels, wanted.labels)
        torch.testing.assert_close(found.scores, wanted.scores, rtol=0, atol=1e-6)
        torch.testing.assert_close(found.boxes, wanted.boxes, rtol=0, atol=1e-6)


def test_another_vocabulary_and_back():
    model = model_of(tiny_detector("text"))
    before = model.detect(pictures(1), [f"a {n}" for n in range(65)], max_detections=20)[0]
    many = model.detect(pictures(1), [f"b {n}" for n in range(1203)], max_detections=20)[0]
    assert many.labels.max() > 65
    again = model.detect(pictures(1), [f"a {n}" for n in range(65)], max_detections=20)[0]
    assert torch.equal(before.scores, again.scores)


def test_a_supervised_detector_is_blind_to_other_names():
    model = model_of(tiny_detector("supervised"))
    assert not len(model.detect(pictures(1), ["zebra", "yellow"], max_detections=5)[0].boxes)


def test_an_empty_vocabulary_is_one_line():
    with pytest.raises(ConfigError, match="vocabulary is empty"):
        model_of(tiny_detector("text")).detect(pictures(1), [], max_detections=5)


def test_frozen_localizer_needs_a_head_of_its_own_and_weights(tmp_path):
    with pytest.raises(ConfigError, match=r"heads\.separate=true"):
        tiny_detector("text", frozen="localizer", localizer="x")
    heads = dataclasses.replace(tiny_network().heads, separate=True)
    network = dataclasses.replace(tiny_network(), heads=heads)
    with pytest.raises(ConfigError, match="name a trained detector"):
        tiny_detector("text", frozen="localizer", network=network)


def test_a_localizer_is_taken_over_and_frozen(tmp_path):
    heads = dataclasses.replace(tiny_network().heads, separate=True)
    network = dataclasses.replace(tiny_network(), heads=heads)
    first = tiny_detector("supervised", network=network, seed=1)
    folder = tmp_path / "localizer"
    first.write(folder, first.network.state_dict(), scalars={}, name="l", history=None)
    built = tiny_detector("vild", network=network, localizer=str(folder), frozen="localizer")
    taken = first.network.state_dict()
    trained = {n for n, p in built.network.named_parameters() if p.requires_grad}
    assert trained
    assert all(n.startswith(("name_head.", "projection.", "classes.")) for n in trained)
    for name, value in built.network.state_dict().items():
        if name.startswith(("trunk.", "box_head.")):
            assert torch.equal(value, taken[name])


@pytest.mark.parametrize("mode", ["supervised", "ensemble"])
def test_a_folder_is_the_same_detector(mode, tmp_path):
    from vlsuite.models.opening import open_model

    built = tiny_detector(mode)
    built.write(tmp_path, built.network.state_dict(), scalars={}, name="t", history=None)
    again = open_model(str(tmp_path))
    assert again.fingerprint == model_of(built).fingerprint
    image = pictures(1)
    wanted = model_of(built).detect(image, NAMES, max_detections=5)[0]
    assert torch.equal(again.detect(image, NAMES, max_detections=5)[0].scores, wanted.scores)


def test_masks_are_run_lengths_of_the_picture():
    pytest.importorskip("pycocotools")
    model = model_of(tiny_detector("text", network=tiny_network(masks=True)))
    found = model.detect(pictures(1), NAMES, max_detections=4)[0]
    assert found.masks is not None
    assert [mask["size"] for mask in found.masks] == [[SIDE, SIDE]] * len(found.boxes)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_the_published_size_trains_and_finds(norm):
    """ResNet-50 with pyramid on small pictures; not trained here."""
    from vlsuite.models.vild.settings import NetworkSettings, TrunkSettings

    network = NetworkSettings(trunk=TrunkSettings(kind="resnet50_fpn", norm=norm))
    built = tiny_detector("vild", network=network)
    losses = losses_of(built, square_batch(range(2)))
    losses.total.backward()
    assert torch.isfinite(losses.total)
    maps, proposals = built.network.eval().localise(torch.zeros(1, 3, 64, 96), [(64, 90)], keep=5)
    assert [tuple(m.shape[2:]) for m in maps.values()][:2] == [(16, 24), (8, 12)]
    assert proposals.boxes[0].shape == (5, 4)
