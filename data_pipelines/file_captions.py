"""Captions of files in a folder: from text files beside them, from class folders, or by name."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.bounded_files import media_bytes
from data_pipelines.errors import DataError
from data_pipelines.skips import Skips
from data_pipelines.text_lines import lines_of

#: "sidecar": cat.txt beside cat.png, one caption a line. "folder": the first sub-folder is the
#: class. "name": the words of the file name.
CAPTIONS_FROM = ("sidecar", "folder", "name")


@dataclass(frozen=True, kw_only=True, slots=True)
class FileCaptions:
    """Where the captions of files come from.

    Args:
        root: folder that holds the files, in sub-folders or not.
        captions: see ``CAPTIONS_FROM``.
        template: caption of a class folder; {c} is the class.
    """

    root: Path
    captions: str
    template: str

    def check(self, what: str) -> None:
        """Refuse settings that cannot be used.

        Args:
            what: is in the folder, for the message ("image").
        Raises:
            DataError: no folder, no place of the class, or no such origin of captions.
        """
        if not self.root.is_dir():
            raise DataError(
                f"{what} folder {self.root} does not exist, or is a file; check the path"
            )
        if "{c}" not in self.template:
            raise DataError(f"--template {self.template!r} lacks {{c}}, the place of the class")
        if self.captions not in CAPTIONS_FROM:
            raise DataError(f"--captions is {' or '.join(CAPTIONS_FROM)}, not '{self.captions}'")

    def of(self, path: Path, skips: Skips) -> tuple[str, ...]:
        """Captions of a file; none where there are none, which is then in ``skips``."""
        if self.captions == "sidecar":
            return _beside(path, skips)
        if self.captions == "name":
            caption = _words(path.stem)
            if not caption:
                skips.add("empty caption", str(path))
            return (caption,) if caption else ()
        parts = path.relative_to(self.root).parts
        if len(parts) < 2:
            skips.add("not in a class folder", str(path))
            return ()
        return (self.template.replace("{c}", _words(parts[0])),)

    def class_folders(self) -> Sequence[str]:
        """The sub-folders in the order of their names, where they are the classes."""
        if self.captions != "folder":
            return ()
        found = (path for path in self.root.iterdir() if path.is_dir() and path.name[0] != ".")
        return sorted(path.name for path in found)

    def class_names(self) -> Sequence[str]:
        """Names of the classes, underscores as spaces, as evaluation of the folder has them."""
        return [" ".join(n.replace("_", " ").split()) or n for n in self.class_folders()]

    def labels(self) -> dict[str, int]:
        """Class index of each sub-folder that is a class."""
        return {name: label for label, name in enumerate(self.class_folders())}


def files_below(root: Path) -> Iterator[Path]:
    """All files below ``root`` but hidden ones, in the order of their names."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder) / name for name in sorted(names) if not name.startswith("."))


def _beside(path: Path, skips: Skips) -> tuple[str, ...]:
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


def _words(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").split())
