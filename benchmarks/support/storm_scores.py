"""Answers of a trained video model about clips, shown whole or with fewer frames or tokens."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float64, Int64
from torch import Tensor

from benchmarks.support.order_questions import OrderQuestions, embedded_texts
from data_pipelines.video.sampler import mirrored_frames
from eval.metrics.intervals import mean_score
from eval.metrics.paired import paired_units
from eval.progress import Progress
from vlsuite.batches.transforms import pixels_for
from vlsuite.models.folders import open_trainable
from vlsuite.models.storm.reduction import Reduction
from vlsuite.models.storm.tower import StormTower
from vlsuite.models.video_text.trainable import TrainableVideoText

_CLIPS_AT_ONCE = 16

#: Probabilities of being right: by test, of each question.
Hits = dict[str, Float64[np.ndarray, " questions"]]


class Shown(NamedTuple):
    """How clips are shown: every so many frames to any model, fewer tokens to STORM."""

    name: str
    every: int = 1
    reduction: Reduction | None = None


def answers(
    run: Path, ways: Sequence[Shown], sets: Sequence[OrderQuestions], kept: Path
) -> dict[str, Hits]:
    """Hits by way and test; what was answered before is read from a file.

    Args:
        run: folder of a training.
        ways: clips are shown in.
        sets: of questions.
        kept: file that they are written to.
    """
    known = json.loads(kept.read_text()) if kept.exists() else {}
    missing = [way for way in ways if set(known.get(way.name, ())) < {one.name for one in sets}]
    if missing:
        built = open_trainable(run)
        assert isinstance(built, TrainableVideoText)
        built.module.eval()
        for one in sets:
            for name, hits in _answered(built, missing, one, label=run.name).items():
                known.setdefault(name, {})[one.name] = hits.tolist()
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(known))
    return {
        way.name: {one.name: np.array(known[way.name][one.name]) for one in sets} for way in ways
    }


@torch.no_grad()
def _answered(
    built: TrainableVideoText, ways: Sequence[Shown], asked: OrderQuestions, *, label: str
) -> Hits:
    scalars = built.stored_scalars() or {"logit_scale": 1.0}
    model = built.evaluated(label, scalars=scalars, device=torch.device("cpu"))
    texts = embedded_texts(model, [asked])
    progress = Progress(f"{label}, {asked.name}", total=len(asked.pixels), unit="clips")
    parts: dict[str, list[Tensor]] = {way.name: [] for way in ways}
    for clips in asked.pixels.split(_CLIPS_AT_ONCE):
        for name, embeds in _embedded(built, clips, ways):
            parts[name].append(embeds)
        progress.add(len(clips))
    progress.close()
    return {name: asked.hits(torch.cat(found), texts) for name, found in parts.items()}


def _embedded(
    built: TrainableVideoText, clips: Tensor, ways: Sequence[Shown]
) -> Iterator[tuple[str, Tensor]]:
    """Embeddings of clips by way; the temporal layers of STORM run once for all reductions."""
    tower = built.encoder.visual
    mixed = None
    for way in ways:
        places = mirrored_frames(clips.shape[1], clips.shape[1] // way.every)
        frames = rearrange(clips[:, places], "b f c h w -> (b f) c h w")
        pixels = pixels_for(
            frames, built.preprocess, device=torch.device("cpu"), dtype=torch.float32
        )
        lengths = [len(places)] * len(clips)
        if way.reduction is None or not isinstance(tower, StormTower):
            features = tower(pixels, lengths)
        else:
            mixed = tower.mixed(pixels, lengths) if mixed is None else mixed
            features = tower.read(mixed, way.reduction)
        yield way.name, F.normalize(features.float(), dim=-1)


def over_seeds(hits: Sequence[Hits], sets: Sequence[OrderQuestions]) -> dict[str, float]:
    """Share of right answers with its interval over scenes, each in all seeds."""
    values, scenes = _stacked(hits, sets)
    score = mean_score(values, scenes, seed=0)
    return {"value": score.value, "low": score.low, "high": score.high}


def by_kind(hits: Sequence[Hits], sets: Sequence[OrderQuestions]) -> dict[str, float]:
    """Share of right answers to each kind of question."""
    kinds = np.array([kind for one in sets for kind in one.kinds])
    means = np.concatenate([np.mean([own[one.name] for own in hits], axis=0) for one in sets])
    return {kind: float(means[kinds == kind].mean()) for kind in dict.fromkeys(kinds.tolist())}


def difference(
    first: Sequence[Hits], second: Sequence[Hits], sets: Sequence[OrderQuestions]
) -> dict[str, object]:
    """First minus second, in shares: over scenes with all their seeds, and seed by seed."""
    one, scenes = _stacked(first, sets)
    other, _ = _stacked(second, sets)
    found = paired_units(one, other, scenes).difference
    each = [_mean(a) - _mean(b) for a, b in zip(first, second, strict=True)]
    return {"value": found.value, "low": found.low, "high": found.high, "by_seed": each}


def _mean(hits: Mapping[str, np.ndarray]) -> float:
    return float(np.concatenate(list(hits.values())).mean())


def _stacked(
    hits: Sequence[Hits], sets: Sequence[OrderQuestions]
) -> tuple[Float64[np.ndarray, " answers"], Int64[np.ndarray, " answers"]]:
    """Answers of all seeds and tests, and the scene of each."""
    values = [own[one.name] for own in hits for one in sets]
    starts = np.cumsum([0, *(int(one.clusters.max()) + 1 for one in sets)])
    scenes = [one.clusters + start for one, start in zip(sets, starts, strict=False)]
    return np.concatenate(values), np.concatenate(scenes * len(hits)).astype(np.int64)
