"""The calibration task against torchmetrics, scipy and loops over the definition."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torchmetrics.functional.classification import multiclass_calibration_error

from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.metrics.temperature import seeded_half
from eval.results import EvalResult
from eval.safety.calibration import Calibration
from eval.task_choices import Companions, TaskChoices
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import labelled, noise_png, write_evaluation_folder
from vlsuite.batches.decode import decode_image

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=16, workers=2))
NAMES = ("cat", "dog", "boat", "tree", "lamp")
TEMPLATES = ("a photo of a {c}.", "the {c}")


def _dataset(root: Path, name: str, first: int, count: int = 60) -> EvalDataset:
    """Two of three labels are what the model says, so that a temperature has a minimum."""
    model = _model()
    classes = _classes(model)
    samples = labelled(count, num_classes=len(NAMES))
    for number, sample in enumerate(samples):
        sample["png"] = noise_png(first + number)
        if number % 3:
            pixels = model.image_transform(decode_image(sample["png"]))
            embed = model.embed_images(pixels[None])[0].double().numpy()
            sample["cls"] = str(int(np.argmax(classes @ embed))).encode()
    samples[7]["png"] = b"broken"
    samples[9]["png"] = samples[8]["png"]
    folder = write_evaluation_folder(root / name, samples, class_names=NAMES, templates=TEMPLATES)
    return open_dataset(str(folder))


def _model() -> SmallClip:
    model = SmallClip(seed=3)
    model.logit_scale, model.logit_bias = 30.0, -5.0
    return model


def _classes(model: SmallClip) -> np.ndarray:
    classes = []
    for name in NAMES:
        prompts = model.embed_texts([t.replace("{c}", name) for t in TEMPLATES]).double().numpy()
        mean = np.mean([prompt / np.linalg.norm(prompt) for prompt in prompts], axis=0)
        classes.append(mean / np.linalg.norm(mean))
    return np.array(classes)


def _logits(model: SmallClip, dataset: EvalDataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In float64, with labels and rows of the pictures that can be decoded."""
    images = EMBEDDER.images(model, dataset)
    assert dataset.labels is not None
    cosines = images.embeds.double().numpy() @ _classes(model).T
    return 30.0 * cosines - 5.0, dataset.labels[images.rows], images.rows


def _half(dataset: EvalDataset, rows: np.ndarray) -> np.ndarray:
    return seeded_half([str(i) for i in dataset.images.image_ids[rows].tolist()], seed=0)


def _nll(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    total = 0.0
    for row, label in zip(logits / temperature, labels, strict=True):
        total += math.log(sum(math.exp(v - row.max()) for v in row)) + row.max() - row[label]
    return total / len(labels)


def _best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    def nll(log_temperature: float) -> float:
        return _nll(logits, labels, math.exp(log_temperature))

    grid = np.linspace(-4, 6, 201)
    start = grid[int(np.argmin([nll(value) for value in grid]))]
    bounds = (start - 0.1, start + 0.1)
    found = minimize_scalar(nll, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    return math.exp(found.x)


def _check(result: EvalResult, logits: np.ndarray, labels: np.ndarray, best: float) -> None:
    assert result.details["temperature"] == pytest.approx(best, rel=1e-4)
    assert result.details["temperature_has_minimum"] is True
    for suffix, temperature in (("", 1.0), ("_scaled", float(result.details["temperature"]))):  # type: ignore[arg-type]
        probabilities = torch.from_numpy(logits / temperature).softmax(dim=1)
        ece = multiclass_calibration_error(
            probabilities, torch.from_numpy(labels), len(NAMES), n_bins=15, norm="l1"
        )
        brier = np.mean([
            sum((p - (c == label)) ** 2 for c, p in enumerate(row))
            for row, label in zip(probabilities.tolist(), labels, strict=True)
        ])  # fmt: skip
        assert result.scores[f"ece{suffix}"].value == pytest.approx(float(ece), abs=1e-6)
        nll = _nll(logits, labels, temperature)
        assert result.scores[f"nll{suffix}"].value == pytest.approx(nll, abs=1e-5)
        assert result.scores[f"brier{suffix}"].value == pytest.approx(brier, abs=1e-6)
    assert result.scores["top1"].value == np.mean(logits.argmax(axis=1) == labels)
    assert result.num_samples == len(labels)
    for score in result.scores.values():
        assert score.low <= score.value <= score.high


def test_figures_of_one_half_with_the_temperature_of_the_other(tmp_path: Path) -> None:
    dataset, model = _dataset(tmp_path, "a", 0), _model()
    task = Calibration.build(dataset, TaskChoices())

    result = task.run(model, EMBEDDER)

    logits, labels, rows = _logits(model, dataset)
    fitting = _half(dataset, rows)
    assert fitting[rows.tolist().index(8)] == fitting[rows.tolist().index(9)]
    best = _best_temperature(logits[fitting], labels[fitting])
    _check(result, logits[~fitting], labels[~fitting], best)
    details = result.details
    assert details["fit_nll_before"] == pytest.approx(_nll(logits[fitting], labels[fitting], 1.0))
    assert details["fit_nll_after"] == pytest.approx(_nll(logits[fitting], labels[fitting], best))
    assert details["num_fitting_images"] == fitting.sum()
    assert set(result.per_unit) == {"nll", "brier", "nll_scaled", "brier_scaled"}
    for name, units in result.per_unit.items():
        values, _ = units.unpack()
        assert values.mean() == pytest.approx(result.scores[name].value, abs=1e-6)
    assert result.num_skipped == 1
    assert sum(details["reliability"]["raw"]["counts"]) == (~fitting).sum()  # type: ignore[index,call-overload]
    stored = StoredEmbedder(EMBEDDER, tmp_path / "store", batch_size=16)
    stored.prepare(model, task.needs())
    assert task.run(model, stored) == result


def test_a_shifted_set_takes_the_temperature_of_half_of_its_base(tmp_path: Path) -> None:
    dataset, base = _dataset(tmp_path, "a", 0), _dataset(tmp_path, "b", 500)
    model = _model()
    request = TaskChoices(companions=Companions(bases=(base,)))
    task = Calibration.build(dataset, request)

    result = task.run(model, EMBEDDER)

    logits, labels, rows = _logits(model, base)
    fitting = _half(base, rows)
    best = _best_temperature(logits[fitting], labels[fitting])
    logits, labels, _ = _logits(model, dataset)
    _check(result, logits, labels, best)
    assert result.details["base_revision"] == base.revision
    assert [need.dataset for need in task.needs()] == [dataset, base]
    assert result.details["temperature_fitted_on"] == "half of b (test)"


def test_slices_of_any_size_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, model = _dataset(tmp_path, "a", 0), _model()
    whole = Calibration.build(dataset, TaskChoices()).run(model, EMBEDDER)
    monkeypatch.setattr(
        "eval.embedding.cosines.cosine_slices.__kwdefaults__", {"scores_at_a_time": 15}
    )
    sliced = Calibration.build(dataset, TaskChoices()).run(model, EMBEDDER)
    for name, score in whole.scores.items():
        assert sliced.scores[name].value == pytest.approx(score.value, abs=1e-6)


def test_what_is_lacking_is_one_line(tmp_path: Path) -> None:
    single = write_evaluation_folder(
        tmp_path / "one", labelled(1, num_classes=1) * 3, class_names=NAMES
    )
    dataset, base = open_dataset(str(single)), _dataset(tmp_path, "b", 500)
    lack = Calibration.missing(dataset, TaskChoices())
    assert lack is not None
    assert "single image" in lack
    assert Calibration.missing(dataset, TaskChoices(companions=Companions(bases=(base,)))) is None
    assert Calibration.missing(base, TaskChoices()) is None
