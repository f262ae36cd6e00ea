"""A folder of programs that do nothing but record that they were started."""

import hashlib
import os
from pathlib import Path

_NAMES = (
    "gs", "gsc", "ffmpeg", "ffprobe", "avconv", "convert", "magick", "identify", "inkscape",
    "rsvg-convert", "pdftoppm", "dvipng", "latex", "wmf2eps", "java", "curl", "wget", "ssh", "sox",
    "lame", "flac", "unzip", "unrar", "7z", "tar", "touch", "sh", "bash", "perl", "xdg-open",
)  # fmt: skip


def fake_programs(folder: Path, record: Path) -> Path:
    """Make the folder; each program appends its name to ``record``."""
    folder.mkdir(parents=True)
    for name in _NAMES:
        program = folder / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> "{record}"\n')
        program.chmod(0o755)
    return folder


def started(record: Path) -> list[str]:
    """What was started so far."""
    return record.read_text().splitlines() if record.exists() else []


def picture_of(root: Path, *, without: tuple[Path, ...]) -> dict[str, str]:
    """Every file below a folder with its content's hash, links with where they lead."""
    found = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if Path(folder, name) not in without]
        for name in (*files, *folders):
            path = Path(folder, name)
            if path in without:
                continue
            if path.is_symlink():
                found[str(path)] = f"-> {os.readlink(path)}"
            elif path.is_file():
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                found[str(path)] = "folder"
    return found
