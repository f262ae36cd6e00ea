"""Trains one head on the kept maps, and exports it as a detector of its own."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from eval.progress import Progress
from eval.studies.detection.base import detector_config
from eval.studies.detection.folders import StudyFolders
from eval.studies.detection.settings import Cell, DetectionStudyConfig
from eval.studies.detection.views import KeptViews, vectors_of
from vlsuite.engine.optim import (
    OptimConfig,
    build_optimizer,
    learning_rate,
    set_learning_rate,
)
from vlsuite.models.vild.network import NameTerms
from vlsuite.models.vild.settings import DISTILLED_MODES
from vlsuite.models.vild.targets import PictureTargets
from vlsuite.models.vild.trainable import TrainableVild
from vlsuite.objectives.vild import class_loss, distillation_weight, image_loss

_GRAD_NORM = 1.0
_LEVEL = "0"  # of the small trunk's map


class TrainedHead(NamedTuple):
    """A head as it came out.

    Attributes:
        built: the detector.
        losses: by name, mean over the last tenth of the steps.
        seconds: of training.
    """

    built: TrainableVild
    losses: dict[str, float]
    seconds: float


def train_head(config: DetectionStudyConfig, folders: StudyFolders, cell: Cell) -> TrainedHead:
    """Train what names regions; the crop mode has nothing to train."""
    torch.set_num_threads(1)
    torch.manual_seed(cell.seed)
    built = detector_config(config, folders, cell).build()
    if cell.mode == "crop":
        return TrainedHead(built, {}, 0.0)
    started = time.perf_counter()
    views = KeptViews(folders, config)
    vectors = None
    if cell.mode in DISTILLED_MODES:
        vectors = vectors_of(
            views.rows,
            folders.regions("fp32" if cell.vectors == "fp32" else "int8"),
            shuffle_seed=cell.seed if cell.vectors == "shuffled" else None,
        )
    optim = OptimConfig(
        lr=config.lr,
        warmup_steps=min(100, config.steps // 5),
        weight_decay=config.weight_decay,
        betas=(0.9, 0.999),
    )
    network = built.network.train()
    optimizer = build_optimizer(optim, network, offload=False)
    trained = [p for p in network.parameters() if p.requires_grad]
    progress = Progress(f"training {cell.name}", total=config.steps, unit="steps")
    last: list[dict[str, float]] = []
    draws = _draws(len(views), config.batch_size, cell.seed)
    for step in range(config.steps):
        rows = next(draws)
        targets = [_target(views, row, step, vectors) for row in rows]
        terms = network.name_terms(
            {_LEVEL: views.maps(rows)},
            [views.rows[row].proposals for row in rows],
            targets,
            (config.side, config.side),
        )
        losses = losses_of(terms, config.image_weight)
        set_learning_rate(optimizer, learning_rate(optim, step, total_steps=config.steps))
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(trained, _GRAD_NORM)
        optimizer.step()
        if step >= 0.9 * config.steps:
            last.append({name: float(loss.detach()) for name, loss in losses.items()})
        progress.add(1)
    progress.close()
    means = {name: sum(one[name] for one in last) / len(last) for name in last[0]} if last else {}
    return TrainedHead(built, means, time.perf_counter() - started)


def losses_of(terms: NameTerms, image_weight: float) -> dict[str, Tensor]:
    """Those of ``VildObjective`` that the head has, each with its weight."""
    found: dict[str, Tensor] = {}
    if terms.classes is not None:
        found["text"] = class_loss(*terms.classes)
    if terms.distilled is not None:
        dim = terms.distilled.found.shape[1]
        weight = distillation_weight(image_weight, dim, rescale=True)
        found["image"] = weight * image_loss(*terms.distilled)
    return found


def _target(views: KeptViews, row: int, step: int, vectors: list[Tensor] | None) -> PictureTargets:
    """With its vectors, and with draws of this step's own."""
    target = views.rows[row].target
    embeds = target.region_embeds if vectors is None else vectors[row]
    return target._replace(region_embeds=embeds, seed=target.seed + step)


def _draws(count: int, batch: int, seed: int) -> Iterator[list[int]]:
    """Every row as often as the others; the order depends on the seed, not on the mode."""
    generator = torch.Generator().manual_seed(seed)
    left: list[int] = []
    while True:
        while len(left) < batch:
            left += torch.randperm(count, generator=generator).tolist()
        yield left[:batch]
        left = left[batch:]
