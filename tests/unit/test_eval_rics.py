import tarfile

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from eval.errors import EvaluationError
from eval.robustness.rics import Rics, rics_crops, window_scores
from tests.support.shards import SHARED_DATA, needs_shared_data


def _pictures(count: int, size: int, *, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)


def _score_by_hand(window: np.ndarray) -> int:
    """Score of one window from its own pixels, in Python integers, by the definition."""
    n = window.shape[-1]
    order = min(32, n // 2 // 2 * 2)
    red, green, blue = window.astype(object)
    values = red + 2 * green + blue
    kernel = np.array([1], dtype=object)
    bits = 10
    for stage in [16] * (order // 16) + ([order % 16] if order % 16 else []):
        kernel = np.array([1], dtype=object)
        for _ in range(stage):
            kernel = np.convolve(kernel, np.array([1, 1], dtype=object))
        values = np.array([np.convolve(row, kernel, "valid") for row in values])
        values = np.array([np.convolve(column, kernel, "valid") for column in values.T]).T
        bits += 2 * stage
        values = values // 2 ** max(0, bits - 26)
        bits = min(bits, 26)

    def determinant(y: int, x: int) -> int:
        v = values
        across = v[y, x + 1] - 2 * v[y, x] + v[y, x - 1]
        down = v[y + 1, x] - 2 * v[y, x] + v[y - 1, x]
        mixed = v[y + 1, x + 1] - v[y + 1, x - 1] - v[y - 1, x + 1] + v[y - 1, x - 1]
        return 16 * across * down - mixed * mixed

    # Differences and neighbours take one pixel each; of two middle pixels it is the first.
    middle = (n - order - 5) // 2 + 2
    here = determinant(middle, middle)
    around = [determinant(middle + j, middle + i) for j in (-1, 0, 1) for i in (-1, 0, 1)]
    return here if here >= max(around) else here - 2**61


@pytest.mark.parametrize(("size", "crop_size"), [(13, 10), (22, 17), (35, 32), (70, 68)])
def test_scores_are_functions_of_the_window_alone(size: int, crop_size: int) -> None:
    images = _pictures(2, size)
    scores = window_scores(images, crop_size=crop_size)
    places = size - crop_size + 1
    assert scores.shape == (2, places, places)
    for b, y, x in ((0, 0, 0), (0, places - 1, 1), (1, 1, places - 1), (1, 1, 1)):
        window = images[b, :, y : y + crop_size, x : x + crop_size].numpy()
        assert int(scores[b, y, x]) == _score_by_hand(window)


def test_extreme_pictures_do_not_overflow() -> None:
    board = torch.zeros(1, 3, 70, 70, dtype=torch.uint8)
    for block in (1, 2, 7, 16, 23):
        cells = torch.arange(70) // block
        board[0, :] = 255 * ((cells[:, None] + cells[None]) % 2).to(torch.uint8)
        scores = window_scores(board, crop_size=68)
        assert int(scores[0, 1, 1]) == _score_by_hand(board[0, :, 1:69, 1:69].numpy())


def test_the_best_window_is_cut_and_ties_go_to_the_first() -> None:
    images = _pictures(5, 40)
    images[4] = 77
    result = rics_crops(images, crop_size=24)
    scores = window_scores(images, crop_size=24)
    for image, crop, corner, score in zip(images, *result, scores, strict=True):
        y, x = corner.tolist()
        assert torch.equal(crop, image[:, y : y + 24, x : x + 24])
        best = int(score.max())
        assert (y, x) == min((j, i) for j in range(17) for i in range(17) if score[j, i] == best)
    assert result.corners[4].tolist() == [0, 0]
    assert torch.equal(Rics(24)(images), result.crops)


def test_a_shift_keeps_the_crop_unless_the_best_window_leaves_or_a_better_comes() -> None:
    field = _pictures(40, 50, seed=1)
    here, there = field[:, :, 1:49, 1:49], field[:, :, 2:50, 1:49]
    first, second = rics_crops(here, crop_size=32), rics_crops(there, crop_size=32)
    moved = first.corners - torch.tensor([1, 0])
    is_same = (moved == second.corners).all(dim=1)
    left = first.corners[:, 0] == 0
    came = second.corners[:, 0] == 16
    assert torch.equal(is_same, ~(left | came))
    assert torch.equal(first.crops[is_same], second.crops[is_same])
    assert 0.5 < is_same.double().mean() < 1.0


@pytest.mark.parametrize("shift", [(1, 0), (0, -1), (17, 30)])
def test_circular_shifts_never_change_the_crop(shift: tuple[int, int]) -> None:
    images = _pictures(6, 36)
    rics = Rics(24, is_circular=True)
    assert torch.equal(rics(images), rics(images.roll(shift, dims=(2, 3))))


def test_of_a_wide_picture_every_place_can_be_chosen() -> None:
    images = _pictures(30, 60)[:, :, :30]
    corners = rics_crops(images, crop_size=24).corners
    scores = window_scores(images, crop_size=24)
    assert scores.shape == (30, 7, 37)
    assert corners[:, 0].max() <= 6
    assert corners[:, 1].max() > 6
    turned = window_scores(images.transpose(2, 3), crop_size=24)
    assert torch.equal(turned.transpose(1, 2), scores)
    circular = Rics(24, is_circular=True)
    assert torch.equal(circular(images), circular(images.roll((3, 41), dims=(2, 3))))


def test_sizes_that_cannot_work_are_refused() -> None:
    with pytest.raises(EvaluationError, match="between 10 and the shorter side"):
        rics_crops(_pictures(1, 32), crop_size=33)
    with pytest.raises(EvaluationError, match="of 9 pixels cannot be chosen"):
        rics_crops(_pictures(1, 32), crop_size=9)
    whole = _pictures(2, 32)
    assert torch.equal(Rics(32)(whole), whole)
    assert Rics(24)(whole[:0]).shape == (0, 3, 24, 24)


@needs_shared_data
def test_choices_on_photos_change_no_more_often_than_by_chance() -> None:
    """K = 17: scores that favour no place change under any of eight shifts in 37.7%."""
    photos = []
    with tarfile.open(SHARED_DATA / "imagenet-samples-000000.tar") as tar:
        for member in tar:
            if member.name.endswith(".jpg") and len(photos) < 300:
                picture = ImageOps.fit(Image.open(tar.extractfile(member)).convert("RGB"), (50, 50))
                photos.append(np.asarray(picture))
    fields = torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2)
    corners = {
        (y, x): rics_crops(fields[..., y : y + 48, x : x + 48], crop_size=32).corners
        + torch.tensor([y, x])
        for y in range(3)
        for x in range(3)
    }
    is_changed = torch.stack([(c != corners[1, 1]).any(dim=1) for c in corners.values()])
    assert is_changed.any(dim=0).double().mean() < 0.377
