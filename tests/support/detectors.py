"""Tiny detectors and pictures of coloured squares with boxes, for tests."""

import dataclasses
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from PIL import Image

from data_pipelines.detection.annotations import no_annotations
from data_pipelines.detection.stored import to_fields
from data_pipelines.detection.vocabulary import BASE, NOVEL, Category, Vocabulary
from data_pipelines.settings import apply_overrides
from tests.support.exported_models import exported_model
from vlsuite.batches.detections import DetectionBatch
from vlsuite.engine.config import TrainConfig
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.vild.config import VildConfig
from vlsuite.models.vild.settings import (
    ClassifierSettings,
    HeadSettings,
    NetworkSettings,
    ProposalSettings,
    TrunkSettings,
    ViewSettings,
)
from vlsuite.models.vild.trainable import TrainableVild
from vlsuite.objectives.vild import VildObjectiveConfig

SIDE = 64  # pixels
NAMES = ("red", "green", "blue", "yellow")
COLOURS = ((220, 30, 30), (30, 200, 30), (30, 30, 220), (220, 220, 30))
#: "yellow" has no labels.
VOCABULARY = Vocabulary(
    tuple(
        Category(name, number + 1, group=NOVEL if name == "yellow" else BASE)
        for number, name in enumerate(NAMES)
    )
)


@cache
def teacher_folder() -> Path:
    """A dual encoder of random weights, made once a session."""
    return exported_model(Path(mkdtemp(prefix="vlsuite-teacher-")) / "teacher")


@cache
def vocabulary_folder() -> Path:
    """A folder with the categories of the squares."""
    folder = Path(mkdtemp(prefix="vlsuite-names-"))
    (folder / "categories.json").write_bytes(VOCABULARY.to_bytes())
    return folder


def tiny_network(*, masks: bool = False, **classifier: Any) -> NetworkSettings:
    """Some 100,000 weights."""
    return NetworkSettings(
        trunk=TrunkSettings(kind="small", norm="group", width=32),
        proposals=ProposalSettings(
            anchor_sizes=(16.0, 32.0), train=40, test=40, before_nms=100,
            regions_per_picture=24, anchors_per_picture=64,
        ),
        heads=HeadSettings(
            convs=0, layers=1, width=32, masks=masks, mask_convs=1, mask_width=32
        ),
        classifier=ClassifierSettings(**classifier),
    )  # fmt: skip


def tiny_config(mode: str = "text", **changes: Any) -> VildConfig:
    """A detector of the squares."""
    config = VildConfig(
        mode=mode,  # type: ignore[arg-type]
        vocabulary=str(vocabulary_folder()),
        teacher=OpenClipConfig(name=f"local-dir:{teacher_folder()}"),
        prompts="plain",
        sizes=(SIDE,),
        view=ViewSettings(scale=(0.9, 1.1)),
        network=tiny_network(),
    )
    return dataclasses.replace(config, **changes)


def tiny_detector(mode: str = "text", *, seed: int = 0, **changes: Any) -> TrainableVild:
    """A built one with random weights."""
    torch.manual_seed(seed)
    return tiny_config(mode, **changes).build()


def squares(seed: int, *, count: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A gray picture with squares: pixels, boxes, labels."""
    rng = np.random.default_rng(seed)
    picture = np.full((SIDE, SIDE, 3), 128, np.uint8)
    picture += rng.integers(0, 20, picture.shape, dtype=np.uint8)
    boxes, labels = [], []
    for place in range(count):
        side = int(rng.integers(14, 26))
        left = int(rng.integers(0, 32 - side + 1)) + 32 * (place % 2)
        top = int(rng.integers(0, SIDE - side + 1))
        label = int(rng.integers(len(NAMES)))
        picture[top : top + side, left : left + side] = COLOURS[label]
        boxes.append((left, top, left + side, top + side))
        labels.append(label)
    return picture, np.array(boxes, np.float32), np.array(labels, np.int64)


def square_members(seed: int) -> tuple[dict[str, Any], bytes]:
    """JSON fields and PNG of such a picture, as a shard stores them."""
    import io

    picture, boxes, labels = squares(seed)
    annotations = no_annotations((SIDE, SIDE), seed)._replace(
        boxes=boxes,
        labels=labels,
        is_crowd=np.zeros(len(boxes), np.bool_),
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(1).astype(np.float64),
    )
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return to_fields(annotations, VOCABULARY), stream.getvalue()


def square_batch(
    seeds: range, *, embed_dim: int = 24, empty: tuple[int, ...] = ()
) -> DetectionBatch:
    """A batch as a reader makes it; boxes of "yellow" are left out, masks fill their box.

    Args:
        empty: rows without a marked object or a cached region.
    """
    columns: dict[str, list[Any]] = {
        name: [] for name in ("image", "box", "label", "region", "mask")
    }
    for row, seed in enumerate(seeds):
        picture, boxes, labels = squares(seed)
        keep = (labels < 3) & (row not in empty)
        masks = np.zeros((int(keep.sum()), SIDE, SIDE), np.uint8)
        for mask, (left, top, right, bottom) in zip(masks, boxes[keep].astype(int), strict=True):
            mask[top:bottom, left:right] = 1
        columns["image"].append(torch.from_numpy(picture).permute(2, 0, 1))
        columns["box"].append(torch.from_numpy(boxes[keep]))
        columns["label"].append(torch.from_numpy(labels[keep]))
        columns["region"].append(torch.from_numpy(boxes if row not in empty else boxes[:0]))
        columns["mask"].append(torch.from_numpy(masks))
    generator = torch.Generator().manual_seed(7)
    colour_embeds = torch.nn.functional.normalize(
        torch.randn(len(NAMES), embed_dim, generator=generator), dim=1
    )
    embeds = [
        colour_embeds[torch.from_numpy(squares(seed)[2])][: len(region)]
        for seed, region in zip(seeds, columns["region"], strict=True)
    ]
    count = len(columns["image"])
    return DetectionBatch(
        uids=tuple(str(seed) for seed in seeds),
        sources=(0,) * count,
        images=torch.stack(columns["image"]),
        sizes=((SIDE, SIDE),) * count,
        boxes=torch.cat(columns["box"]),
        labels=torch.cat(columns["label"]),
        num_boxes=tuple(map(len, columns["box"])),
        masks=torch.cat(columns["mask"]),
        crowds=torch.zeros(0, 4),
        num_crowds=(0,) * count,
        regions=torch.cat(columns["region"]),
        region_embeds=torch.cat(embeds),
        num_regions=tuple(map(len, columns["region"])),
        seeds=tuple(seed * 1_000_003 for seed in seeds),
    )


def four_steps(model: VildConfig, shards: Path, *overrides: str) -> TrainConfig:
    """A training of four steps of 8 pictures, with a checkpoint half-way."""
    settings = dataclasses.replace(TrainConfig(), model=model, objective=VildObjectiveConfig())
    return apply_overrides(
        settings,
        [
            f"data.train={shards}",
            "data.num_workers=0",
            "optim.lr=1e-3",
            "optim.warmup_steps=2",
            "global_batch_size=8",
            "duration=4steps",
            "logging.every=1steps",
            "checkpoint.every=2steps",
            "threads=1",
            *overrides,
        ],
    )
