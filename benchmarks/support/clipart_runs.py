"""A small CLIP on one of two training sets, and how much better one is than the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from benchmarks.support.clipart_sets import CURATED, RAW, TESTS
from eval.data.folders import open_dataset
from eval.metrics.intervals import NUM_RESAMPLES
from eval.studies.estimates import Estimate, Part, estimate, seed_weights
from eval.studies.noise.embedding import study_embedder, study_gallery
from eval.studies.training import train_anew
from eval.zero_shot.retrieval import cosine_places
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.transforms import AugmentConfig
from vlsuite.engine.config import CheckpointConfig, LoggingConfig, TrainConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.models.dual_encoder.config import OpenClipConfig

#: Hits are counted at these ranks.
RECALL_AT = (1, 5, 10)

_WARMUP_SHARE = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSettings:
    """What both arms share; ``samples`` are those seen, whatever the set holds."""

    architecture: str
    samples: int
    batch_size: int
    lr: float
    threads: int


def run_name(arm: str, seed: int) -> str:
    """Folder and log of a run."""
    return f"{arm}-seed{seed}"


def train_and_measure(work: Path, arm: str, seed: int, settings: RunSettings) -> None:
    """Train one run and store where each query of each test ranks its partner."""
    config = TrainConfig(
        model=OpenClipConfig(name=settings.architecture, tokenizer=str(work / "tokenizer")),
        data=DataConfig(
            train=(str(work / arm),),
            num_workers=0,
            caption="first",
            augment=AugmentConfig(crop_scale=(0.75, 1.0), flip_probability=0.5),
        ),
        optim=OptimConfig(
            lr=settings.lr,
            warmup_steps=int(_WARMUP_SHARE * settings.samples / settings.batch_size),
        ),
        duration=Duration(f"{settings.samples}samples"),
        global_batch_size=settings.batch_size,
        seed=seed,
        threads=settings.threads,
        logging=LoggingConfig(every=Duration("50steps")),
        checkpoint=CheckpointConfig(every=Duration("1e9samples"), keep=1),
    )
    folder = work / "runs" / run_name(arm, seed)
    state = train_anew(config, folder, [], recipe="curated-clipart")
    model, found = state.evaluated(arm), {}
    for test in TESTS:
        gallery = study_gallery(open_dataset(str(work / test)), model, study_embedder())
        places = cosine_places(gallery)
        found[test] = np.stack([places.image_to_text, places.text_to_image])
    partial = work / "runs" / f"{run_name(arm, seed)}.partial.npz"
    np.savez(partial, **found)
    partial.replace(places_path(work, arm, seed))


def places_path(work: Path, arm: str, seed: int) -> Path:
    """Where a finished run's places lie."""
    return work / "runs" / f"{run_name(arm, seed)}.npz"


class Comparison(NamedTuple):
    """Mean recall of both arms, and their paired difference with its interval."""

    raw: float
    curated: float
    difference: Estimate

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = self.difference.to_dict()
        found = {k: round(v, 4) if isinstance(v, float) else v for k, v in told.items()}
        return {"raw": round(self.raw, 4), "curated": round(self.curated, 4), "difference": found}


def compared(work: Path, num_seeds: int, *, seed: int) -> dict[str, dict[str, Any]]:
    """Recall of both arms on each test, mean of both directions, by rank.

    Intervals are over trainings and queries, each paired: variances of both add.
    """
    tables: dict[str, dict[str, Any]] = {}
    for test in TESTS:
        arms = {
            arm: [np.load(places_path(work, arm, one))[test] for one in range(num_seeds)]
            for arm in (RAW, CURATED)
        }
        tables[test] = {
            f"recall_at_{k}": _compared(arms, k, seed=seed).to_dict() for k in RECALL_AT
        }
    return tables


def _compared(arms: Mapping[str, list[np.ndarray]], k: int, *, seed: int) -> Comparison:
    hits = {arm: np.stack([_share(one < k) for one in found]) for arm, found in arms.items()}
    return Comparison(
        float(hits[RAW].mean()),
        float(hits[CURATED].mean()),
        paired_difference(hits[CURATED], hits[RAW], seed=seed),
    )


def _share(is_hit: Bool[np.ndarray, "directions pairs"]) -> Float64[np.ndarray, " pairs"]:
    """Of each pair, over both directions."""
    return is_hit.mean(axis=0, dtype=np.float64)


def paired_difference(
    first: Float64[np.ndarray, "seeds pairs"],
    second: Float64[np.ndarray, "seeds pairs"],
    *,
    seed: int,
) -> Estimate:
    """First less second, paired by seed and by test pair.

    Args:
        seed: of the draws.
    """
    differences = first - second
    num_seeds, num_pairs = differences.shape
    of_seeds, of_pairs = differences.mean(axis=1), differences.mean(axis=0)
    rng = np.random.default_rng([seed, num_pairs])
    drawn = rng.integers(num_pairs, size=(NUM_RESAMPLES, num_pairs))
    parts = [
        Part(seed_weights(num_seeds, seed) @ of_seeds, num_seeds),
        Part(of_pairs[drawn].mean(axis=1), num_pairs),
    ]
    return estimate(float(differences.mean()), parts, num_seeds, None)
