"""What every source is: settings with a help text, read lazily into samples, written as shards.

A source is one module of this package whose dataclass is registered by the source's name on the
command line: ``@sources.register("image-folder")``. Its fields are its options. Nothing else has
to be edited to add one; a file outside the package is named by ``--import``.
"""

import hashlib
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from pathlib import Path
from typing import ClassVar

from data_pipelines.errors import DataError
from data_pipelines.options import flag_of
from data_pipelines.prompts import default_templates
from data_pipelines.registry import Registry
from data_pipelines.schema import Sample
from data_pipelines.shards.folder import CLASS_NAMES_FILE
from data_pipelines.shards.manifest import Manifest, Origin
from data_pipelines.shards.write import (
    DEFAULT_MAX_BYTES,
    DEFAULT_MAX_SAMPLES,
    write_benchmark,
    write_pairs,
)
from data_pipelines.skips import Skips

#: Wraps the samples of a long build, to show how far it is.
Progress = Callable[[Iterable[Sample]], Iterable[Sample]]

LAYOUTS = ("pairs", "benchmark")

#: The sets of a build that holds a share out.
TRAIN, HELD_OUT = "train", "holdout"


def is_held_out(sample: Sample, share: float) -> bool:
    """Whether a picture belongs to the share that is held out: its bytes alone tell.

    Equal pictures stay together, whatever their names and captions, and a picture stays where it is
    when others are added.
    """
    digest = hashlib.sha256(b"holdout:" + sample.image).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where and how a build writes.

    Args:
        out_dir: folder to create; for the benchmark layout, the folder that holds the splits.
        overwrite: whether a set of ours that is already there is replaced.
        layout: "pairs" (training) or "benchmark" (evaluation, layout of CLIP_benchmark).
        split: name of the split, for the benchmark layout.
        max_samples: of one shard; None for the default of the source.
        max_bytes: of one shard.
        origin: recorded in the manifest; its empty parts are filled by the source.
        progress: shown while samples are read.
        holdout: share of the pictures that are kept apart, by content; 0 for none. Two sets are
            written then, ``train`` and ``holdout`` in ``out_dir``.
    """

    out_dir: Path
    overwrite: bool = False
    layout: str = "pairs"
    split: str = "test"
    max_samples: int | None = None
    max_bytes: int = DEFAULT_MAX_BYTES
    origin: Origin = field(default_factory=Origin)
    progress: Progress = iter
    holdout: float = 0.0

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise DataError(f"unknown layout '{self.layout}'; known: {', '.join(LAYOUTS)}")
        if self.split in ("", ".", "..") or "/" in self.split:
            raise DataError(f"split '{self.split}' must be a plain folder name, such as test")
        if not 0 <= self.holdout < 1:
            raise DataError(f"holdout {self.holdout} is no share; give a number such as 0.05")
        if self.holdout and self.layout != "pairs":
            raise DataError(
                "a holdout is part of training pairs; leave it out with the benchmark layout"
            )


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """Settings of one outside format and the reading of its samples."""

    #: One line for the list of sources, and a command to learn from.
    HELP: ClassVar[str] = ""
    EXAMPLE: ClassVar[str] = ""

    @abstractmethod
    def samples(self, skips: Skips) -> Iterator[Sample]:
        """Read every sample in a fixed order; unusable inputs go to ``skips`` by reason.

        Raises:
            DataError: the whole source is unusable (missing table, wrong column).
        """

    @classmethod
    def fits(cls, path: Path) -> bool:
        """Whether a path looks like what this source reads, told quickly: for advice alone."""
        return False

    def taken_for(self) -> str:
        """What the input was taken for, in a line, where its looks decided that; else empty."""
        return ""

    def class_names(self) -> Sequence[str]:
        """Names of the labels of the samples, in the order of the labels; empty without labels."""
        return ()

    def build(self, target: Target) -> Manifest:
        """Write all samples to ``target``.

        Returns:
            The manifest; of the training part where a share is held out.
        Raises:
            DataError: the source is unusable or empty, or the target cannot be written.
        """
        if target.holdout:
            return self._build_parts(target)
        return self._build(target, lambda sample: True, part="")

    def _build_parts(self, target: Target) -> Manifest:
        """The source is read once for each part, so that neither is held in memory.

        The part that is held out is written first: with the training part there, both are.
        """
        for name in (HELD_OUT, TRAIN):
            if (target.out_dir / name).exists() and not target.overwrite:
                raise DataError(
                    f"{target.out_dir / name} is there already; give another folder, or "
                    "--overwrite to write both parts again"
                )
        manifest = Manifest(origin=target.origin, layout="pairs", shards=())
        for name in (HELD_OUT, TRAIN):
            part = replace(target, out_dir=target.out_dir / name, holdout=0.0)
            manifest = self._build(
                part,
                lambda sample, of=name: is_held_out(sample, target.holdout) == (of == HELD_OUT),
                part=f" for '{name}' with --holdout {target.holdout:g}",
            )
        return manifest

    def _build(self, target: Target, is_wanted: Callable[[Sample], bool], *, part: str) -> Manifest:
        skips = Skips()
        names = self.class_names()
        found = (sample for sample in self.samples(skips) if is_wanted(sample))
        # The first sample is read before anything is written or replaced: most mistakes show then.
        first = next(found, None)
        if first is None:
            reasons = ", ".join(f"{count} x {reason}" for reason, count in skips.counts.items())
            how = "; choose another share" if part and not skips.total else ""
            raise DataError(
                f"the source has no usable sample{part}; skipped: {reasons or 'none'}{how}"
            )
        samples = target.progress(chain([first], found))
        max_samples = target.max_samples or DEFAULT_MAX_SAMPLES
        if target.layout == "pairs":
            return write_pairs(
                samples,
                target.out_dir,
                max_samples=max_samples,
                max_bytes=target.max_bytes,
                origin=target.origin,
                skips=skips,
                texts=_names_file(names),
                overwrite=target.overwrite,
            )
        return write_benchmark(
            samples,
            target.out_dir,
            split=target.split,
            kind="classification" if names else "retrieval",
            class_names=names,
            templates=default_templates(names),
            max_samples=max_samples,
            max_bytes=target.max_bytes,
            origin=target.origin,
            skips=skips,
            overwrite=target.overwrite,
        )


def _names_file(names: Sequence[str]) -> dict[str, bytes]:
    """The classes of the labels, a line each, as evaluation finds them beside the shards."""
    lines = [" ".join(name.split()) for name in names]
    if not all(lines):
        return {}
    return {CLASS_NAMES_FILE: "".join(f"{line}\n" for line in lines).encode()} if lines else {}


sources: Registry[type[Source]] = Registry(
    "data source", package="data_pipelines.sources", variable="sources"
)


def takes_holdout(source: type[Source]) -> bool:
    """Whether its build can hold a share out: sources with sets of their own cannot."""
    return source.build is Source.build


def refuse_unused_holdout(source: Source, share: float) -> None:
    """Sources that write sets of their own know which pictures belong to which.

    Raises:
        DataError: this is one of them, and a share is given.
    """
    if share and not takes_holdout(type(source)):
        raise DataError(
            f"{type(source).__name__} writes its own sets, so there is nothing to hold out; leave "
            "--holdout out"
        )


def own_split(source: Source) -> str | None:
    """The split that a source reads, which also names the split written; None for most."""
    return {entry.name: getattr(source, entry.name) for entry in fields(source)}.get("split")


def command_line(name: str, source: Source) -> str:
    """The command that builds ``source``, with every setting that differs from its default."""
    inputs: list[str] = []
    options: list[str] = []
    for entry in fields(source):
        value = getattr(source, entry.name)
        if value == entry.default:
            continue
        if entry.metadata.get("positional"):
            inputs += map(str, value) if isinstance(value, tuple) else [str(value)]
        elif isinstance(value, bool):
            options.append(flag_of(entry) if value else flag_of(entry).replace("--", "--no-", 1))
        elif isinstance(value, tuple):
            options += [flag_of(entry), ",".join(map(str, value))]
        else:
            options += [flag_of(entry), str(value)]
    return shlex.join(["vlsuite", "data", "build", name, *inputs, *options])
