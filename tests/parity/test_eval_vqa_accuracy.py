"""VQA accuracy against the average over all ways to leave one person out."""

import numpy as np
import pytest

from eval.metrics.vqa_accuracy import normalized_answer, vqa_accuracy


def _by_leaving_out(answer: str, references: list[str]) -> float:
    """Antol et al. 2015, section 3.4, averaged as the official tool does."""
    accuracies = []
    for left_out in range(len(references)):
        others = [r for i, r in enumerate(references) if i != left_out]
        accuracies.append(min(sum(r == answer for r in others) / 3, 1.0))
    return float(np.mean(accuracies))


@pytest.mark.parametrize("count", [2, 3, 10])
def test_accuracy_equals_the_definition(count: int) -> None:
    rng = np.random.default_rng(count)
    for _ in range(200):
        references = rng.choice(["yes", "no", "2", "green car"], count).tolist()
        for answer in ("yes", "2", "other"):
            expected = _by_leaving_out(answer, references)
            assert vqa_accuracy(answer, references) == pytest.approx(expected, abs=1e-12)


def test_known_steps() -> None:
    assert [
        vqa_accuracy("yes", ["yes"] * n + ["no"] * (10 - n)) for n in range(6)
    ] == pytest.approx([0, 0.3, 0.6, 0.9, 1, 1])
    assert vqa_accuracy("Two dogs.", ["2 dogs"]) == 1.0
    assert vqa_accuracy("three", ["2"]) == 0.0


@pytest.mark.parametrize(
    ("answer", "normal"),
    [
        ("The  Cat", "cat"),
        ("two\nan", "2"),
        ("none", "0"),
        ("dont", "don't"),
        ("couldn'tve", "couldn't've"),
        ("it's", "it's"),
        ("its well", "its well"),
        ("red/white", "red white"),
        ("yes, sir", "yes sir"),
        ("yes,sir", "yes sir"),
        ("1,000", "1000"),
        ("3.5 miles.", "3.5 miles"),
        ("st. john", "st john"),
        ("!?", ""),
    ],
)
def test_normal_forms(answer: str, normal: str) -> None:
    assert normalized_answer(answer) == normal
