"""Losses of names from kept maps are those of the whole network; trunks of any width."""

import dataclasses

import pytest
import torch

from tests.support.detectors import square_batch, tiny_detector, tiny_network
from vlsuite.models.vild.settings import NetworkSettings, TrunkSettings
from vlsuite.models.vild.targets import targets_of
from vlsuite.objectives.vild import class_loss, image_loss

CPU = torch.device("cpu")
TRAINED = ("supervised", "text", "image", "vild", "ensemble")


def separate(**changes) -> NetworkSettings:
    network = tiny_network()
    return dataclasses.replace(
        network, heads=dataclasses.replace(network.heads, separate=True, **changes)
    )


def named_losses(terms) -> dict[str, torch.Tensor]:
    found = {}
    if terms.classes is not None:
        found["text"] = class_loss(*terms.classes)
    if terms.distilled is not None:
        found["image"] = image_loss(*terms.distilled)
    return found


@pytest.mark.parametrize("mode", TRAINED)
def test_losses_and_gradients_of_names_are_those_of_the_whole(mode):
    built = tiny_detector(mode, network=separate(cells=4))
    network = built.network
    batch = square_batch(range(3), empty=(1,))
    pixels = batch.pixels(built.preprocess, device=CPU, dtype=torch.float32)
    targets = targets_of(batch, CPU)
    whole = named_losses(network(pixels, targets))
    sum(whole.values()).backward()
    own = {
        name: value.grad.clone()
        for name, value in network.named_parameters()
        if value.grad is not None and not name.startswith(("trunk.", "proposals.", "box"))
    }
    assert own
    network.zero_grad()
    with torch.no_grad():
        maps, proposals = network.localise(
            pixels, batch.sizes, keep=network.settings.proposals.train
        )
    size = (pixels.shape[2], pixels.shape[3])
    kept = named_losses(network.name_terms(maps, proposals.boxes, targets, size))
    assert kept.keys() == whole.keys()
    for name, loss in kept.items():
        torch.testing.assert_close(loss, whole[name], rtol=1e-6, atol=1e-6)
    sum(kept.values()).backward()
    for name, value in network.named_parameters():
        if name in own:
            torch.testing.assert_close(value.grad, own[name], rtol=1e-4, atol=1e-6)
        else:
            assert value.grad is None or not value.grad.any()


@pytest.mark.parametrize("width", [32, 96, 160])
def test_a_small_trunk_has_any_width_that_is_allowed(width):
    network = dataclasses.replace(
        tiny_network(), trunk=TrunkSettings(kind="small", norm="group", width=width)
    )
    built = tiny_detector("supervised", network=network)
    maps = built.network.trunk(torch.zeros(1, 3, 64, 64))
    assert maps["0"].shape == (1, width, 8, 8)


def test_cells_cut_regions_finer_or_coarser():
    counts = {
        cells: tiny_detector("text", network=separate(cells=cells)).network.box_head[1].in_features
        for cells in (4, 7)
    }
    assert counts == {4: 32 * 16, 7: 32 * 49}
