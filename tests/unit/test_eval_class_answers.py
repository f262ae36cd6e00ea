"""Answers kept with zero-shot results: tables of classes, confusions, disagreements of models."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from eval.class_answers import (
    ClassAnswers,
    of_details,
    without_answers,
)
from eval.errors import EvaluationError
from eval.metrics.ranking import answers_of, nearest_entry
from eval.report.class_comparison import compared_classes
from eval.report.class_tables import class_tables, confusion_figure
from eval.report.compare import build_comparison
from eval.report.disagreements import disagreements
from eval.report.sides import Side, differing
from eval.results import EvalResult
from tests.support.eval_results import zero_shot_result
from tests.support.evaluation_data import noise_png

NAMES = ("cat", "dog", "<b>boat</b>", "tree")


def _answers(given: list[int], right: list[int]) -> ClassAnswers:
    return ClassAnswers(NAMES, np.array(right), np.array(given), np.arange(len(right)))


def _result(model: str, given: list[int], right: list[int], *, revision: str = "r") -> EvalResult:
    answers = _answers(given, right)
    hits = answers.given == answers.right
    details = answers.to_details()
    return zero_shot_result(model, hits, chance=0.25, revision=revision, details=details)


def test_answers_survive_json() -> None:
    answers = ClassAnswers(NAMES, np.array([0, 1, 3]), np.array([0, 2, 3]), np.array([1, 5, 9]))
    again = of_details(json.loads(json.dumps(answers.to_details())))
    assert again is not None
    assert again.names == NAMES
    for one, other in zip(answers[1:], again[1:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert of_details({}) is None
    damaged = answers.to_details()
    damaged["answers"]["names"] = ["cat"]
    with pytest.raises(EvaluationError, match="damaged"):
        of_details(damaged)


def test_rounds_in_training_keep_none() -> None:
    assert "answers" not in without_answers(_result("m", [0, 1], [0, 2])).details


def test_the_first_class_is_the_nearest_and_of_equals_the_lowest() -> None:
    generator = torch.Generator().manual_seed(0)
    embeds = torch.randn(50, 8, generator=generator)
    prototypes = torch.randn(6, 8, generator=generator)
    prototypes[4] = prototypes[1]
    scores = embeds.double().numpy() @ prototypes.double().numpy().T
    scores[:, 4] = scores[:, 1]
    (nearest,) = answers_of(embeds, prototypes, nearest_entry)
    np.testing.assert_array_equal(nearest.numpy(), scores.argmax(axis=1))


def test_class_table_agrees_with_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    right, given = (generator.integers(0, 4, size=200).tolist() for _ in range(2))
    result = _result("m", given, right)
    table, pairs = class_tables([result])
    recall = recall_score(right, given, average=None)
    precision = precision_score(right, given, average=None)
    for row in table.rows:
        i = NAMES.index(row[0])
        assert row[1] == str(right.count(i))
        assert row[2] == f"{100 * recall[i]:.1f}"
        assert row[4] == f"{100 * precision[i]:.1f}"
    assert [float(row[2]) for row in table.rows] == sorted(float(row[2]) for row in table.rows)
    matrix = confusion_matrix(right, given)
    for one, other, number in _answers(given, right).confusions():
        assert matrix[one, other] == number
    assert [int(row[2]) for row in pairs.rows] == sorted(
        (n for i, line in enumerate(matrix.tolist()) for j, n in enumerate(line) if i != j and n),
        reverse=True,
    )


def test_confusions_are_a_table_and_of_few_classes_a_picture_too() -> None:
    few = _answers([0, 1, 1, 3], [0, 2, 2, 1])
    assert confusion_figure(few) is not None
    _, pairs = class_tables([_result("m", few.given.tolist(), few.right.tolist())])
    assert pairs.rows == (
        ("<b>boat</b>", "dog", "2", "100.0"),
        ("dog", "tree", "1", "100.0"),
    )
    assert pairs.summary == "2 confused pairs, the most frequent first"
    assert len(list(class_tables([_result("m", [0, 1], [0, 1])]))) == 1
    names = tuple(f"class {i}" for i in range(40))
    many = ClassAnswers(names, np.arange(40), np.zeros(40, dtype=np.int64), np.arange(40))
    assert confusion_figure(many) is None
    result = dataclasses.replace(_result("m", [0], [0]), details=many.to_details())
    table, pairs = class_tables([result])
    assert len(table.rows) == 40
    assert len(pairs.rows) == 39
    assert pairs.rows[0][2:] == ("1", "100.0")


def test_disagreements_are_pictures_that_one_names_rightly(tmp_path) -> None:
    right = [0, 1, 2, 3, 0, 1]
    first = Side("a", (_result("a", [0, 1, 2, 0, 1, 1], right),), (), {"lr": "1", "seed": "0"})
    second = Side("b", (_result("b", [0, 0, 2, 3, 1, 1], right),), (), {"lr": "2", "seed": "0"})
    asked: list[int] = []

    def read(number: int) -> bytes:
        asked.append(number)
        return noise_png(number)

    found = list(disagreements([first, second], {"r": read}, seed=0))
    assert asked == [1, 3]
    assert [len(one.examples) for one in found] == [1, 1]
    assert found[0].examples[0][1:] == ("dog", "dog", "cat")
    assert found[1].examples[0][1:] == ("tree", "cat", "tree")
    unseen = list(disagreements([first, second], {"other": read}, seed=0))
    assert [one.examples[0] for one in unseen] == [
        one.examples[0]._replace(image=None) for one in found
    ]
    assert differing([first, second]) == {"lr": ["1", "2"]}
    page = build_comparison([first, second], tmp_path, pictures={"r": read}).page.read_text()
    assert "What was set differently" in page
    assert "a is right, b is not" in page
    assert "<b>boat</b>" not in page
    assert page.count("data:image/jpeg") == 2
    assert "do not hold the pictures" not in page
    without = build_comparison([first, second], tmp_path).page.read_text()
    assert "a is right, b is not" in without
    assert "do not hold the pictures" in without
    assert "data:image/jpeg" not in without
    assert "Every axis against accuracy" not in page


def test_classes_of_several_models_stand_side_by_side() -> None:
    generator = np.random.default_rng(1)
    right = generator.integers(0, 3, size=90).tolist()
    given = {name: generator.integers(0, 4, size=90).tolist() for name in ("a", "b")}
    sides = [Side(name, (_result(name, own, right),), ()) for name, own in given.items()]
    other = Side("c", (_result("c", right, right, revision="another"),), ())
    (table,) = compared_classes([*sides, other])
    assert table.columns == ("class", "images", "a: right, %", "b: right, %", "apart, points")
    assert sorted(row[0] for row in table.rows) == sorted(NAMES[:3])
    recalls = {
        name: recall_score(right, own, average=None, labels=[0, 1, 2])
        for name, own in given.items()
    }
    apart = []
    for row in table.rows:
        i = NAMES.index(row[0])
        assert row[1] == str(right.count(i))
        shown = [f"{100 * recalls[name][i]:.1f} (" for name in ("a", "b")]
        assert [row[2].startswith(shown[0]), row[3].startswith(shown[1])] == [True, True]
        apart.append(abs(recalls["a"][i] - recalls["b"][i]))
        assert row[4] == f"{100 * apart[-1]:.1f}"
    assert apart == sorted(apart, reverse=True)
    assert list(compared_classes([sides[0], other])) == []
