"""Features of small pictures without any training, and features that are drawn.

Coates, Ng and Lee 2011 (AISTATS 15, 215): patches drawn from the pictures, as filters of a
convolution with a threshold, pooled over quarters. On CIFAR-10 a linear classifier of them is
right about two times of three: about as hard for a probe as embeddings of a fair model.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import image_of
from vlsuite.batches.decode import decode_image

_PATCH = 6
_BATCH = 256


def labelled_pictures(shards: list[Path], *, limit: int | None) -> tuple[Tensor, Tensor]:
    """Pictures in [0, 1], all of one size, and their classes."""
    pictures, labels = [], []
    for number, members in enumerate(_samples(shards)):
        if limit is not None and number >= limit:
            break
        pictures.append(torch.from_numpy(np.asarray(decode_image(image_of(members).data)).copy()))
        labels.append(int(members["cls"]))
    images = torch.stack(pictures).movedim(-1, 1)
    return images, torch.tensor(labels)


def patch_features(images: Tensor, filters: Tensor) -> Tensor:
    """Unit-norm features, four for each filter.

    Args:
        images: (images, 3, side, side), in [0, 255].
        filters: of ``random_filters``.
    """
    features = []
    for part in images.split(_BATCH):
        answers = F.conv2d(part.float() / 255 - 0.5, filters)
        answers = answers - answers.mean(dim=1, keepdim=True)
        features.append(F.adaptive_avg_pool2d(F.relu(answers), 2).flatten(1))
    return F.normalize(torch.cat(features), dim=1)


def random_filters(images: Tensor, *, count: int, seed: int) -> Tensor:
    """Whitened patches of the pictures, of unit length, as filters."""
    generator = torch.Generator().manual_seed(seed)
    side = images.shape[-1] - _PATCH
    rows = torch.randint(len(images), (20 * count,), generator=generator)
    tops = torch.randint(side + 1, (20 * count, 2), generator=generator)
    patches = torch.stack(
        [
            images[row, :, top : top + _PATCH, left : left + _PATCH].float() / 255
            for row, (top, left) in zip(rows.tolist(), tops.tolist(), strict=True)
        ]
    ).flatten(1)
    patches = patches - patches.mean(dim=1, keepdim=True)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T.double()))
    whitening = (vectors / (values.clamp(min=0) + 0.01).sqrt()) @ vectors.T
    chosen = F.normalize(patches[:count].double() @ whitening, dim=1) @ whitening
    return F.normalize(chosen, dim=1).float().reshape(count, 3, _PATCH, _PATCH)


def drawn_features(count: int, *, width: int, num_classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """Unit vectors of unequal spread around a common mean, as embeddings are, with classes."""
    draws = np.random.default_rng(seed)
    spread = np.arange(1, width + 1) ** -0.5
    means = 0.6 * draws.normal(size=(num_classes, width)) * spread
    labels = draws.integers(0, num_classes, count)
    features = 2 * spread + means[labels] + draws.normal(size=(count, width)) * spread
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return torch.from_numpy(features.astype(np.float32)), torch.from_numpy(labels)


def _samples(shards: list[Path]) -> Iterator[dict[str, bytes]]:
    for path in shards:
        shard = ShardIndex.open(path)
        for number in range(len(shard)):
            yield dict(shard.read(number))
