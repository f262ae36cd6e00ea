"""The OOD task against scikit-learn and loops over the definitions, from pictures to figures."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.metrics.temperature import seeded_half
from eval.safety.ood import OodDetection, OodOptions
from eval.task_choices import Companions, TaskChoices
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import labelled, noise_png, write_evaluation_folder, write_tar

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=16, workers=2))
NAMES = ("cat", "dog", "boat", "tree", "lamp")
TEMPLATES = ("a photo of a {c}.", "the {c}")
K = 3


def _dataset(root: Path) -> EvalDataset:
    samples = labelled(41, num_classes=len(NAMES))
    samples[3]["png"] = b"broken"
    return open_dataset(str(write_evaluation_folder(root / "in", samples, class_names=NAMES)))


def _pictures(root: Path, name: str, first: int, count: int) -> EvalDataset:
    samples = [{"png": noise_png(first + i)} for i in range(count)]
    samples[1]["png"] = b"broken " + name.encode()
    return open_dataset(str(write_tar(root / f"{name}.tar", samples)), task="images")


def _request(**companions) -> TaskChoices:
    return TaskChoices(
        templates=TEMPLATES,
        companions=Companions(**companions),
        options=(OodOptions(template="a picture of {c}", neighbour=K),),
    )


def _classes(model: SmallClip, templates: tuple[str, ...]) -> np.ndarray:
    means = []
    for name in NAMES:
        prompts = model.embed_texts([t.replace("{c}", name) for t in templates]).double().numpy()
        mean = np.mean([prompt / np.linalg.norm(prompt) for prompt in prompts], axis=0)
        means.append(mean / np.linalg.norm(mean))
    return np.array(means)


def _scores(model: SmallClip, embeds: np.ndarray, bank: np.ndarray) -> dict[str, list[float]]:
    ensemble, single = _classes(model, TEMPLATES), _classes(model, ("a picture of {c}",))
    found: dict[str, list[float]] = {"mcm": [], "max_logit": [], "energy": [], "knn": []}
    for embed in embeds:
        powers = [math.exp(u) for u in single @ embed]
        found["mcm"].append(max(powers) / sum(powers))
        cosines = ensemble @ embed
        found["max_logit"].append(max(cosines))
        scaled = [math.exp(model.logit_scale * (u - max(cosines))) for u in cosines]
        found["energy"].append(max(cosines) + math.log(sum(scaled)) / model.logit_scale)
        distances = sorted(math.sqrt(((embed - other) ** 2).sum()) for other in bank)
        found["knn"].append(-distances[K - 1])
    return found


def _fpr95_ood(inside: list[float], outside: list[float]) -> float:
    for threshold in sorted({*inside, *outside}):
        if sum(value <= threshold for value in outside) / len(outside) >= 0.95:
            return sum(value <= threshold for value in inside) / len(inside)
    raise AssertionError("the highest score has all")


def _fpr95_id(inside: list[float], outside: list[float]) -> float:
    """Of all thresholds, the one whose recall is nearest 95%; the lower of two as near."""
    best = min(
        sorted({*inside, *outside}),
        key=lambda t: (round(abs(sum(v >= t for v in inside) / len(inside) - 0.95), 12), t),
    )
    return sum(value >= best for value in outside) / len(outside)


def _check(result_scores, inside: dict[str, list[float]], outside: dict[str, list[float]], name):
    for method in ("mcm", "max_logit", "energy", "knn"):
        own, other = inside[method], outside[method]
        is_inside = [True] * len(own) + [False] * len(other)
        negative = [-value for value in own + other]
        expected = {
            "auroc": roc_auc_score(is_inside, own + other),
            "aupr_in": average_precision_score(is_inside, own + other),
            "aupr_out": average_precision_score(np.logical_not(is_inside), negative),
            "fpr95_id": _fpr95_id(own, other),
            "fpr95_ood": _fpr95_ood(own, other),
        }
        for figure, value in expected.items():
            score = result_scores[f"{method}_{figure}_{name}"]
            assert score.value == pytest.approx(value, abs=1e-9), (method, figure)
            assert score.lower_is_better == figure.startswith("fpr95")


def test_figures_with_a_half_of_the_set_as_bank(tmp_path: Path) -> None:
    dataset, model = _dataset(tmp_path), SmallClip(seed=1)
    others = (_pictures(tmp_path, "x", 100, 30), _pictures(tmp_path, "y", 200, 21))
    task = OodDetection.build(dataset, _request(ood=others))

    result = task.run(model, EMBEDDER)

    images = EMBEDDER.images(model, dataset)
    embeds = images.embeds.double().numpy()
    ids = [str(i) for i in dataset.images.image_ids[images.rows].tolist()]
    in_bank = seeded_half(ids, seed=0)
    inside = _scores(model, embeds, embeds[in_bank])
    inside["knn"] = [v for v, used in zip(inside["knn"], in_bank, strict=True) if not used]
    for other in others:
        outside = EMBEDDER.images(model, other).embeds.double().numpy()
        _check(result.scores, inside, _scores(model, outside, embeds[in_bank]), other.name)
    assert len(result.scores) == 40
    assert result.details["num_bank_images"] == in_bank.sum() == 20
    assert (result.num_samples, result.num_skipped) == (40, 3)
    assert result.details["others_left_out"] == 2
    assert set(result.chance) == {n for n in result.scores if "auroc" in n}
    stored = StoredEmbedder(EMBEDDER, tmp_path / "store", batch_size=16)
    stored.prepare(model, task.needs())
    assert task.run(model, stored) == result


def test_figures_with_a_bank_and_without_its_copies_of_the_set(tmp_path: Path) -> None:
    dataset, model = _dataset(tmp_path), SmallClip(seed=1)
    other = _pictures(tmp_path, "x", 100, 30)
    bank = _pictures(tmp_path, "bank", 300, 25)
    request = _request(ood=(other,), bank=bank)
    task = OodDetection.build(dataset, request)
    result = task.run(model, EMBEDDER)
    sets = [EMBEDDER.images(model, s).embeds.double().numpy() for s in (dataset, other, bank)]
    _check(result.scores, *(_scores(model, s, sets[2]) for s in sets[:2]), "x")
    assert result.details["num_bank_images"] == 24

    overlapping = [{"png": noise_png(300 + i)} for i in range(25)]
    overlapping[1] = {"png": b"broken bank"}
    copies = [{"png": dataset.images.read(i)} for i in (0, 5, 6)]
    wider = open_dataset(
        str(write_tar(tmp_path / "wider.tar", overlapping + copies)), task="images"
    )
    again = replace(task, bank=wider).run(model, EMBEDDER)
    assert {n: s.value for n, s in again.scores.items()} == {
        n: s.value for n, s in result.scores.items()
    }
    assert again.details["num_bank_images"] == 24


def test_what_is_lacking_is_one_line(tmp_path: Path) -> None:
    dataset, other = _dataset(tmp_path), _pictures(tmp_path, "x", 100, 30)
    few = _pictures(tmp_path, "few", 300, 2)
    for request, said in (
        (TaskChoices(), "with --ood"),
        (
            TaskChoices(companions=Companions(ood=(other,)), options=(OodOptions(neighbour=21),)),
            "20 pict",
        ),
        (_request(ood=(other,), bank=few), "2 pictures"),
        (_request(ood=(other,), bank=dataset), "0 pictures"),
    ):
        lack = OodDetection.missing(dataset, request)
        assert lack is not None
        assert said in lack
        assert "\n" not in lack
    assert "class labels" in str(OodDetection.missing(other, _request(ood=(other,))))
    assert OodDetection.missing(dataset, _request(ood=(other,))) is None
