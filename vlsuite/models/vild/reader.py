"""From stored pictures with boxes to batches of a detector; runs in worker processes.

n = marked objects, m = cached regions
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from data_pipelines.detection.annotations import Annotations
from data_pipelines.detection.masks import pixels_of
from data_pipelines.detection.stored import of_fields
from data_pipelines.shards.stored_sample import StoredSample
from vlsuite.batches.detection_views import (
    ViewMap,
    ViewSettings,
    drawn_view,
    seen_objects,
    seen_regions,
)
from vlsuite.batches.detections import DetectionBatch
from vlsuite.batches.pictures import open_picture
from vlsuite.batches.sample_reader import BatchFacts, Read
from vlsuite.errors import BadSampleError
from vlsuite.models.vild.region_cache import RegionCache
from vlsuite.models.vild.training_vocabulary import TrainingVocabulary


class SizeRule(NamedTuple):
    """Which square a sample is shown in.

    Attributes:
        sizes: sides in pixels; each is a bucket that batches are padded to.
        every: consecutive samples of the training sequence that have one size: a multiple of the
            global batch, so that all processes have the same in a step.
        seed: of the draw.
    """

    sizes: tuple[int, ...]
    every: int
    seed: int = 0

    def at(self, position: int) -> int:
        """Side in pixels at a place of the training sequence."""
        if len(self.sizes) == 1:
            return self.sizes[0]
        rng = np.random.Generator(np.random.Philox(key=[self.seed, position // self.every]))
        return self.sizes[int(rng.integers(len(self.sizes)))]


class _Content(NamedTuple):
    """One picture as it is shown."""

    image: Tensor
    size: tuple[int, int]
    boxes: Tensor
    labels: Tensor
    masks: Tensor | None
    crowds: Tensor
    regions: Tensor
    embeds: Tensor
    seed: int


class DetectionReader:
    """Draws a view of a picture with its boxes and cached regions; satisfies ``PlacedReader``.

    Boxes of names without labels (novel ones) are left out, as if nobody had marked them; the
    objects stay in the picture.

    Args:
        vocabulary: of the training.
        views: what is drawn.
        sizes: which square a sample is shown in.
        regions: cached, None where the mode learns from none.
        masks: whether masks are read.
    """

    def __init__(
        self,
        vocabulary: TrainingVocabulary,
        *,
        views: ViewSettings,
        sizes: SizeRule,
        regions: RegionCache | None,
        masks: bool,
    ) -> None:
        self._vocabulary, self._views, self._sizes = vocabulary, views, sizes
        self._regions, self._masks = regions, masks
        self._is_labelled = vocabulary.is_labelled.numpy()

    def at(self, position: int) -> "_ReaderOfSize":
        """See ``PlacedReader``."""
        return _ReaderOfSize(self, self._sizes.at(position))

    def read(self, sample: StoredSample, rng: np.random.Generator) -> Read:
        """See ``SampleReader``; in the largest size."""
        return self.read_size(sample, rng, size=max(self._sizes.sizes))

    def read_size(self, sample: StoredSample, rng: np.random.Generator, *, size: int) -> Read:
        """One picture.

        Args:
            sample: with a picture and boxes.
            rng: see ``SampleReader``.
            size: side of the square in pixels.
        Raises:
            BadSampleError: it cannot be decoded, its annotations are broken, or it has no cached
                regions where they are needed.
        """
        annotations = of_fields(sample.fields, self._vocabulary.vocabulary)
        decoded = open_picture(sample.image.data).decode(shrink=1)
        picture = rearrange(torch.from_numpy(np.array(decoded.values)), "h w c -> c h w")
        if tuple(picture.shape[1:]) != annotations.size:
            raise BadSampleError(
                "annotations of another size",
                f"boxes are of a picture of {annotations.size}, this one is "
                f"{tuple(picture.shape[1:])} (height, width)",
            )
        view = drawn_view(annotations.size, size, self._views, rng)
        marked = annotations.kept(self._is_labelled[annotations.labels])
        objects, crowds = marked.kept(~marked.is_crowd), marked.kept(marked.is_crowd)
        seen = seen_objects(view, torch.from_numpy(objects.boxes))
        groups = seen_objects(view, torch.from_numpy(crowds.boxes))
        regions, embeds = self._cached(sample.uid, view)
        content = _Content(
            image=view.pixels(picture),
            size=view.size,
            boxes=seen.boxes[seen.is_seen],
            labels=torch.from_numpy(objects.labels)[seen.is_seen],
            masks=self._seen_masks(objects.kept(seen.is_seen.numpy()), view),
            crowds=groups.boxes[groups.is_seen],
            regions=regions,
            embeds=embeds,
            seed=int(rng.integers(1 << 62)),
        )
        return Read((content, size), decoded.mended)

    def collate(
        self, contents: Sequence[tuple[_Content, int]], facts: BatchFacts
    ) -> DetectionBatch:
        """See ``SampleReader``."""
        parts = [content for content, _ in contents]
        side = max(size for _, size in contents)
        images = torch.zeros(len(parts), 3, side, side, dtype=torch.uint8)
        num_boxes = tuple(len(part.boxes) for part in parts)
        masks = None
        if self._masks:
            masks = torch.zeros(sum(num_boxes), side, side, dtype=torch.uint8)
        first = 0
        for row, part in enumerate(parts):
            height, width = part.size
            images[row, :, :height, :width] = part.image
            if masks is not None and part.masks is not None:
                masks[first : first + len(part.boxes), :height, :width] = part.masks
            first += len(part.boxes)
        return DetectionBatch(
            images=images,
            sizes=tuple(part.size for part in parts),
            boxes=torch.cat([part.boxes for part in parts]),
            labels=torch.cat([part.labels for part in parts]),
            num_boxes=num_boxes,
            masks=masks,
            crowds=torch.cat([part.crowds for part in parts]),
            num_crowds=tuple(len(part.crowds) for part in parts),
            regions=torch.cat([part.regions for part in parts]),
            region_embeds=torch.cat([part.embeds for part in parts]),
            num_regions=tuple(len(part.regions) for part in parts),
            seeds=tuple(part.seed for part in parts),
            **facts._asdict(),
        )

    def _cached(self, uid: str, view: ViewMap) -> tuple[Tensor, Tensor]:
        if self._regions is None:
            return torch.zeros(0, 4), torch.zeros(0, 1)
        cached = self._regions.regions(uid)
        seen = seen_regions(view, cached.boxes)
        return seen.boxes[seen.is_seen], cached.embeds[seen.is_seen]

    def _seen_masks(self, objects: Annotations, view: ViewMap) -> Tensor | None:
        """None where they are not read or nothing has one; zeros for objects without."""
        if not self._masks or objects.masks is None:
            return None
        found = torch.zeros(len(objects.labels), *view.size, dtype=torch.uint8)
        for row, mask in enumerate(objects.masks):
            if mask is not None:
                whole = torch.from_numpy(np.ascontiguousarray(pixels_of(mask, objects.size)))
                found[row] = view.pixels(whole[None])[0]
        return found


class _ReaderOfSize:
    """The reader of one size."""

    def __init__(self, reader: DetectionReader, size: int) -> None:
        self._reader, self._size = reader, size

    def read(self, sample: StoredSample, rng: np.random.Generator) -> Read:
        """See ``SampleReader``."""
        return self._reader.read_size(sample, rng, size=self._size)

    def collate(
        self, contents: Sequence[tuple[_Content, int]], facts: BatchFacts
    ) -> DetectionBatch:
        """See ``SampleReader``."""
        return self._reader.collate(contents, facts)
