"""Fewer samples than promised: what the manifest beside the shards says against what they hold.

A tar from which whole samples were cut out is a sound tar; only the count can tell.
"""

from collections.abc import Iterable
from pathlib import Path

from data_pipelines.errors import ShardError
from data_pipelines.shards.manifest import MANIFEST_NAME, Manifest


def count_problems(shards: Iterable[tuple[Path, int]]) -> list[str]:
    """Shards whose number of samples is not the one in their folder's manifest, one line each.

    Folders without a manifest, and shards that it does not name, promise nothing.

    Args:
        shards: path and number of samples found.
    """
    promised: dict[Path, dict[str, int]] = {}
    problems = []
    for path, count in shards:
        folder = path.parent
        if folder not in promised:
            promised[folder] = {}
            try:
                promised[folder] = _promised(folder)
            except ShardError as error:
                problems.append(str(error))
        expected = promised[folder].get(path.name, count)
        if expected != count:
            problems.append(f"{path.name}: {count} samples, its manifest promises {expected}")
    return problems


def _promised(folder: Path) -> dict[str, int]:
    """Samples by shard name; empty where another tool's manifest, or none, lies there."""
    path = folder / MANIFEST_NAME
    if not path.is_file() or b'"tool": "vlsuite"' not in path.read_bytes():
        return {}
    return {entry.name: entry.samples for entry in Manifest.load(folder).shards}
