"""Folders of pictures on disk, as published sets lay them out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.evaluation_data import noise_png


def write_pictures(root: Path, files: Mapping[str, bytes] | Sequence[str]) -> Path:
    """Files by relative path; of names alone each gets another picture of noise."""
    if not isinstance(files, Mapping):
        files = {name: noise_png(number) for number, name in enumerate(files)}
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def write_objectnet(root: Path, files: Mapping[str, bytes]) -> Path:
    """ObjectNet's download: pictures by ``folder/file.png``."""
    write_pictures(root / "images", files)
    return write_pictures(root, {"mappings/folder_to_objectnet_label.json": b"{}"})
