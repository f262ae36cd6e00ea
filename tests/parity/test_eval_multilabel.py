"""Average precision against CLIP_benchmark's definition in float64 loops."""

import io
from pathlib import Path

import numpy as np
import pytest

from data_pipelines.errors import UserError
from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.metrics.average_precision import (
    _without_each,
    average_precisions,
    mean_average_precision,
)
from eval.task_choices import TaskChoices
from eval.zero_shot.multilabel import ZeroShotMultilabel
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import noise_png, write_evaluation_folder

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=8, workers=2))
NAMES = ("cat", "dog", "boat", "tree")
TEMPLATES = ("a photo of a {c}.", "the {c}")


def _npy(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def _ap_by_loop(scores: np.ndarray, shown: np.ndarray) -> float:
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    hits, total = 0, 0.0
    for rank, i in enumerate(order, start=1):
        if shown[i]:
            hits += 1
            total += hits / rank
    return total / hits


def _folder(root: Path, labels: np.ndarray, names=NAMES) -> Path:
    samples = [{"png": noise_png(i), "npy": _npy(row)} for i, row in enumerate(labels)]
    folder = write_evaluation_folder(root, samples, class_names=names, templates=TEMPLATES)
    (folder / "dataset_type.txt").write_text("multilabel\n")
    return folder


def test_task_equals_the_definition(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).random((30, 4)) < 0.4
    labels[:, 2] = False
    folder = _folder(tmp_path / "multi", labels.astype(np.int64))
    model = SmallClip(seed=2)
    dataset = open_dataset(str(folder))
    assert dataset.task == "multilabel"

    result = ZeroShotMultilabel.build(dataset, TaskChoices()).run(model, EMBEDDER)

    # fp32 as in the product: a last bit decides the order of near ties.
    images = EMBEDDER.images(model, dataset).embeds
    scores = (images @ EMBEDDER.class_embeds(model, NAMES, TEMPLATES).T).numpy()
    expected = [_ap_by_loop(scores[:, c], labels[:, c]) for c in (0, 1, 3)]
    score = result.scores["mean_average_precision"]
    assert score.value == pytest.approx(np.mean(expected), abs=1e-12)
    assert score.low < score.value < score.high
    assert result.details["classes_without_images"] == 1
    assert result.chance["mean_average_precision"] == pytest.approx(
        np.mean(labels[:, [0, 1, 3]].mean(axis=0))
    )


def test_equal_scores_are_one_step() -> None:
    shown = np.array([[True], [False], [True]])
    # Two thirds of all three images show the class, whatever their order.
    assert average_precisions(np.zeros((3, 1)), shown) == pytest.approx(2 / 3)


def test_leaving_each_image_out_is_computing_anew() -> None:
    rng = np.random.default_rng(1)
    scores, shown = rng.random((12, 3)), rng.random((12, 3)) < 0.3
    anew = [
        np.nanmean(average_precisions(np.delete(scores, i, 0), np.delete(shown, i, 0)))
        for i in range(12)
    ]
    np.testing.assert_allclose(_without_each(scores, shown), anew, atol=1e-12)


def test_the_interval_covers_sets_of_this_size() -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(120):
        shown = rng.random((30, 4)) < 0.3
        found.append(mean_average_precision(rng.normal(size=(30, 4)) + 1.5 * shown, shown, seed=0))
    middle = np.mean([score.value for score in found])
    assert np.mean([score.low <= middle <= score.high for score in found]) > 0.93


@pytest.mark.parametrize(
    ("labels", "names", "part"),
    [
        (np.array([[0, 1, 1, 0, 1]]), NAMES, "each of the 4 class names"),
        (np.array([[0, 1, 2, 0]]), NAMES, "from 0 to 2"),
        (np.zeros((2, 4), dtype=np.float32) + 0.5, NAMES, "no usable sample"),
    ],
)
def test_labels_that_do_not_fit(tmp_path: Path, labels, names, part: str) -> None:
    with pytest.raises(UserError, match=part):
        open_dataset(str(_folder(tmp_path / "multi", labels, names)))


def test_pickled_labels_are_refused(tmp_path: Path) -> None:
    bad = np.empty(1, dtype=object)
    bad[0] = {"a": 1}
    with pytest.raises(UserError, match="no usable sample"):
        open_dataset(str(_folder(tmp_path / "multi", bad[None])))
