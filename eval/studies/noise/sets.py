"""The sets of a study: pretraining, noisy training with its clean remainder, test."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import read_object
from data_pipelines.noise.build import NoiseTarget, write_noisy
from data_pipelines.noise.plan import NoiseConfig
from data_pipelines.schema import Sample
from data_pipelines.shards.manifest import MANIFEST_NAME, Manifest
from data_pipelines.shards.write import write_benchmark, write_pairs
from eval.errors import EvaluationError
from eval.studies.noise.grid import StudyConfig
from eval.studies.pairs import pairs_of, place_of, repeated_captions, shrunk, uids_digest

_PLAN = "splits.json"


@dataclass(frozen=True, slots=True)
class StudySets:
    """Where the sets of a study lie.

    Args:
        folder: of all of them.
    """

    folder: Path

    @property
    def pretrain(self) -> Path:
        """Pairs with their own captions, for the first stage."""
        return self.folder / "pretrain"

    @property
    def train(self) -> Path:
        """Pairs with their own captions, before noise."""
        return self.folder / "train"

    @property
    def test(self) -> Path:
        """Evaluation folder of held-out pairs."""
        return self.folder / "test"

    @property
    def validation(self) -> Path:
        """Pairs with their own captions, before noise, that nothing is trained on."""
        return self.folder / "validation"

    def noisy_validation(self, rate: float, seed: int) -> Path:
        """The same with captions mismatched among them."""
        return self.folder / f"validation-{round(100 * rate):02d}-seed{seed}"

    def noisy(self, rate: float, seed: int, *, clean_only: bool) -> Path:
        """Training set with mismatched captions, or the pairs that stay right."""
        kind = "clean" if clean_only else "noisy"
        return self.folder / f"{kind}-{round(100 * rate):02d}-seed{seed}"

    def is_made(self, part: Path) -> bool:
        """Whether a set is complete."""
        return any(part.rglob(MANIFEST_NAME)) and not any(part.rglob("*.partial"))

    def count(self, part: Path) -> int:
        """Samples of a training set."""
        return sum(entry.samples for entry in Manifest.load(part).shards)


def make_sets(config: StudyConfig, folder: Path) -> StudySets:
    """Split the pairs by a hash of their ids, and write what is missing.

    Raises:
        EvaluationError: too few pairs, or the folder holds sets of other settings.
    """
    sets = StudySets(folder)
    plan = {
        "shards": list(config.shards),
        "pretrain_share": config.pretrain_share,
        "test_share": config.test_share,
        "validation_share": config.validation_share,
        "max_pairs": config.max_pairs,
        "picture_side": config.picture_side,
    }
    path = folder / _PLAN
    if path.is_file():
        if _stored_plan(path) != plan:
            raise EvaluationError(f"{folder} holds sets of other settings; choose another --out")
        return sets
    samples = list(pairs_of(config.shards))
    if config.max_pairs:
        samples = sorted(samples, key=lambda sample: place_of(sample.uid, "choice"))
        samples = samples[: config.max_pairs]
    parts: dict[str, list[Sample]] = {"pretrain": [], "train": [], "validation": [], "test": []}
    for sample in samples:
        parts[_part(sample.uid, config)].append(sample)
    parts = {name: shrunk(found, config.picture_side) for name, found in parts.items()}
    common = repeated_captions(samples)
    for held in ("test", "validation"):
        parts[held] = [s for s in parts[held] if s.captions[0] not in common]
    _refuse_few(parts, config)
    for name in ("train", "pretrain", "validation"):
        if parts[name]:
            write_pairs(parts[name], folder / name, overwrite=True)
    write_benchmark(parts["test"], sets.test, kind="retrieval", overwrite=True)
    found = {
        name: {"pairs": len(part), "sha256": uids_digest(part)} for name, part in parts.items()
    }
    path.write_text(json.dumps({"plan": plan, "splits": found}, indent=2) + "\n")
    return sets


def _refuse_few(parts: Mapping[str, Sequence[Sample]], config: StudyConfig) -> None:
    least = 2 * min(config.batch_size, 16)
    needed = ("train", "test") if config.lr is not None else ("train", "validation", "test")
    if min(len(parts[name]) for name in needed) < least:
        found = ", ".join(f"{name} {len(parts[name])}" for name in needed)
        raise EvaluationError(
            f"too few pairs for a study ({found}), {least} of each are needed; give more shards, "
            "or change test_share, validation_share or pretrain_share"
        )


def make_noisy(sets: StudySets, *, rate: float, seed: int, clean_only: bool) -> Path:
    """Write a noisy training set, or its clean remainder, unless it is there."""
    part = sets.noisy(rate, seed, clean_only=clean_only)
    _mismatched(sets, sets.train, part, rate=rate, seed=seed, clean_only=clean_only)
    return part


def make_noisy_validation(sets: StudySets, *, rate: float, seed: int) -> Path:
    """Write the validation pairs with as many captions mismatched, unless they are there."""
    part = sets.noisy_validation(rate, seed)
    _mismatched(sets, sets.validation, part, rate=rate, seed=seed, clean_only=False)
    return part


def _mismatched(
    sets: StudySets, pairs: Path, part: Path, *, rate: float, seed: int, clean_only: bool
) -> None:
    if not sets.is_made(part):
        write_noisy(
            [pairs],
            NoiseConfig(mismatched=rate, seed=seed),
            NoiseTarget(out_dir=part, clean_only=clean_only, overwrite=part.exists()),
        )


def _stored_plan(path: Path) -> Any:
    """Of the sets in a folder; None where it cannot be read."""
    try:
        return read_object(path).get("plan")
    except (OSError, ValueError):
        return None


def _part(uid: str, config: StudyConfig) -> str:
    place = place_of(uid, "split")
    parts = (
        ("test", config.test_share),
        ("pretrain", config.pretrain_share),
        ("validation", config.validation_share),
    )
    for part, share in parts:
        if place < share:
            return part
        place -= share
    return "train"
