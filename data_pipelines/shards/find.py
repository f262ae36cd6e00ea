"""Shards behind the paths that a user names: tars, folders, wildcards, braces."""

import glob
from collections.abc import Iterable
from pathlib import Path

import braceexpand

from data_pipelines.errors import ShardError
from data_pipelines.image_formats import FORMAT_OF_SUFFIX
from data_pipelines.looks import holds
from data_pipelines.shards.folder import BUILD_SUFFIX, MARKER_NAME, unfinished_place
from data_pipelines.shards.manifest import MANIFEST_NAME

#: Suffixes of tables of pairs, which others train from.
_TABLES = frozenset({".csv", ".tsv", ".parquet"})


def find_shards(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """The tars behind ``paths``, without repetitions, in the order named.

    Args:
        paths: a tar; a folder, for the tars in it and in its sub-folders; or a pattern such as
            "train-{000000..000012}.tar" or "train-*.tar".
    Raises:
        ShardError: a path leads to no tar, or to a folder that is not completely built.
    """
    found: dict[Path, None] = {}
    for path in [paths] if isinstance(paths, str | Path) else paths:
        refuse_program(str(path))
        tars = _find(str(path))
        if not tars:
            _refuse_unfinished([Path(path), unfinished_place(Path(path))])
            if "://" in str(path):
                raise ShardError(
                    f"{path} is an address, and this reads shards in folders; copy them here first "
                    "(training and 'vlsuite curate scan' read addresses themselves)"
                )
            raise ShardError(f"no shard (.tar) at {path}; {_advice(Path(path))}")
        found.update(dict.fromkeys(tars))
    _refuse_unfinished({path.parent for path in found})
    return list(found)


def _advice(path: Path) -> str:
    """What to do about a path without shards."""
    if holds(path, {f".{suffix}" for suffix in FORMAT_OF_SUFFIX}):
        return (
            "it holds pictures, so make shards of them: vlsuite data build image-folder "
            f"{path} --out DIR"
        )
    return "check the path or pattern"


def refuse_program(pattern: str) -> None:
    """Refuse what WebDataset would run as a program.

    Raises:
        ShardError: the pattern begins with "pipe:".
    """
    if pattern.startswith("pipe:"):
        raise ShardError(
            f"'{pattern[:80]}' would run a program, which vlsuite does not; name the shards "
            "themselves (it reads s3://, gs://, hf:// and https:// addresses by itself)"
        )


def _refuse_unfinished(folders: Iterable[Path]) -> None:
    for folder in folders:
        if (folder / MARKER_NAME).exists() and not (folder / MANIFEST_NAME).exists():
            raise ShardError(
                f"{folder} holds part of a data set: its build is running or was interrupted; "
                "wait for it or run it again"
            )


def _find(path: str) -> list[Path]:
    if Path(path).is_dir():
        found = [p for p in Path(path).rglob("*.tar") if not _is_being_built(p, below=Path(path))]
        return sorted(found, key=_natural)
    if Path(path).exists():
        _refuse_table(Path(path))
        return [Path(path)]
    try:
        patterns = list(braceexpand.braceexpand(path))
    except ValueError:
        raise ShardError(f"{path} has unbalanced braces; write {{000000..000012}}") from None
    tars: list[Path] = []
    for pattern in patterns:
        matches = [Path(match) for match in glob.glob(pattern)]
        if len(patterns) > 1 and not matches:
            raise ShardError(f"shard {pattern} of {path} does not exist; correct the range")
        tars += sorted(matches, key=_natural)
    return tars


def _refuse_table(path: Path) -> None:
    """A table of pairs is given where shards belong: say how these are made of it."""
    if path.suffix.lower() in _TABLES:
        raise ShardError(
            f"{path} is a table, not a shard; make shards of it: vlsuite data build table "
            f"{path} --out DIR (--help says how columns are named), then name DIR"
        )


def _is_being_built(path: Path, *, below: Path) -> bool:
    """Whether a shard is of a set that has not taken its place yet."""
    return any(part.endswith(BUILD_SUFFIX) for part in path.relative_to(below).parts)


def _natural(path: Path) -> tuple:
    """Order 2.tar before 10.tar: evaluation folders number their shards without padding."""
    stem = path.stem
    return (str(path.parent), not stem.isdigit(), int(stem) if stem.isdigit() else 0, path.name)
