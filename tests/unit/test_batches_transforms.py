"""Views for training: a function of the bytes and the generator, and of nothing else."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.pictures import encoded, scene
from vlsuite.batches.crops import Box, stacked
from vlsuite.batches.transforms import AugmentConfig, TrainTransform, normalise, outlined
from vlsuite.errors import BadSampleError, ConfigError

EVERYTHING = AugmentConfig(
    rotation=10.0,
    translation=0.1,
    zoom_out=0.2,
    crop_scale=(0.3, 1.0),
    flip_probability=0.5,
    color_jitter=0.4,
    hue=0.1,
    grayscale_probability=0.3,
    outline_probability=0.3,
)
WHOLE = AugmentConfig(crop_scale=(1.0, 1.0), crop_ratio=(4 / 3, 4 / 3))


def view(data: bytes, config: AugmentConfig, *, size=(32, 24), seed: int = 0):
    transform = TrainTransform(config, size=size, interpolation="bicubic")
    return transform.view(data, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("config", [AugmentConfig(), EVERYTHING])
def test_a_view_is_uint8_channels_last_and_the_same_for_the_same_generator(config, kind):
    data = encoded(scene(120, 90), kind)
    first, again = view(data, config, seed=3), view(data, config, seed=3)
    assert first.pixels.dtype == torch.uint8
    assert first.pixels.shape == (3, 32, 24)
    assert first.pixels.stride() == (1, 3 * 24, 3)
    assert torch.equal(first.pixels, again.pixels)
    assert not torch.equal(first.pixels, view(data, config, seed=4).pixels)


def test_the_view_owns_its_memory():
    """Workers send whole storages: a view into a decoded photograph would send all of it."""
    pixels = view(encoded(scene(120, 90), "PNG"), WHOLE).pixels
    assert pixels.untyped_storage().nbytes() == pixels.numel()


def test_the_whole_picture_at_its_own_size_is_unchanged():
    image = scene(40, 30)
    pixels = view(encoded(image), WHOLE, size=(30, 40)).pixels
    assert np.array_equal(pixels.permute(1, 2, 0), np.asarray(image))


def test_flipping_mirrors_left_to_right():
    image = scene(40, 30)
    config = AugmentConfig(crop_scale=(1.0, 1.0), crop_ratio=(4 / 3, 4 / 3), flip_probability=1.0)
    pixels = view(encoded(image), config, size=(30, 40)).pixels
    assert np.array_equal(pixels.permute(1, 2, 0), np.asarray(image)[:, ::-1])


def test_grayscale_has_equal_channels():
    config = AugmentConfig(grayscale_probability=1.0)
    red, green, blue = view(encoded(scene(40, 30)), config).pixels
    assert torch.equal(red, green)
    assert torch.equal(red, blue)


def test_corners_uncovered_by_a_rotation_are_white():
    config = AugmentConfig(
        rotation=45.0, zoom_out=0.5, crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0)
    )
    data = encoded(Image.new("RGB", (60, 60)), "PNG")
    views = [view(data, config, size=(60, 60), seed=seed).pixels for seed in range(8)]
    assert any((pixels[:, 0, 0] == 255).all() for pixels in views)
    assert all((pixels[:, 30, 30] == 0).all() for pixels in views)


@pytest.mark.parametrize("side", [(1, 1), (1, 90), (90, 1), (3, 2)])
def test_the_smallest_pictures_have_a_view(side):
    for kind in ("PNG", "JPEG"):
        assert view(encoded(scene(*side), kind), EVERYTHING).pixels.shape == (3, 32, 24)


def test_what_was_put_right_is_reported():
    data = encoded(Image.new("RGBA", (9, 9), (255, 0, 0, 0)))
    found = view(data, AugmentConfig())
    assert found.mended == ("transparency",)
    assert (found.pixels == 255).all()


def test_a_bad_picture_has_its_kind():
    with pytest.raises(BadSampleError) as caught:
        view(encoded(scene(120, 90), "JPEG")[:-300], AugmentConfig())
    assert caught.value.kind == "truncated image"


def test_a_shrunk_box_holds_the_box():
    assert Box(3, 8, 17, 24).shrunk(8) == Box(0, 1, 3, 3)
    assert Box(3, 8, 17, 24).shrunk(1) == Box(3, 8, 17, 24)


def test_outlines_are_dark_on_white():
    image = Image.new("RGB", (20, 20), (255, 255, 255))
    image.paste((0, 0, 0), (8, 8, 20, 20))
    lines = np.asarray(outlined(image))[:, :, 0]
    assert lines[0, 0] == lines[15, 15] == 255
    assert lines[8, 12] == 0


def test_normalised_as_published():
    mean, std = torch.tensor([[[0.5]], [[0.4]], [[0.3]]]), torch.full((3, 1, 1), 0.25)
    images = torch.full((1, 3, 2, 2), 51, dtype=torch.uint8)
    found = normalise(images, mean=mean, std=std, dtype=torch.float32)
    assert found[0, :, 0, 0].tolist() == pytest.approx([-1.2, -0.8, -0.4], abs=1e-6)


def test_a_batch_keeps_the_pixels_and_normalising_reorders_them():
    views = [
        view(encoded(scene(120, 90), "JPEG"), AugmentConfig(), seed=seed).pixels for seed in (0, 1)
    ]
    batch = stacked(views)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch, torch.stack(views))
    nothing = torch.zeros(3, 1, 1)
    floats = normalise(batch, mean=nothing, std=nothing + 1 / 255, dtype=torch.float32)
    assert floats.is_contiguous()
    torch.testing.assert_close(floats, batch.float(), rtol=1e-6, atol=0)


def test_a_crop_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="crop_scale"):
        AugmentConfig(crop_scale=(0.0, 1.0))
