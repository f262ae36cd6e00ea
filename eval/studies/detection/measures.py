"""AP50 of what a head found, by group, with resamples of the pictures."""

import io
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from data_pipelines.shards.atomic import write_file
from eval.detection.annotated import chosen_vocabulary, truth_of
from eval.detection.evaluators import (
    COCO_MOST,
    ClassTable,
    by_hotcoco,
    by_ours,
    has_hotcoco,
    refuse_difference,
)
from eval.detection.picture_set import PictureSet
from eval.detection.precision import class_figures
from eval.detection.regions import Found
from eval.detection.scores import NUM_DRAWN
from eval.metrics.resampling import image_weights

GROUPS = ("base", "novel")
#: Largest difference of two evaluators that is rounding, as in the task ``detection``.
_AGREEMENT = 1e-9


class Measures(NamedTuple):
    """Of one head; shares in [0, 1].

    Attributes:
        ap50: by group, mean over its classes.
        ap: likewise over IoU .5 to .95.
        permuted: AP50 of the novel names when each is asked for under another novel name.
        drawn: AP50 by group in each resample of the pictures; the same draws for every head.
        classes: AP50 of every class; NaN where none is marked.
    """

    ap50: dict[str, float]
    ap: dict[str, float]
    permuted: float
    drawn: dict[str, Float64[np.ndarray, " resamples"]]
    classes: Float64[np.ndarray, " classes"]


def measured(
    found: Found, pictures: PictureSet, *, seed: int = 0, num_drawn: int = NUM_DRAWN
) -> Measures:
    """Count as the task ``detection`` does.

    Args:
        found: of all pictures.
        seed: of the draws and of the permutation.
        num_drawn: resamples.
    Raises:
        EvaluationError: two evaluators do not agree.
    """
    chosen = chosen_vocabulary(pictures.vocabulary, "auto")
    truth = truth_of(pictures.annotations, chosen)._replace(masks=None)
    own = by_ours(truth, found)
    table: ClassTable = own.table
    if has_hotcoco():
        table = by_hotcoco(truth, found)
        refuse_difference(table, own.table, most=_AGREEMENT)
    rows = list(islice(image_weights(truth.num_images, seed=seed), num_drawn))
    drawn = class_figures(own.matches, np.array(rows, np.int64), most=COCO_MOST).precision[:, 0]
    groups = {name: chosen.groups[name] for name in GROUPS}
    other = _permuted(found, np.flatnonzero(groups["novel"]), seed)
    permuted = by_ours(truth, other).table.precision[0, 0]
    levels = table.precision[0]
    return Measures(
        ap50={name: _mean(levels[0, is_own]) for name, is_own in groups.items()},
        ap={name: _mean(levels[:, is_own]) for name, is_own in groups.items()},
        permuted=_mean(permuted[groups["novel"]]),
        drawn={name: np.nanmean(drawn[:, is_own], axis=1) for name, is_own in groups.items()},
        classes=levels[0],
    )


def write_measures(path: Path, found: Measures) -> None:
    """Keep them beside a head."""
    stream = io.BytesIO()
    numbers = {
        f"{kind}_{name}": np.array(value)
        for kind, by_group in (("ap50", found.ap50), ("ap", found.ap), ("drawn", found.drawn))
        for name, value in by_group.items()
    }
    numbers |= {"permuted": np.array(found.permuted), "classes": np.array(found.classes)}
    np.savez_compressed(stream, allow_pickle=False, **numbers)
    write_file(path, stream.getvalue())


def read_measures(path: Path) -> Measures:
    """What ``write_measures`` kept.

    Raises:
        OSError, KeyError, ValueError: the file is damaged.
    """
    with np.load(path, allow_pickle=False) as held:
        return Measures(
            ap50={name: float(held[f"ap50_{name}"]) for name in GROUPS},
            ap={name: float(held[f"ap_{name}"]) for name in GROUPS},
            permuted=float(held["permuted"]),
            drawn={name: held[f"drawn_{name}"] for name in GROUPS},
            classes=held["classes"],
        )


def _permuted(found: Found, rows: Int64[np.ndarray, " novel"], seed: int) -> Found:
    """Every novel name stands for another one: a cycle through all of them, in random order.

    A detector that is asked for the permuted names gives the same scores under other labels, since
    a softmax does not know the order of its names.
    """
    order = np.random.default_rng([seed, 1]).permutation(rows)
    labels = np.arange(max(int(found.labels.max(initial=0)), int(rows.max())) + 1)
    labels[order] = np.roll(order, 1)
    return found._replace(labels=labels[found.labels])


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values))
