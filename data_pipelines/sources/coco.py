"""COCO captions: one JSON with "images" (id, file_name) and "annotations" (image_id, caption).

Lin et al. 2014, arXiv 1405.0312; the files are called captions_train2017.json and the like.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from data_pipelines.bounded_json import read_annotations
from data_pipelines.errors import DataError
from data_pipelines.images import load_image
from data_pipelines.looks import has_keys
from data_pipelines.options import option
from data_pipelines.schema import Sample, make_uid
from data_pipelines.skips import Skips
from data_pipelines.sources.source import Source, sources


@sources.register("coco")
@dataclass(frozen=True, kw_only=True)
class CocoCaptions(Source):
    """Settings of the COCO captions."""

    HELP: ClassVar[str] = "COCO captions JSON with its folder of images"
    EXAMPLE: ClassVar[str] = (
        "vlsuite data build coco captions_val2017.json --images val2017 "
        "--layout benchmark --split test --out data/coco"
    )

    annotations: Path = option(
        "the captions JSON", positional=True, metavar="ANNOTATIONS", formerly="--annotations"
    )
    images: Path = option("folder of the image files", metavar="DIR")

    @classmethod
    def fits(cls, path: Path) -> bool:
        """See ``Source``."""
        return has_keys(path, "images", "annotations", "image_id", "caption")

    def samples(self, skips: Skips) -> Iterator[Sample]:
        """One sample an image with all its captions, in the order of the list of images."""
        content = self._content()
        captions = _captions_by_image(content, skips)
        for entry in content["images"]:
            name = str(entry["file_name"])
            texts = captions.get(entry["id"], ())
            if not texts:
                skips.add("no caption", name)
                continue
            image = load_image(self.images / name, skips)
            if image is None:
                continue
            yield Sample(
                uid=make_uid("coco", f"{entry['id']}/{name}", image.data),
                image=image.data,
                image_suffix=image.suffix,
                captions=tuple(texts),
                provenance={"source": "coco", "key": name, "image_id": entry["id"]},
            )

    def _content(self) -> dict[str, Any]:
        try:
            content = read_annotations(self.annotations)
        except FileNotFoundError:
            raise DataError(f"{self.annotations} does not exist; check the path") from None
        except (OSError, ValueError) as error:
            raise DataError(f"{self.annotations} is no readable JSON: {error}") from error
        if not self.images.is_dir():
            raise DataError(
                f"image folder {self.images} does not exist, or is a file; check --images"
            )
        wanted = {"images": ("id", "file_name"), "annotations": ("image_id", "caption")}
        for name, keys in wanted.items():
            entries = content.get(name) if isinstance(content, dict) else None
            if not isinstance(entries, list):
                found = ", ".join(content) if isinstance(content, dict) else type(content).__name__
                raise DataError(f"{self.annotations} has no list '{name}'; found: {found}")
            for entry in entries:
                if not isinstance(entry, dict) or any(key not in entry for key in keys):
                    raise DataError(
                        f"{self.annotations}: an entry of '{name}' lacks {' or '.join(keys)}: "
                        f"{str(entry)[:80]}"
                    )
                if wrong := [key for key in keys if not isinstance(entry[key], str | int)]:
                    raise DataError(
                        f"{self.annotations}: {wrong[0]} of an entry of '{name}' is no text or "
                        f"whole number: {str(entry[wrong[0]])[:80]}"
                    )
        return content


def _captions_by_image(content: dict[str, Any], skips: Skips) -> dict[Any, list[str]]:
    known = {entry["id"] for entry in content["images"]}
    captions: dict[Any, list[str]] = defaultdict(list)
    for entry in content["annotations"]:
        caption = str(entry["caption"]).strip()
        if entry["image_id"] not in known:
            skips.add("caption of an unknown image", f"image_id {entry['image_id']}")
        elif not caption:
            skips.add("empty caption", f"image_id {entry['image_id']}")
        else:
            captions[entry["image_id"]].append(caption)
    return captions
