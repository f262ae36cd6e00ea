"""The figures of calibration and out-of-distribution detection, computed again by others.

From stored embeddings: ECE by torchmetrics, NLL and Brier score by float64 loops, AUROC and both
areas under precision and recall by scikit-learn, both FPR95 by loops over every threshold.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics.functional.classification import multiclass_calibration_error

from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.metrics.temperature import seeded_half
from vlsuite.models.opening import open_model

_TEMPLATE = "a photo of a {c}"


def largest_differences(
    results: Sequence[dict[str, Any]], model: Path, cache: Path, data: Path, shards: Path
) -> dict[str, float]:
    """Largest difference of each figure on CIFAR-10 to the independent one.

    Args:
        results: result files of an evaluation whose embeddings are in ``cache``.
        data: the folder of CIFAR-10.
        shards: where the other pictures lie as NAME-000000.tar.
    """
    clip = open_model(str(model))
    dataset = open_dataset(str(data))
    decoder = StreamingDecoder(batch_size=128, workers=2)
    embedder = StoredEmbedder(StreamingEmbedder(decoder=decoder), cache, batch_size=128)
    images = embedder.images(clip, dataset)
    assert dataset.layout.classes is not None
    assert dataset.labels is not None
    classes = embedder.class_embeds(clip, dataset.layout.classes.names, (_TEMPLATE,))
    cosines = images.embeds @ classes.T
    labels = dataset.labels[images.rows]
    ids = [str(number) for number in dataset.images.image_ids[images.rows].tolist()]
    differences: dict[str, float] = {}
    for result in results:
        if result["dataset"] != dataset.name:
            continue
        if result["benchmark"] == "calibration":
            half = seeded_half(ids, seed=result["origin"]["seed"])
            theirs = _calibration(clip.logit_scale * cosines.double()[~half], labels[~half],
                                  result["details"]["temperature"])  # fmt: skip
            differences |= _differences(result, theirs)
        if result["benchmark"] == "ood":
            (other,) = result["details"]["others"]
            pictures = open_dataset(str(shards / f"{other}-000000.tar"), task="images")
            outside = embedder.images(clip, pictures)
            single = embedder.class_embeds(
                clip, dataset.layout.classes.names, (result["details"]["mcm_template"],)
            )
            theirs = _detection(
                images.embeds @ single.T, outside.embeds @ single.T, lambda u: u.softmax(1).amax(1)
            )
            differences |= _differences(
                result, {f"mcm_{name}_{other}": value for name, value in theirs.items()}
            )
    return differences


def _differences(result: dict[str, Any], theirs: dict[str, float]) -> dict[str, float]:
    return {name: abs(result["scores"][name]["value"] - value) for name, value in theirs.items()}


def _calibration(logits: torch.Tensor, labels: np.ndarray, temperature: float) -> dict[str, float]:
    targets = torch.from_numpy(labels)
    figures: dict[str, float] = {}
    for suffix, divisor in (("", 1.0), ("_scaled", temperature)):
        rows = (logits / divisor).tolist()
        probabilities = []
        for row in rows:
            top = max(row)
            powers = [math.exp(value - top) for value in row]
            total = math.fsum(powers)
            probabilities.append([power / total for power in powers])
        own = [row[label] for row, label in zip(probabilities, labels.tolist(), strict=True)]
        squares = [
            math.fsum((p - (i == label)) ** 2 for i, p in enumerate(row))
            for row, label in zip(probabilities, labels.tolist(), strict=True)
        ]
        figures[f"nll{suffix}"] = -math.fsum(math.log(p) for p in own) / len(own)
        figures[f"brier{suffix}"] = math.fsum(squares) / len(squares)
        figures[f"ece{suffix}"] = float(
            multiclass_calibration_error(
                torch.tensor(probabilities, dtype=torch.float64), targets,
                num_classes=logits.shape[1], n_bins=15, norm="l1",
            )
        )  # fmt: skip
    return figures


def _detection(
    inside: torch.Tensor,
    outside: torch.Tensor,
    score: Callable[[torch.Tensor], torch.Tensor],
) -> dict[str, float]:
    good, bad = score(inside.double()).numpy(), score(outside.double()).numpy()
    scores = np.concatenate([good, bad])
    is_inside = np.arange(len(scores)) < len(good)
    best_gap, fpr_id = math.inf, 0.0
    for threshold in sorted(set(good.tolist()) | set(bad.tolist())):
        gap = abs(float((good >= threshold).mean()) - 0.95)
        if gap < best_gap:
            best_gap, fpr_id = gap, float((bad >= threshold).mean())
    caught = [t for t in sorted(set(scores.tolist())) if float((bad <= t).mean()) >= 0.95]
    return {
        "auroc": float(roc_auc_score(is_inside, scores)),
        "aupr_in": float(average_precision_score(is_inside, scores)),
        "aupr_out": float(average_precision_score(~is_inside, -scores)),
        "fpr95_id": fpr_id,
        "fpr95_ood": float((good <= caught[0]).mean()),
    }
