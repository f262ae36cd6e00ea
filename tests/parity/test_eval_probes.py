"""The linear probe against scikit-learn's logistic regression, and its draws and intervals."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.errors import EvaluationError
from eval.probes.few_shot import FewShotProbe, drawn_score
from eval.probes.linear_probe import LinearProbe
from eval.probes.logistic import LogisticProblem, places
from eval.probes.preconditioned import Stopping
from eval.probes.sweep import EXPONENTS, MOST_FITS, Labelled, sweep
from eval.probes.training_pictures import ProbeOptions, few_of_each, split_off
from eval.running.selection import select
from eval.task_choices import TaskChoices
from tests.support.clustered_pictures import classed, write_splits
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import write_tar
from tests.support.exported_models import exported_model
from vlsuite.cli.main import main

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=64, workers=2))
NAMES = ("cat", "dog", "boat", "tree", "lamp", "leaf")
STOPPING = Stopping(tolerance=1e-7, max_steps=1000)


def _features(count: int, width: int, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of unequal spread around a common mean, as embeddings are; fp32."""
    draws = np.random.default_rng(0)
    spread = np.arange(1, width + 1) ** -0.5
    means = draws.normal(size=(num_classes, width)) * spread
    labels = draws.integers(0, num_classes, count)
    labels[:num_classes] = np.arange(num_classes)
    features = 2 * spread + means[labels] + 2 * draws.normal(size=(count, width)) * spread
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features.astype(np.float32), labels


@pytest.mark.parametrize("l2", [10.0, 0.1, 1e-3])
def test_fit_equals_scikit_learn(l2: float) -> None:
    features, labels = _features(600, 24, 5)
    theirs = LogisticRegression(C=1 / l2, solver="newton-cholesky", tol=1e-10).fit(
        features.astype(np.float64), labels
    )

    ours = LogisticProblem(torch.from_numpy(features), torch.from_numpy(labels), num_classes=5).fit(
        l2, stopping=STOPPING
    )

    assert ours.converged
    weights = ours.weights.numpy()
    # fp32 products; the bias has no penalty, so only differences of the biases are defined.
    np.testing.assert_allclose(weights[:, :-1], theirs.coef_, atol=2e-3 * np.abs(weights).max())
    bias = theirs.intercept_ - theirs.intercept_.mean()
    np.testing.assert_allclose(
        weights[:, -1] - weights[:, -1].mean(), bias, atol=2e-3 * np.abs(weights).max()
    )
    hits = places(ours.weights, torch.from_numpy(features), labels) < 1
    assert hits.mean() == pytest.approx(theirs.score(features, labels), abs=1e-4)


def test_value_and_gradient_follow_the_formula_in_float64_loops() -> None:
    features, labels = _features(40, 6, 3)
    problem = LogisticProblem(torch.from_numpy(features), torch.from_numpy(labels), num_classes=3)
    weights = np.random.default_rng(1).normal(size=(3, 7))
    l2 = 2.5

    features = features - features.mean(axis=0, dtype=np.float64)
    value, gradient = problem._value(torch.from_numpy(weights), l2 / 40)

    loss, slope = 0.0, np.zeros((3, 7))
    for vector, label in zip(features, labels, strict=True):
        extended = np.append(vector, 1.0)
        scores = [float(row @ extended) for row in weights]
        total = math.fsum(math.exp(score) for score in scores)
        loss += math.log(total) - scores[label]
        for c in range(3):
            slope[c] += (math.exp(scores[c]) / total - (c == label)) * extended
    loss += l2 / 2 * float((weights[:, :-1] ** 2).sum())
    slope[:, :-1] += l2 * weights[:, :-1]
    assert value == pytest.approx(loss / 40, rel=1e-6)  # fp32
    np.testing.assert_allclose(gradient.numpy(), slope / 40, atol=1e-6)


def test_places_count_the_classes_ahead_with_ties_and_absent_classes() -> None:
    weights = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.5], [0.0, -torch.inf]]).double()
    features = torch.tensor([[1.0], [0.0], [1.0], [1.0]])
    found = places(weights, features, np.array([1, 2, 0, 3]))
    assert found.tolist() == [1, 0, 0, 3]


def test_sweep_is_the_search_of_clip() -> None:
    features, labels = _features(400, 16, 4)
    validation, _labels = _features(1000, 16, 4)
    problem = LogisticProblem(torch.from_numpy(features), torch.from_numpy(labels), num_classes=4)
    calls: list[int] = []
    held = Labelled(torch.from_numpy(validation[400:]), _labels[400:])

    swept = sweep(problem, held, stopping=STOPPING, on_fit=lambda: calls.append(1))

    assert len(calls) == len(swept.accuracy) <= MOST_FITS
    assert len(EXPONENTS) == 97
    assert max(swept.accuracy.values()) == swept.accuracy[swept.l2]
    equal = [l2 for l2, value in swept.accuracy.items() if value == swept.accuracy[swept.l2]]
    assert swept.l2 == max(equal)
    alone = problem.fit(swept.l2, stopping=STOPPING)
    torch.testing.assert_close(alone.weights, swept.classifier.weights, atol=1e-2, rtol=0)


def test_task_equals_scikit_learn_on_the_same_embeddings(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "set", NAMES, train=240, test=180, validation=90)
    model = SmallClip(seed=1)
    dataset = open_dataset(str(folder))

    result = LinearProbe.build(dataset, TaskChoices()).run(model, EMBEDDER)

    embeds = {
        split: EMBEDDER.images(model, open_dataset(str(folder), split=split)).embeds.numpy()
        for split in ("train", "val", "test")
    }
    fitted = np.concatenate([embeds["train"], embeds["val"]]).astype(np.float64)
    labels = np.arange(330) % 6
    labels[240:] = (np.arange(90) + 240 + 180) % 6
    theirs = LogisticRegression(C=1 / result.details["l2"], solver="newton-cholesky", tol=1e-9)
    theirs.fit(fitted, labels)
    hits = theirs.predict(embeds["test"].astype(np.float64)) == (np.arange(180) + 240) % 6
    assert result.scores["top1"].value == pytest.approx(hits.mean(), abs=1e-4)
    assert 1 / 3 < result.scores["top1"].value < 1
    assert result.details["converged"]
    assert result.details["validation"] == "set (val)"
    own, _ = result.per_image["top1"].unpack()
    assert own.mean() == result.scores["top1"].value
    assert set(result.scores) == {"top1", "top5", "mean_per_class_recall"}


def test_pictures_that_are_measured_are_not_learned_from(tmp_path: Path) -> None:
    names = NAMES[:2]
    folder = write_splits(tmp_path / "set", names, train=40, test=20)
    leaked = classed(60, num_classes=2)
    other = write_tar(tmp_path / "more" / "0.tar", leaked)
    (tmp_path / "more" / "classnames.txt").write_text("dog\ncat\n")
    options = ProbeOptions(train=str(other))

    result = LinearProbe.build(open_dataset(str(folder)), TaskChoices(options=(options,))).run(
        SmallClip(), EMBEDDER
    )

    training = result.details["training"]
    assert training["pictures"] == 40
    assert training["left_out_as_they_are_measured"] == 20
    # The other set numbers its classes the other way round, so everything is learned wrong.
    assert result.scores["top1"].value < 0.5


def test_split_off_keeps_equal_pictures_together_and_every_class() -> None:
    ids = np.array([5, 5, 7, 8, 9, 10, 11, 12, 13, 14], dtype=np.uint64)
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 2])
    for seed in range(20):
        part = split_off(ids, labels, share=0.4, seed=seed)
        assert not set(ids[part.train].tolist()) & set(ids[part.validation].tolist())
        assert sorted([*part.train, *part.validation]) == list(range(10))
        assert set(labels[part.train]) == {0, 1, 2}
        turned = split_off(ids[::-1].copy(), labels[::-1].copy(), share=0.4, seed=seed)
        assert {*ids[::-1][turned.train].tolist()} == {*ids[part.train].tolist()}


def test_few_of_each_nests_and_never_validates_on_what_it_learns() -> None:
    ids = np.arange(40, dtype=np.uint64) // np.uint64(2)  # every picture twice
    labels = (np.arange(40) // 2) % 4
    smaller: set[int] = set()
    for shots in (1, 2, 4):
        part = few_of_each(ids, labels, shots=shots, validation_shots=min(shots, 4), seed=3)
        learned = set(ids[part.train].tolist())
        assert smaller <= learned
        assert len(learned) == len(part.train) == 4 * min(shots, 4)
        assert not learned & set(ids[part.validation].tolist())
        smaller = learned
    assert few_of_each(ids, labels, shots=5, validation_shots=0, seed=0).train.shape == (20,)


def test_few_shot_scores_grow_and_draws_are_averaged(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "set", NAMES[:3], train=60, test=60)
    options = ProbeOptions(shots=(1, 8), draws=2, max_steps=20)
    probe = FewShotProbe.build(open_dataset(str(folder)), TaskChoices(options=(options,)))

    result = probe.run(SmallClip(seed=2), EMBEDDER)

    assert set(result.scores) == {"top1_1_shot", "top1_8_shot"}
    assert result.scores["top1_8_shot"].value > result.scores["top1_1_shot"].value
    for shots in ("1", "8"):
        score = result.scores[f"top1_{shots}_shot"]
        draws = result.details["top1_of_draws"][shots]
        assert len(draws) == 2
        assert score.value == pytest.approx(np.mean(draws))
        assert score.low < score.value < score.high
        values, _ = result.per_unit[f"top1_{shots}_shot"].unpack()
        assert values.mean() == pytest.approx(score.value, abs=1e-6)
    assert probe.run(SmallClip(seed=2), EMBEDDER).scores == result.scores


def test_interval_of_draws_covers() -> None:
    """Accuracy of a draw and of a picture vary; the interval holds the truth 95 times of 100."""
    draws = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        chance = 0.7 + 0.05 * draws.normal(size=(5, 1)) + 0.15 * draws.normal(size=(1, 200))
        score = drawn_score(draws.random((5, 200)) < np.clip(chance, 0, 1))
        covered += score.low <= 0.7 <= score.high
    assert covered >= 279  # 95 % of 300, less two standard errors


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "set", NAMES[:3], train=0, test=9)
    dataset = open_dataset(str(folder))
    lack = LinearProbe.missing(dataset, TaskChoices())
    assert lack is not None
    assert "--set probe.train=PATH" in lack
    same = TaskChoices(options=(ProbeOptions(train=str(folder), train_split="test"),))
    with pytest.raises(EvaluationError, match="is the data that is measured"):
        LinearProbe.build(dataset, same)
    other = write_splits(tmp_path / "other", NAMES[3:], train=9, test=0)
    choices = TaskChoices(options=(ProbeOptions(train=str(other)),))
    with pytest.raises(EvaluationError, match=r"lacks class 'boat' of set \(test\)"):
        FewShotProbe.build(dataset, choices)
    for wrong in ({"shots": (0,)}, {"draws": 1}, {"validation_share": 1.0}, {"max_steps": 0}):
        with pytest.raises(EvaluationError, match="probe"):
            ProbeOptions(**wrong)


def test_command_line_measures_both_and_keeps_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = exported_model(tmp_path / "model")
    names = NAMES[:3]
    test = write_splits(tmp_path / "set", names, train=0, test=30)
    train = write_tar(tmp_path / "more" / "0.tar", classed(60, num_classes=3, first=100))
    words = ["eval", str(model), "--data", str(test), "--out", str(tmp_path / "out")]
    words += ["--cache", str(tmp_path / "cache"), "--set", "probe.max_steps=5"]
    words += ["--set", f"probe.train={train}"]
    tasks = ["--task", "linear_probe", "--task", "few_shot", "--set", "probe.shots=1"]
    assert main([*words, *tasks, "--set", "probe.draws=2"]) == 0
    told = capsys.readouterr().out
    assert "Linear probe" in told or "linear_probe" in told
    assert len(list((tmp_path / "out").glob("*.json"))) == 2
    # not under "all": a training set is embedded only where someone asks for it
    options = ProbeOptions(train=str(train))
    with pytest.raises(EvaluationError, match="measure it all the same: --task few_shot"):
        select([str(test)], tasks=("all",), choices=TaskChoices(options=(options,)))
