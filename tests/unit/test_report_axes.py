"""Every plot of a report says what its axes are."""

import dataclasses

import numpy as np
import pytest
from matplotlib.figure import Figure

from eval.class_answers import ClassAnswers
from eval.metrics.intervals import wilson_score
from eval.report import axis_figures, class_tables, compare_figures, figures
from eval.report.record import EvalPoint
from eval.report.sides import Comparison, Subject
from eval.results import Score
from tests.support.eval_results import example_result


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    found: list[Figure] = []
    kept = figures.as_picture
    monkeypatch.setattr(figures, "as_picture", lambda f: (found.append(f), kept(f))[1])
    return found


def _unnamed(figure: Figure) -> list[str]:
    """Of panels in a row the first names what is upwards, of those above each other the last."""
    shown = [a for a in figure.axes if a.get_visible() and a.get_label() != "<colorbar>"]
    columns = {round(axes.get_position().x0, 2) for axes in shown}
    lowest = [
        min(
            (a for a in shown if round(a.get_position().x0, 2) == column),
            key=lambda a: a.get_position().y0,
        )
        for column in columns
    ]
    found = [f"x of {axes.get_title()}" for axes in lowest if not axes.get_xlabel()]
    return found + ([] if shown[0].get_ylabel() else ["y"])


@pytest.mark.parametrize("scalars", [(), ("logit_scale",), ("logit_scale", "temperature")])
def test_training_curves_are_named(drawn: list[Figure], scalars: tuple[str, ...]) -> None:
    names = ("samples_seen", "loss", "learning_rate", "samples_per_s", *scalars)
    figures.training_figure({name: np.arange(1.0, 5.0) for name in names})
    assert _unnamed(drawn[0]) == []
    assert all(axes.get_ylabel() for axes in drawn[0].axes if axes.get_visible())


def test_tables_and_diagrams_are_named(drawn: list[Figure]) -> None:
    bins = {"counts": [1, 3], "accuracy": [0.5, 0.7], "confidence": [0.3, 0.8]}
    axis_figures.reliability_figure({"raw": bins})
    axis_figures.corruption_figure({"fog": {"1": 0.5}, "snow": {"2": 0.3}})
    for figure in drawn:
        assert _unnamed(figure) == []
        assert figure.axes[0].get_ylabel() != "%"


def test_severities_that_nobody_has_get_no_column(drawn: list[Figure]) -> None:
    axis_figures.corruption_figure({"fog": {"3": 0.5, "5": 0.1}, "snow": {"3": 0.3}})
    assert [label.get_text() for label in drawn[0].axes[0].get_xticklabels()] == ["3", "5"]


def test_a_last_record_of_one_step_makes_no_hook(drawn: list[Figure]) -> None:
    """Raw records are faint below their means, and the cut-off last one is not drawn."""
    seen = np.append(np.arange(10.0, 610.0, 10.0), 601.0)
    loss = np.append(np.linspace(4, 1, 60), 9.0)
    train = {"samples_seen": seen, "loss": loss, "learning_rate": loss, "samples_per_s": loss}
    assert figures.is_last_cut_short(train)
    figures.training_figure(train)
    faint, bold = drawn[0].axes[0].get_lines()
    assert max(faint.get_ydata()) == 4.0
    assert faint.get_alpha() < 0.5
    np.testing.assert_allclose(bold.get_ydata(), loss[:-1])  # the mean of a line is the line
    assert not figures.is_last_cut_short({**train, "samples_seen": np.arange(1.0, 62.0)})


def test_smoothed_is_the_mean_of_a_window() -> None:
    values = np.random.default_rng(0).normal(size=100)
    expected = []
    for i in range(100):
        reach = min(2, i, 99 - i)
        expected.append(np.mean(values[i - reach : i + reach + 1]))
    np.testing.assert_allclose(figures.smoothed(values), expected, atol=1e-12)


def test_a_shift_is_drawn_of_shares_alone(drawn: list[Figure]) -> None:
    """An axis in percent shows no nats; of very many scores the headlines are drawn."""
    share, nats = wilson_score(np.ones(8, dtype=bool)), Score(1.2, 1.0, 1.4, 8, unit="nats")
    base = dataclasses.replace(
        example_result(), benchmark="calibration", scores={"top1": share, "nll": nats}
    )
    assert figures.shifted_scores(base, base) == ["top1"]
    figures.shift_figure(base, base)
    assert [label.get_text() for label in drawn[0].axes[0].get_xticklabels()] == ["Top-1 accuracy"]
    many = {"mean_corrupted_top1": share} | {f"top1_{i}": share for i in range(20)}
    corruptions = dataclasses.replace(base, benchmark="corruptions", scores=many)
    assert figures.shifted_scores(corruptions, corruptions) == ["mean_corrupted_top1"]


def _comparisons(count: int) -> list[Comparison]:
    score = wilson_score(np.arange(20) % 3 == 0)
    subjects = [
        Subject("retrieval", "line_art_colour", "test", f"image_to_text_recall_at_{k}")
        for k in range(1, count + 1)
    ]
    return [Comparison(subject, (score, score), 0.1, (None, None)) for subject in subjects]


def _draw_everything() -> list[figures.Picture]:
    names = ("samples_seen", "loss", "learning_rate", "samples_per_s", "logit_scale", "logit_bias")
    result, shifted = example_result(value=0.5), example_result(dataset="line_art_colour")
    recalls = ["image_to_text_recall_at_5", "text_to_image_recall_at_5"]
    rounds = [EvalPoint(step, 64 * step, (result, shifted)) for step in (10, 20)]
    bins = {"counts": [1, 3], "accuracy": [0.5, 0.7], "confidence": [0.3, 0.8]}
    levels = {str(level): 0.7 - 0.1 * level for level in range(1, 6)}
    classes = ClassAnswers(
        tuple(f"class {i}" for i in range(10)), np.arange(10), np.arange(10), np.arange(10)
    )
    confusion = class_tables.confusion_figure(classes)
    assert confusion is not None
    models = ["runs/a_first_model_with_a_name", "runs/another_model_with_a_name"]
    return [
        figures.training_figure({name: np.arange(1.0, 5.0) for name in names}),
        figures.evaluation_figure(rounds, recalls),
        figures.overview_figure([result, shifted], recalls),
        figures.shift_figure(result, shifted),
        axis_figures.reliability_figure({"raw": bins, "scaled": bins}),
        axis_figures.corruption_figure({"elastic_transform": levels, "jpeg_compression": levels}),
        confusion,
        compare_figures.models_figure(models, _comparisons(4)),
        compare_figures.against_accuracy_figure(
            models, ["a", "b"], _comparisons(1)[0], _comparisons(4)
        ),
    ]


def test_no_plot_is_cut_off_on_a_desk_or_a_phone(drawn: list[Figure]) -> None:
    pictures = _draw_everything()
    assert all(picture.narrow for picture in pictures)
    assert len(drawn) == 2 * len(pictures)
    for wide, narrow in zip(drawn[::2], drawn[1::2], strict=True):
        assert narrow.get_figwidth() <= figures.NARROW
        assert wide.get_figwidth() <= figures.WIDE
    cut = []
    for number, figure in enumerate(drawn):
        box, size = figure.get_tightbbox(), figure.get_size_inches()
        if min(box.x0, box.y0) < -0.02 or box.x1 > size[0] + 0.02 or box.y1 > size[1] + 0.02:
            cut.append((number, np.round(box.extents, 2).tolist(), size.tolist()))
    assert cut == []
