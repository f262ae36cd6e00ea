"""Pictures with boxes: COCO and LVIS as distributed, or any JSON of that form, as shards.

The boxes go into the json of each sample (``data_pipelines.detection.stored``), the names into
``categories.json`` beside the shards. What an annotation file says is not put right: what cannot
be used is counted by reason, and boxes that reach beyond their picture stay as they are stated.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from data_pipelines.detection.annotations import Annotations
from data_pipelines.detection.detection_set import ListedDetectionSet
from data_pipelines.detection.listed import read_annotation_file
from data_pipelines.detection.pictures import open_pictures
from data_pipelines.detection.splits import SPLITS
from data_pipelines.detection.stored import to_fields
from data_pipelines.detection.vocabulary import BASE, NOVEL, VOCABULARY_NAME, Vocabulary
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.images import StorableImage, skip_image, storable, upright_size
from data_pipelines.looks import has_keys
from data_pipelines.options import option
from data_pipelines.schema import JsonValue, Sample, make_uid
from data_pipelines.shards.manifest import Manifest
from data_pipelines.shards.write import DEFAULT_MAX_SAMPLES, write_pairs
from data_pipelines.skips import Skips
from data_pipelines.sources.source import Source, Target, sources


@sources.register("detection")
@dataclass(frozen=True, kw_only=True)
class DetectionSource(Source):
    """Settings of an annotation file and its pictures."""

    HELP: ClassVar[str] = "pictures with boxes and masks: COCO and LVIS JSON as distributed"
    EXAMPLE: ClassVar[str] = (
        "vlsuite data build detection instances_val2017.json --images val2017 "
        "--groups coco-48-17 --out data/coco-val"
    )

    annotations: Path = option(
        "the instances JSON of COCO or LVIS, or one of that form",
        positional=True,
        metavar="ANNOTATIONS",
        formerly="--annotations",
    )
    images: Path | None = option(
        "folder or tar of the pictures (default: what lies beside the JSON)",
        default=None,
        metavar="PATH",
    )
    groups: str = option(
        f"which names are novel: {', '.join(SPLITS)}, or a file with a novel name a line; auto "
        "takes what the JSON states, and of LVIS the rare names",
        default="auto",
        metavar="SPLIT",
    )
    without_novel: bool = option(
        "leave the boxes of novel names out, as for training on base names; their pictures stay",
        default=False,
    )
    with_boxes_only: bool = option(
        "leave pictures without boxes out; published figures on COCO 48/17 are of the 4,836 of "
        "5,000 validation pictures that have a base or novel box",
        default=False,
    )

    @classmethod
    def fits(cls, path: Path) -> bool:
        """See ``Source``."""
        return has_keys(path, "images", "annotations", "image_id", "bbox")

    def samples(self, skips: Skips) -> Iterator[Sample]:
        """One sample a picture, in the order of the list, boxes or not."""
        _, samples = self._opened(skips)
        return samples

    def build(self, target: Target) -> Manifest:
        """Write the shards with ``categories.json`` beside them.

        Raises:
            DataError: the JSON or its pictures cannot be read, or the target not be written.
        """
        if target.layout != "pairs":
            raise DataError("pictures with boxes have a layout of their own; drop --layout")
        skips = Skips()
        vocabulary, samples = self._opened(skips)
        return write_pairs(
            target.progress(samples),
            target.out_dir,
            prefix="detection",
            max_samples=target.max_samples or DEFAULT_MAX_SAMPLES,
            max_bytes=target.max_bytes,
            origin=target.origin,
            skips=skips,
            texts={VOCABULARY_NAME: vocabulary.to_bytes()},
            details=vocabulary_details(vocabulary) | {"groups": self.groups},
            captions_needed=False,
            overwrite=target.overwrite,
        )

    def _opened(self, skips: Skips) -> tuple[Vocabulary, Iterator[Sample]]:
        listed = read_annotation_file(self.annotations, skips, split=self.groups)
        vocabulary = listed.vocabulary
        if self.without_novel and not vocabulary.rows_of_group(NOVEL):
            raise ConfigError("--without-novel: no name is novel; add --groups, or drop it")
        pictures = open_pictures(self.images or self.annotations.parent)
        found = ListedDetectionSet(listed, pictures, skips=skips)
        for problem in found.problems:
            skips.add("damage in a tar of pictures", problem)
        return vocabulary, self._samples(found, vocabulary, skips)

    def _samples(
        self, found: ListedDetectionSet, vocabulary: Vocabulary, skips: Skips
    ) -> Iterator[Sample]:
        seen: set[str] = set()
        for name, data, annotations in found.files():
            image = _storable(name, data, annotations, skips)
            if image is None:
                continue
            uid = make_uid("detection", f"{annotations.picture_id}/{name}", image.data)
            if uid in seen:
                skips.add("picture listed twice", name)
                continue
            seen.add(uid)
            kept = self._kept(annotations, vocabulary, skips)
            if not kept.num_objects and self.with_boxes_only:
                skips.add("picture without boxes", name)
                continue
            skips.read("boxes written", kept.num_objects)
            if not kept.num_objects:
                skips.read("pictures without boxes, kept")
            yield Sample(
                uid=uid,
                image=image.data,
                image_suffix=image.suffix,
                captions=(),
                provenance={
                    "source": "detection",
                    "key": name,
                    **to_fields(kept, vocabulary),
                },
            )

    def _kept(self, annotations: Annotations, vocabulary: Vocabulary, skips: Skips) -> Annotations:
        if not self.without_novel:
            return annotations
        is_kept = ~np.isin(annotations.labels, list(vocabulary.rows_of_group(NOVEL)))
        skips.read("boxes of novel names, left out", int((~is_kept).sum()))
        return annotations.kept(is_kept)


def vocabulary_details(vocabulary: Vocabulary) -> dict[str, JsonValue]:
    """What a manifest tells of the names."""
    return {
        "names": len(vocabulary),
        BASE: len(vocabulary.rows_of_group(BASE)),
        NOVEL: len(vocabulary.rows_of_group(NOVEL)),
        "vocabulary_digest": vocabulary.digest,
    }


def _storable(
    name: str, data: bytes, annotations: Annotations, skips: Skips
) -> StorableImage | None:
    """The picture; None where it cannot be read, or its size is not the one that was listed."""
    try:
        image = storable(data)
    except DataError as error:
        skip_image(error, name, skips)
        return None
    height, width = annotations.size
    found = upright_size(image.data)
    if found != (height, width):
        skips.add(
            "picture of another size than listed",
            f"{name}: {found[1]}x{found[0]}, listed {width}x{height}",
        )
        return None
    return image
