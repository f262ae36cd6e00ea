"""A folder of image files, captioned by files beside them, a table, class folders, or by name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from data_pipelines.file_captions import CAPTIONS_FROM, FileCaptions, files_below
from data_pipelines.image_formats import FORMAT_OF_SUFFIX
from data_pipelines.images import load_image
from data_pipelines.looks import holds
from data_pipelines.options import option
from data_pipelines.schema import Sample, make_uid
from data_pipelines.skips import Skips
from data_pipelines.sources.folder_metadata import (
    METADATA,
    METADATA_COLUMNS,
    metadata_captions,
    metadata_files,
)
from data_pipelines.sources.source import Source, sources
from data_pipelines.texts import counted

_IMAGE_SUFFIXES = frozenset(f".{suffix}" for suffix in FORMAT_OF_SUFFIX)


@sources.register("image-folder")
@dataclass(frozen=True, kw_only=True)
class ImageFolder(Source):
    """Settings of the image folder."""

    HELP: ClassVar[str] = "a folder of images with caption files, or one sub-folder a class"
    EXAMPLE: ClassVar[str] = (
        "vlsuite data build image-folder photos --captions folder --out data/photos"
    )

    folder: Path = option(
        "it holds the images, in sub-folders or not",
        positional=True,
        metavar="FOLDER",
        formerly="--root",
    )
    captions: str = option(
        "where captions come from: sidecar (cat.txt beside cat.png, one caption a line), folder "
        "(the first sub-folder is the class), name (words of the file name), metadata "
        "(metadata.csv, .tsv, .jsonl or .parquet in the folder or its sub-folders, with file_name "
        "and captions), or auto (metadata where the folder has such a file; folder where no "
        "picture has a caption file and all lie in sub-folders; else sidecar)",
        default="auto",
        choices=("auto", METADATA, *CAPTIONS_FROM),
    )
    caption_column: str = option(
        "column of the captions of --captions metadata (where there is no 'text': the one that is "
        f"there of {', '.join(METADATA_COLUMNS)})",
        default="text",
    )
    template: str = option(
        "caption of a class folder; {c} is the class", default="a photo of a {c}"
    )

    def __post_init__(self) -> None:
        self._captions.check("image")

    @classmethod
    def fits(cls, path: Path) -> bool:
        """See ``Source``."""
        return holds(path, _IMAGE_SUFFIXES)

    def samples(self, skips: Skips) -> Iterator[Sample]:
        """Images in the order of their paths; the uid depends on path and content."""
        if self._origin == METADATA:
            yield from self._listed(skips)
            return
        classes = self._captions.labels()
        for path in files_below(self.folder):
            if path.suffix.lower() not in _IMAGE_SUFFIXES:
                if path.suffix.lower() != ".txt":
                    skips.add("not an image file", str(path))
                continue
            captions = self._captions.of(path, skips)
            image = load_image(path, skips) if captions else None
            if image is None:
                continue
            key = path.relative_to(self.folder).as_posix()
            converted = {"converted_from": image.converted_from} if image.converted_from else {}
            yield Sample(
                uid=make_uid("image-folder", key, image.data),
                image=image.data,
                image_suffix=image.suffix,
                captions=captions,
                label=classes.get(key.split("/")[0]),
                provenance={"source": "image-folder", "key": key, **converted},
            )

    def class_names(self) -> Sequence[str]:
        """Names of the sub-folders, sorted, where they are the classes, underscores as spaces.

        Evaluation names the classes of the folder itself in the same way.
        """
        return self._captions.class_names()

    def taken_for(self) -> str:
        """See ``Source``."""
        if self.captions != "auto" or self._origin != "folder":
            return ""
        number = counted(len(self._captions.class_folders()), "sub-folder")
        return (
            f"{self.folder}: no picture has a caption file, so the {number} are taken for the "
            "classes (--captions folder)"
        )

    @cached_property
    def _origin(self) -> str:
        """Where captions come from; metadata needs no further settings of ``FileCaptions``."""
        if self.captions != "auto":
            return self.captions
        if metadata_files(self.folder, deep=False):
            return METADATA
        return "folder" if self._has_classes() else "sidecar"

    def _has_classes(self) -> bool:
        """Whether pictures lie in sub-folders alone, and none has a caption file beside it."""
        pictures: set[Path] = set()
        texts: set[Path] = set()
        for path in files_below(self.folder):
            stem = path.with_suffix("")
            if path.suffix.lower() in _IMAGE_SUFFIXES:
                if path.parent == self.folder or stem in texts:
                    return False
                pictures.add(stem)
            elif path.suffix == ".txt":
                if stem in pictures:
                    return False
                texts.add(stem)
        return bool(pictures)

    @property
    def _captions(self) -> FileCaptions:
        own = "sidecar" if self._origin == METADATA else self._origin
        return FileCaptions(root=self.folder, captions=own, template=self.template)

    def _listed(self, skips: Skips) -> Iterator[Sample]:
        """Images in the order of their paths, with the captions of the metadata files."""
        captions = metadata_captions(self.folder, self.caption_column, skips)
        for path in files_below(self.folder):
            if path.suffix.lower() in _IMAGE_SUFFIXES and path not in captions:
                skips.add("not in metadata", str(path))
        for path in sorted(captions):
            image = load_image(path, skips)
            if image is None:
                continue
            key = path.relative_to(self.folder).as_posix()
            converted = {"converted_from": image.converted_from} if image.converted_from else {}
            yield Sample(
                uid=make_uid("image-folder", key, image.data),
                image=image.data,
                image_suffix=image.suffix,
                captions=tuple(captions[path]),
                provenance={"source": "image-folder", "key": key, **converted},
            )
