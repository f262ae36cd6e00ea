"""From stored pictures with boxes to batches of a detector; runs in worker processes.

n = marked objects, m = cached regions
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from data_pipelines.detection.annotations import Annotations
from data_pipelines.detection.geometry import marked, transformed
from data_pipelines.detection.masks import pixels_of
from data_pipelines.detection.stored import of_fields
from data_pipelines.shards.stored_sample import StoredSample
from vlsuite.batches.detections import DetectionBatch
from vlsuite.batches.pictures import open_picture
from vlsuite.batches.sample_reader import BatchFacts, Read
from vlsuite.errors import BadSampleError
from vlsuite.models.vild.region_cache import RegionCache
from vlsuite.models.vild.settings import ViewSettings
from vlsuite.models.vild.training_vocabulary import TrainingVocabulary

#: Sides in pixels below which nothing is left of an object.
_SMALLEST = 1.0


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
    is_region_there: Tensor
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

    def at(self, position: int) -> "_ReaderOfSize":
        """See ``PlacedReader``."""
        return _ReaderOfSize(self, self._sizes.at(position))

    def read(self, sample: StoredSample, rng: np.random.Generator) -> Read:
        """See ``SampleReader``; in the largest size, as one of the first source."""
        return self.read_size(sample, rng, size=max(self._sizes.sizes))

    def read_size(
        self, sample: StoredSample, rng: np.random.Generator, *, size: int, source: int = 0
    ) -> Read:
        """One picture.

        Args:
            sample: with a picture and boxes.
            rng: see ``SampleReader``.
            size: side of the square in pixels.
            source: that it comes from.
        Raises:
            BadSampleError: it cannot be decoded, its annotations are broken, or it has no cached
                regions where they are needed.
        """
        names = self._vocabulary
        own = source if len(names.sources) > 1 else 0
        annotations = of_fields(sample.fields, names.sources[own])
        decoded = open_picture(sample.image.data).decode(shrink=1)
        pixels = np.ascontiguousarray(decoded.values)
        if pixels.shape[:2] != annotations.size:
            raise BadSampleError(
                "annotations of another size",
                f"boxes are of a picture of {annotations.size}, this one is {pixels.shape[:2]} "
                "(height, width)",
            )
        regions, embeds = self._cached(sample.uid)
        is_labelled = names.is_own_labelled[own].numpy()
        labelled = annotations.kept(is_labelled[annotations.labels])
        labelled = labelled._replace(labels=names.rows[own].numpy()[labelled.labels])
        transform = self._views.jitter(size).draw(annotations.size, rng)
        seen = transformed(marked(pixels, labelled, regions), transform)
        assert seen.pixels is not None
        shown = seen.annotations
        sides = shown.boxes[:, 2:] - shown.boxes[:, :2]
        shown = shown.kept(np.all(sides >= _SMALLEST, axis=1))
        objects, crowds = shown.kept(~shown.is_crowd), shown.kept(shown.is_crowd)
        _, _, right, bottom = transform.window
        content = _Content(
            image=rearrange(torch.from_numpy(seen.pixels), "h w c -> c h w"),
            size=(max(1, math.floor(bottom)), max(1, math.floor(right))),
            boxes=torch.from_numpy(objects.boxes),
            labels=torch.from_numpy(objects.labels),
            masks=self._masks_of(objects),
            crowds=torch.from_numpy(crowds.boxes),
            regions=torch.from_numpy(seen.regions[seen.is_region_there]),
            embeds=embeds[torch.from_numpy(seen.is_region_there)],
            is_region_there=torch.from_numpy(seen.is_region_there),
            seed=int(rng.integers(1 << 62)),
        )
        return Read(content, decoded.mended)

    def collate(self, contents: Sequence[_Content], facts: BatchFacts) -> DetectionBatch:
        """See ``SampleReader``."""
        side = max(content.image.shape[1] for content in contents)
        images = torch.zeros(len(contents), 3, side, side, dtype=torch.uint8)
        num_boxes = tuple(len(content.boxes) for content in contents)
        masks = None
        if self._masks:
            masks = torch.zeros(sum(num_boxes), side, side, dtype=torch.uint8)
        first = 0
        for row, content in enumerate(contents):
            own = content.image.shape[1]
            images[row, :, :own, :own] = content.image
            if masks is not None and content.masks is not None:
                masks[first : first + len(content.boxes), :own, :own] = content.masks
            first += len(content.boxes)
        return DetectionBatch(
            images=images,
            sizes=tuple(content.size for content in contents),
            boxes=torch.cat([content.boxes for content in contents]),
            labels=torch.cat([content.labels for content in contents]),
            num_boxes=num_boxes,
            masks=masks,
            crowds=torch.cat([content.crowds for content in contents]),
            num_crowds=tuple(len(content.crowds) for content in contents),
            regions=torch.cat([content.regions for content in contents]),
            region_embeds=torch.cat([content.embeds for content in contents]),
            num_regions=tuple(len(content.regions) for content in contents),
            seeds=tuple(content.seed for content in contents),
            **facts._asdict(),
        )

    def _cached(self, uid: str) -> tuple[np.ndarray, Tensor]:
        """Boxes and embeddings of the regions of a picture."""
        if self._regions is None:
            return np.zeros((0, 4), np.float32), torch.zeros(0, 1)
        cached = self._regions.regions(uid)
        return cached.boxes.numpy(), cached.embeds

    def _masks_of(self, objects: Annotations) -> Tensor | None:
        """None where they are not read or nothing has one; zeros for objects without."""
        if not self._masks or objects.masks is None:
            return None
        found = torch.zeros(objects.num_objects, *objects.size, dtype=torch.uint8)
        for row, mask in enumerate(objects.masks):
            if mask is not None:
                found[row] = torch.from_numpy(np.ascontiguousarray(pixels_of(mask, objects.size)))
        return found


class _ReaderOfSize:
    """The reader of one size and source; satisfies ``SourcedReader``."""

    def __init__(self, reader: DetectionReader, size: int, source: int = 0) -> None:
        self._reader, self._size, self._source = reader, size, source

    def of_source(self, source: int) -> "_ReaderOfSize":
        """See ``SourcedReader``."""
        return _ReaderOfSize(self._reader, self._size, source)

    def read(self, sample: StoredSample, rng: np.random.Generator) -> Read:
        """See ``SampleReader``."""
        return self._reader.read_size(sample, rng, size=self._size, source=self._source)

    def collate(self, contents: Sequence[_Content], facts: BatchFacts) -> DetectionBatch:
        """See ``SampleReader``."""
        return self._reader.collate(contents, facts)
