"""Draws, batching, names and errors of the corruptions; their pixels are tested for parity."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eval.corruptions import frost
from eval.corruptions.apply import corrupt, describe
from eval.corruptions.catalogue import KERNELS
from eval.corruptions.contact_sheet import write_contact_sheet
from eval.corruptions.draws import Draws, keys_of
from eval.corruptions.severities import ALL_CORRUPTIONS, CORRUPTIONS, SEVERITIES, constants_of
from eval.errors import EvaluationError
from tests.support.pictures import noise, scene


def pixels(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy())


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.stack([pixels(scene(48, 40)), pixels(noise(48, 40)), pixels(scene(48, 40))])


def test_every_name_has_constants_and_a_kernel() -> None:
    assert len(CORRUPTIONS) == 15
    assert set(KERNELS) == set(ALL_CORRUPTIONS)
    for corruption in ALL_CORRUPTIONS:
        for constants in ("imagenet-c", "cifar-c"):
            rows = {constants_of(corruption, severity, constants) for severity in SEVERITIES}
            assert len(rows) == 5


def test_words_are_those_of_splitmix64() -> None:
    # first three of seed 1234567, as in the public test vectors of the generator
    words = Draws(torch.tensor([1234567]))._words(3, stream=0)
    unsigned = [word % (1 << 64) for word in words[0].tolist()]
    assert unsigned == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_draws_have_their_distribution() -> None:
    draws = Draws(keys_of(range(4), "gaussian_noise", 1, seed=0))
    uniform = draws.uniform(250, 201, stream=0)
    assert uniform.shape == (4, 250, 201)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    # 201,000 numbers: the mean's standard error is 0.0006, that of a normal 0.0022
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.003)
    normal = draws.normal(250, 201, stream=1)
    assert normal.mean().item() == pytest.approx(0, abs=0.01)
    assert normal.std().item() == pytest.approx(1, abs=0.01)
    assert normal.pow(4).mean().item() == pytest.approx(3, abs=0.1)
    flat = torch.cat([uniform.flatten(1), draws.uniform(250, 201, stream=1).flatten(1)])
    correlations = torch.corrcoef(flat).fill_diagonal_(0)
    assert correlations.abs().max() < 0.03


@pytest.mark.parametrize("corruption", ALL_CORRUPTIONS)
def test_a_picture_does_not_depend_on_its_batch(images: torch.Tensor, corruption: str) -> None:
    together = corrupt(images, corruption, 3, image_ids=[5, 6, 7])
    alone = corrupt(images[1:2], corruption, 3, image_ids=[6])
    swapped = corrupt(images.flip(0), corruption, 3, image_ids=[7, 6, 5])
    assert together.dtype == torch.uint8
    assert together.shape == images.shape
    # matrix products may round differently for another number of columns
    assert (together[1].int() - alone[0].int()).abs().max() <= 1
    assert (together.int() - swapped.flip(0).int()).abs().max() <= 1
    assert not torch.equal(together, images)


@pytest.mark.parametrize("corruption", [name for name, kernel in KERNELS.items() if kernel.draw])
def test_chance_follows_id_severity_and_seed(images: torch.Tensor, corruption: str) -> None:
    def shown(image_id: int, seed: int = 0) -> torch.Tensor:
        return corrupt(images[1:2], corruption, 2, image_ids=[image_id], seed=seed)

    torch.manual_seed(3)
    assert torch.equal(shown(1), shown(1))
    assert not torch.equal(shown(1), shown(2))
    assert not torch.equal(shown(1), shown(1, seed=1))
    assert not torch.equal(keys_of([1], corruption, 2, seed=0), keys_of([1], corruption, 3, seed=0))


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_severity_grows(corruption: str) -> None:
    """Higher severities are farther from the picture, from the weakest to the strongest."""
    image = pixels(scene(224, 224))[None]
    distances = [
        (corrupt(image, corruption, s, image_ids=[0]).float() - image).abs().mean().item()
        for s in (1, 5)
    ]
    # the published constants of elastic transform fall from one kind of warp to another
    if corruption != "elastic_transform":
        assert distances[0] < distances[1]


def test_images_are_left_alone(images: torch.Tensor) -> None:
    before = images.clone()
    for corruption in ALL_CORRUPTIONS:
        corrupt(images, corruption, 4, image_ids=range(3))
    assert torch.equal(before, images)


def test_an_empty_batch_stays_empty(images: torch.Tensor) -> None:
    assert corrupt(images[:0], "fog", 1, image_ids=[]).shape == (0, 3, 40, 48)


@pytest.mark.parametrize(
    ("corruption", "severity", "message"),
    [
        ("gausian_noise", 1, "unknown corruption 'gausian_noise'; closest: gaussian_noise"),
        ("fog", 6, "unknown severity 6 of fog; it goes from 1 to 5"),
    ],
)
def test_unknown_names(images: torch.Tensor, corruption: str, severity: int, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        corrupt(images, corruption, severity, image_ids=range(3))


def test_unusable_pictures(images: torch.Tensor) -> None:
    with pytest.raises(EvaluationError, match="at least 32 a side"):
        corrupt(images[..., :31], "fog", 1, image_ids=range(3))
    with pytest.raises(EvaluationError, match="3 pictures came with 2 image_ids"):
        corrupt(images, "fog", 1, image_ids=range(2))


def test_describe_names_the_numbers() -> None:
    described = describe("motion_blur", 2)
    assert described["values"] == {"radius": 15, "sigma": 5.0}
    assert described["source"] == "memory"


def test_frost_of_the_user(images: torch.Tensor, tmp_path: Path) -> None:
    for number, name in enumerate(frost.FILES[: frost.NUM_DRAWN]):
        # smaller than the frame, so it is enlarged
        Image.new("RGB", (30, 50), (40 + number, 0, 0)).save(tmp_path / name)
    black = torch.zeros_like(images)
    shown = corrupt(black, "frost", 1, image_ids=range(3), frost_dir=tmp_path)
    # 0.4 of 40 to 44, cut to bytes
    assert set(shown[:, 0].unique().tolist()) <= {16, 17}
    assert shown[:, 1:].max() == 0


def test_missing_frost_pictures_are_named(images: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"frost1\.png .*the folder needs frost1\.png, "):
        corrupt(images, "frost", 1, image_ids=range(3), frost_dir=tmp_path)


def test_contact_sheet_shows_every_cell(tmp_path: Path) -> None:
    path = tmp_path / "sheets" / "sheet.png"
    write_contact_sheet(pixels(scene(48, 40)), path, corruptions=("contrast", "fog"))
    with Image.open(path) as sheet:
        assert sheet.width > 6 * 48
        assert 2 * 40 < sheet.height < 3 * 40
