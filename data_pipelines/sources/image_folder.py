"""A folder of image files, captioned by text files beside them, by class folders, or by name."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from data_pipelines.bounded_files import media_bytes
from data_pipelines.errors import DataError
from data_pipelines.image_formats import FORMAT_OF_SUFFIX
from data_pipelines.images import load_image
from data_pipelines.options import option
from data_pipelines.schema import Sample, make_uid
from data_pipelines.skips import Skips
from data_pipelines.sources.source import Source, sources
from data_pipelines.text_lines import lines_of

_IMAGE_SUFFIXES = frozenset(f".{suffix}" for suffix in FORMAT_OF_SUFFIX)


@sources.register("image-folder")
@dataclass(frozen=True, kw_only=True)
class ImageFolder(Source):
    """Settings of the image folder."""

    HELP: ClassVar[str] = "a folder of images with caption files, or one sub-folder a class"
    EXAMPLE: ClassVar[str] = (
        "vlsuite data build image-folder --root photos --captions folder --out data/photos"
    )

    root: Path = option("folder that holds the images, in sub-folders or not")
    captions: str = option(
        "where captions come from: sidecar (cat.txt beside cat.png, one caption a line), folder "
        "(the first sub-folder is the class), or name (words of the file name)",
        default="sidecar",
        choices=("sidecar", "folder", "name"),
    )
    template: str = option(
        "caption of a class folder; {c} is the class", default="a photo of a {c}"
    )

    def __post_init__(self) -> None:
        if not self.root.is_dir():
            raise DataError(f"image folder {self.root} does not exist; check --root")
        if "{c}" not in self.template:
            raise DataError(f"--template {self.template!r} lacks {{c}}, the place of the class")
        if self.captions not in _CAPTIONERS:
            raise DataError(f"--captions is {' or '.join(_CAPTIONERS)}, not '{self.captions}'")

    def samples(self, skips: Skips) -> Iterator[Sample]:
        """Images in the order of their paths; the uid depends on path and content."""
        classes = {name: label for label, name in enumerate(self._class_folders())}
        for path in _files(self.root):
            if path.suffix.lower() not in _IMAGE_SUFFIXES:
                if path.suffix.lower() != ".txt":
                    skips.add("not an image file", str(path))
                continue
            captions = _CAPTIONERS[self.captions](self, path, skips)
            image = load_image(path, skips) if captions else None
            if image is None:
                continue
            key = path.relative_to(self.root).as_posix()
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
        names = self._class_folders()
        return [" ".join(name.replace("_", " ").split()) or name for name in names]

    def _class_folders(self) -> Sequence[str]:
        if self.captions != "folder":
            return ()
        found = (path for path in self.root.iterdir() if path.is_dir() and path.name[0] != ".")
        return sorted(path.name for path in found)

    def _sidecar(self, path: Path, skips: Skips) -> tuple[str, ...]:
        sidecar = path.with_suffix(".txt")
        try:
            lines = lines_of(media_bytes(sidecar).decode("utf-8-sig"))
        except FileNotFoundError:
            skips.add("no caption file", f"{path} (wanted {sidecar.name})")
            return ()
        except OSError as error:
            skips.add("unreadable caption file", f"{sidecar}: {error.strerror}")
            return ()
        except UnicodeDecodeError as error:
            skips.add("caption not UTF-8", f"{sidecar}: {error}")
            return ()
        captions = tuple(line.strip() for line in lines if line.strip())
        if not captions:
            skips.add("empty caption", str(sidecar))
        return captions

    def _folder(self, path: Path, skips: Skips) -> tuple[str, ...]:
        parts = path.relative_to(self.root).parts
        if len(parts) < 2:
            skips.add("not in a class folder", str(path))
            return ()
        return (self.template.replace("{c}", _words(parts[0])),)

    def _name(self, path: Path, skips: Skips) -> tuple[str, ...]:
        caption = _words(path.stem)
        if not caption:
            skips.add("empty caption", str(path))
        return (caption,) if caption else ()


_CAPTIONERS: dict[str, Callable[[ImageFolder, Path, Skips], tuple[str, ...]]] = {
    "sidecar": ImageFolder._sidecar,
    "folder": ImageFolder._folder,
    "name": ImageFolder._name,
}


def _files(root: Path) -> Iterator[Path]:
    """All files below ``root`` but hidden ones, in the order of their names."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder) / name for name in sorted(names) if not name.startswith("."))


def _words(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").split())
