"""Whether shards hold clips, by the names of the first sample's members alone."""

import re
from itertools import islice
from pathlib import Path, PurePosixPath

from data_pipelines.errors import ShardError
from data_pipelines.image_formats import FORMAT_OF_SUFFIX
from data_pipelines.schema import VIDEO_SUFFIXES
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.tar_headers import HeaderError, read_header

_FRAME = re.compile(r"frames\.npy|frame\.\d+\.(png|jpe?g|webp)")
_MOST_MEMBERS = 64  # looked at


def hold_clips(path: str) -> bool:
    """Whether the first sample is a video without a picture, or frames.

    Args:
        path: a tar, a folder of tars, or a pattern; anything else holds none.
    """
    first = _first_shard(path)
    suffixes = [] if first is None else _first_suffixes(first)
    if any(_FRAME.fullmatch(suffix) for suffix in suffixes):
        return True
    has_picture = any(suffix in FORMAT_OF_SUFFIX for suffix in suffixes)
    return any(suffix in VIDEO_SUFFIXES for suffix in suffixes) and not has_picture


def _first_shard(path: str) -> Path | None:
    place = Path(path)
    if place.is_dir():
        return min(place.glob("*.tar"), default=None)
    if "://" in path or ".tar" not in path:
        return None
    try:
        return next(islice(find_shards(path), 1), None)
    except ShardError:
        return None


def _first_suffixes(shard: Path) -> list[str]:
    """Of all members of the first sample; none of what is no tar."""
    key: str | None = None
    suffixes: list[str] = []
    try:
        with shard.open("rb") as stream:
            offset = 0
            for _ in range(_MOST_MEMBERS):
                header = read_header(stream, offset)
                if header is None:
                    break
                offset = header.next
                own, _, suffix = PurePosixPath(header.name).name.partition(".")
                if header.kind != "file" or not suffix:
                    continue
                if key is not None and own != key:
                    break
                key = own
                suffixes.append(suffix.lower())
    except (OSError, HeaderError):
        return []
    return suffixes
