"""Where the shards of a pool come from, as the manifests beside them say."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from data_pipelines.bounded_files import media_bytes
from data_pipelines.errors import DataError, ShardError
from data_pipelines.shards.manifest import MANIFEST_NAME, Manifest, Origin
from data_pipelines.subsets.pool import Pool

_MOST_BESIDE = 1 << 28  # bytes of a file that is copied along


def origin_of(pool: Pool, *, created_by: str) -> Origin:
    """The origins of all folders in one: a licence or attribution that differs is named as well."""
    found = [manifest.origin for _, manifest in _manifests(pool)]
    return Origin(
        source=_joined([one.source for one in found]) or "shards made elsewhere",
        licence=_joined([one.licence for one in found]) or "not stated",
        attribution=_joined([one.attribution for one in found]),
        created_by=created_by,
    )


def files_beside(pool: Pool) -> dict[str, bytes]:
    """Files that belong to the set, where all shards are of one folder of training pairs.

    Raises:
        DataError: one cannot be read.
    """
    found = list(_manifests(pool))
    folders = {shard.parent for shard in pool.shards if isinstance(shard, Path)}
    if len(folders) != 1 or len(found) != 1 or found[0][1].layout != "pairs":
        return {}
    folder, manifest = found[0]
    try:
        return {
            entry.name: media_bytes(folder / entry.name)
            for entry in manifest.files
            if entry.bytes <= _MOST_BESIDE and "/" not in entry.name
        }
    except OSError as error:
        raise DataError(f"cannot read what lies beside the shards of {folder}: {error}") from error


def _manifests(pool: Pool) -> Iterator[tuple[Path, Manifest]]:
    folders = dict.fromkeys(shard.parent for shard in pool.shards if isinstance(shard, Path))
    for folder in folders:
        if (folder / MANIFEST_NAME).is_file():
            with suppress(ShardError):
                yield folder, Manifest.load(folder)


def _joined(texts: list[str]) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text))
