"""The sets of a study: of each source pairs to train on, and a held-out gallery."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import read_object
from data_pipelines.schema import Sample
from data_pipelines.shards.atomic import write_file
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of
from data_pipelines.shards.write import write_benchmark, write_pairs
from eval.errors import EvaluationError
from eval.studies.mixture.settings import Cell, MixtureStudyConfig
from eval.studies.pairs import pairs_of, place_of, repeated_captions, shrunk, uids_digest
from eval.studies.training import make_tokenizer

_PLAN = "sets.json"
_MOST_SHARE = 0.2  # of a source that is held out
_LEAST = 20  # pairs of a gallery


@dataclass(frozen=True, slots=True)
class StudyFolders:
    """Where everything of a study lies.

    Args:
        out: of the study.
    """

    out: Path

    @property
    def sets(self) -> Path:
        """Of all sets."""
        return self.out / "sets"

    @property
    def tokenizer(self) -> Path:
        """Made from the training captions of all sources."""
        return self.out / "tokenizer"

    def train(self, source: str) -> Path:
        """Training pairs of a source."""
        return self.sets / source / "train"

    def test(self, source: str) -> Path:
        """Evaluation folder of its held-out pairs."""
        return self.sets / source / "test"

    def cell(self, cell: Cell) -> Path:
        """Folder of a run."""
        return self.out / "cells" / cell.name

    @property
    def sizes(self) -> dict[str, int]:
        """Training pairs of each source."""
        stored = read_object(self.sets / _PLAN)["sources"]
        return {name: int(found["train"]) for name, found in stored.items()}


def make_sets(config: MixtureStudyConfig, folders: StudyFolders) -> None:
    """Split the pairs of each source by a hash of their ids, and write what is missing.

    Held-out pairs have a caption that no other pair of any source has, and are as many of each
    source.

    Raises:
        EvaluationError: too few pairs, or the folder holds sets of other settings.
        DataError: shards cannot be read.
    """
    plan = {
        "sources": {name: list(shards) for name, shards in config.sources.items()},
        "test_pairs": config.test_pairs,
        "max_pairs": config.max_pairs,
        "picture_side": config.picture_side,
    }
    path = folders.sets / _PLAN
    if path.is_file():
        if _stored(path).get("plan") != plan:
            raise EvaluationError(
                f"{folders.sets} holds sets of other settings; choose another --out"
            )
        return
    samples = {name: _chosen(shards, config) for name, shards in config.sources.items()}
    common = repeated_captions([one for found in samples.values() for one in found])
    held = _held_out(samples, common, config)
    found: dict[str, dict[str, Any]] = {}
    for name, every in samples.items():
        test = held[name]
        uids = {sample.uid for sample in test}
        train = shrunk([sample for sample in every if sample.uid not in uids], config.picture_side)
        write_pairs(train, folders.train(name), overwrite=True)
        gallery = shrunk(test, config.picture_side)
        write_benchmark(gallery, folders.test(name), kind="retrieval", overwrite=True)
        digests = {"train_sha256": uids_digest(train), "test_sha256": uids_digest(test)}
        found[name] = {"train": len(train), "test": len(test), **digests}
    told = json.dumps({"plan": plan, "sources": found}, indent=1)
    write_file(path, f"{told}\n".encode())


def make_study_tokenizer(config: MixtureStudyConfig, folders: StudyFolders) -> None:
    """One for all runs, from the training captions of all sources, unless it is there."""
    make_tokenizer(
        [caption for name in config.sources for caption in _captions(folders.train(name))],
        folders.tokenizer,
        name=config.architecture,
        vocab_size=config.vocab_size,
    )


def _chosen(shards: Sequence[str], config: MixtureStudyConfig) -> list[Sample]:
    samples = list(pairs_of(shards))
    if config.max_pairs:
        samples = sorted(samples, key=lambda sample: place_of(sample.uid, "choice"))
        samples = samples[: config.max_pairs]
    return samples


def _held_out(
    samples: dict[str, list[Sample]], common: set[str], config: MixtureStudyConfig
) -> dict[str, list[Sample]]:
    """Of each source as many, the first by a hash of their ids."""
    usable = {
        name: [sample for sample in found if sample.captions[0] not in common]
        for name, found in samples.items()
    }
    most = {
        name: min(len(usable[name]), int(_MOST_SHARE * len(found)))
        for name, found in samples.items()
    }
    count = min(config.test_pairs, *most.values())
    if count < _LEAST:
        told = ", ".join(f"{name} {len(found):,}" for name, found in samples.items())
        raise EvaluationError(
            f"too few pairs for a study ({told}): {_LEAST} with a caption of their own must be "
            "held out of each source, and be a fifth of it at most; give more shards"
        )
    return {
        name: sorted(found, key=lambda sample: place_of(sample.uid, "held out"))[:count]
        for name, found in usable.items()
    }


def _stored(path: Path) -> dict[str, Any]:
    try:
        return read_object(path)
    except (OSError, ValueError):
        return {}


def _captions(shards: Path) -> Iterator[str]:
    """The first of each sample."""
    for path in find_shards([str(shards)]):
        index = ShardIndex.open(path)
        for row in range(len(index)):
            yield from captions_of(index.read(row), one_per_line=False)[:1]
