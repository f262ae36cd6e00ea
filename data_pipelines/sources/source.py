"""What every source is: settings with a help text, read lazily into samples, written as shards.

A source is one module of this package whose dataclass is registered by the source's name on the
command line: ``@sources.register("image-folder")``. Its fields are its options. Nothing else has
to be edited to add one; a file outside the package is named by ``--import``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain
from pathlib import Path
from typing import ClassVar

from data_pipelines.errors import DataError
from data_pipelines.prompts import default_templates
from data_pipelines.registry import Registry
from data_pipelines.schema import Sample
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
    """

    out_dir: Path
    overwrite: bool = False
    layout: str = "pairs"
    split: str = "test"
    max_samples: int | None = None
    max_bytes: int = DEFAULT_MAX_BYTES
    origin: Origin = field(default_factory=Origin)
    progress: Progress = iter

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise DataError(f"unknown layout '{self.layout}'; known: {', '.join(LAYOUTS)}")
        if self.split in ("", ".", "..") or "/" in self.split:
            raise DataError(f"split '{self.split}' must be a plain folder name, such as test")


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

    def class_names(self) -> Sequence[str]:
        """Names of the labels of the samples, in the order of the labels; empty without labels."""
        return ()

    def build(self, target: Target) -> Manifest:
        """Write all samples to ``target``.

        Raises:
            DataError: the source is unusable or empty, or the target cannot be written.
        """
        skips = Skips()
        names = self.class_names()
        found = self.samples(skips)
        # The first sample is read before anything is written or replaced: most mistakes show then.
        first = next(found, None)
        if first is None:
            reasons = ", ".join(f"{count} x {reason}" for reason, count in skips.counts.items())
            raise DataError(f"the source has no usable sample; skipped: {reasons or 'none'}")
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


sources: Registry[type[Source]] = Registry(
    "data source", package="data_pipelines.sources", variable="sources"
)


def command_line(name: str, source: Source) -> str:
    """The command that builds ``source``, with every setting that differs from its default."""
    words = [f"vlsuite data build {name}"]
    for entry in fields(source):
        value = getattr(source, entry.name)
        if value != entry.default:
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words.append(f"--{entry.name.replace('_', '-')} {shown}")
    return " ".join(words)
