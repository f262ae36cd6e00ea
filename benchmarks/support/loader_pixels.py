"""Our training pixels against Pillow's on the same boxes of the same pictures."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from data_pipelines.image_formats import open_image
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import image_of
from vlsuite.batches.crops import Box, crop_box, largest_shrink
from vlsuite.batches.transforms import AugmentConfig, TrainTransform


def pixel_differences(index: ShardIndex, *, size: int, limit: int) -> dict[str, float]:
    """Largest and mean difference in levels of 255, at full size and from reduced JPEGs.

    ``reduced_*`` compares views of a quarter of ``size``, where JPEGs are decoded at 1/2 to 1/8,
    with Pillow's full decode of the same part of the picture.
    """
    pictures = [image_of(index.read(row)).data for row in range(min(limit, len(index)))]
    full = list(_differences(pictures, size=size))
    reduced = list(_differences(pictures, size=max(1, size // 4)))
    figures = {"max_pixel_diff": float(max(largest for largest, _ in full))}
    figures["mean_pixel_diff"] = round(float(np.mean([mean for _, mean in full])), 4)
    figures["reduced_max_pixel_diff"] = float(max(largest for largest, _ in reduced))
    figures["reduced_mean_pixel_diff"] = round(float(np.mean([mean for _, mean in reduced])), 4)
    return figures


def _differences(pictures: list[bytes], *, size: int) -> Iterator[tuple[int, float]]:
    config = AugmentConfig()
    transform = TrainTransform(config, size=(size, size), interpolation="bicubic")
    for number, data in enumerate(pictures):
        ours = transform.view(data, np.random.default_rng(number)).pixels
        image = open_image(data).convert("RGB")
        box = crop_box(
            image.size,
            np.random.default_rng(number),
            scale=config.crop_scale,
            ratio=config.crop_ratio,
        )
        shrink = largest_shrink(box, (size, size))
        wide = Box(*(edge * shrink for edge in box.shrunk(shrink)))
        inside = (*wide[:2], min(wide.right, image.width), min(wide.bottom, image.height))
        theirs = image.crop(inside).resize((size, size), Image.Resampling.BICUBIC)
        levels = np.abs(np.asarray(theirs, dtype=int) - ours.permute(1, 2, 0).numpy())
        yield int(levels.max()), float(levels.mean())
