"""Person retrieval by text: what CUHK-PEDES, ICFG-PEDES and RSTPReid have in common on disk.

Each is a folder with ``imgs`` and one JSON list, whose entries name a split, a person, an image
below ``imgs`` and its captions. Formats as the sets' own pages and the readers of IRRA
(github.com/anosorae/IRRA, datasets) describe them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from data_pipelines.bounded_json import read_annotations
from data_pipelines.errors import DataError
from data_pipelines.images import load_image
from data_pipelines.options import option
from data_pipelines.schema import Sample, make_uid
from data_pipelines.skips import Skips
from data_pipelines.sources.source import Source

SPLITS = ("train", "val", "test")

_IMAGE_FOLDER = "imgs"


@dataclass(frozen=True, kw_only=True)
class PersonSearch(Source):
    """Settings that the three sets share; what differs between them are the class variables."""

    #: Name of the set, which is also what its folder is usually called.
    NAME: ClassVar[str]
    #: Names its JSON list goes by; the first that is there is read.
    LISTS: ClassVar[tuple[str, ...]]
    #: Field of an entry that holds the path of the image.
    PATH_FIELD: ClassVar[str]

    folder: Path = option(
        "that of the set, with its JSON list and 'imgs'; or the one above it",
        positional=True,
        metavar="FOLDER",
        formerly="--root",
    )
    split: str = option(
        "which split to read; with --layout benchmark also the name of the split written",
        default="train",
        choices=SPLITS,
    )

    @classmethod
    def fits(cls, path: Path) -> bool:
        """See ``Source``."""
        folder = path / cls.NAME if (path / cls.NAME).is_dir() else path
        is_listed = any((folder / name).is_file() for name in cls.LISTS)
        return is_listed and (folder / _IMAGE_FOLDER).is_dir()

    def samples(self, skips: Skips) -> Iterator[Sample]:
        """One sample an image with all its captions and the person's "identity", in list order."""
        folder = self._folder()
        path = self._list(folder)
        if not (folder / _IMAGE_FOLDER).is_dir():
            raise DataError(f"{folder} has no folder '{_IMAGE_FOLDER}'; unpack the images there")
        entries = self._entries(path)
        if not entries:
            raise DataError(f"{path} has no entry of split '{self.split}'; choose another --split")
        seen: set[str] = set()
        for entry in entries:
            name = entry[self.PATH_FIELD]
            if name in seen:
                skips.add("image listed twice", name)
                continue
            seen.add(name)
            sample = self._sample(folder, name, entry, skips)
            if sample is not None:
                yield sample

    def _sample(
        self, folder: Path, name: str, entry: dict[str, Any], skips: Skips
    ) -> Sample | None:
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts:
            skips.add("image outside the folder", name)
            return None
        captions = [" ".join(caption.split()) for caption in entry["captions"]]
        captions = [caption for caption in captions if caption]
        if not captions:
            skips.add("no caption", name)
            return None
        image = load_image(folder / _IMAGE_FOLDER / inside, skips)
        if image is None:
            return None
        source = self.NAME.lower()
        return Sample(
            uid=make_uid(source, name, image.data),
            image=image.data,
            image_suffix=image.suffix,
            captions=tuple(captions),
            provenance={"source": source, "key": name, "identity": int(entry["id"])},
        )

    def _folder(self) -> Path:
        if not self.folder.is_dir():
            raise DataError(f"folder {self.folder} does not exist, or is a file; check the path")
        below = self.folder / self.NAME
        return below if below.is_dir() else self.folder

    def _list(self, folder: Path) -> Path:
        for name in self.LISTS:
            if (folder / name).is_file():
                return folder / name
        raise DataError(f"{folder} has no {' or '.join(self.LISTS)}; check the path")

    def _entries(self, path: Path) -> list[dict[str, Any]]:
        """The entries of the split; every entry of the list is checked."""
        try:
            entries = read_annotations(path)
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path} is no readable JSON: {error}") from error
        if not isinstance(entries, list):
            raise DataError(f"{path} holds a {type(entries).__name__}, not a list of images")
        for number, entry in enumerate(entries):
            problem = self._problem(entry)
            if problem:
                raise DataError(
                    f"{path}: entry {number} {problem}; download the list of {self.NAME} again"
                )
        return [entry for entry in entries if entry["split"] == self.split]

    def _problem(self, entry: Any) -> str:
        """What is wrong with an entry, empty where nothing is."""
        if not isinstance(entry, dict):
            return f"is a {type(entry).__name__}, not an object"
        for field in ("split", self.PATH_FIELD, "captions", "id"):
            if field not in entry:
                return f"has no field '{field}' (fields: {', '.join(map(str, entry))})"
        if entry["split"] not in SPLITS:
            return f"is of split {entry['split']!r}, none of {', '.join(SPLITS)}"
        if not isinstance(entry[self.PATH_FIELD], str) or not entry[self.PATH_FIELD]:
            return f"has no path in '{self.PATH_FIELD}'"
        if not _is_texts(entry["captions"]):
            return "has no list of texts in 'captions'"
        if not _is_number(entry["id"]):
            return f"has the id {entry['id']!r}, not a whole number"
        return ""


def _is_texts(value: object) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and all(isinstance(text, str) for text in value)
    )


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        return value.isascii() and value.isdigit() and len(value) <= 18
    return isinstance(value, int) and not isinstance(value, bool)
