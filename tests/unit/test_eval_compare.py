"""Models side by side: pairs of images, influence factors, the page and its data."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from eval.errors import EvaluationError
from eval.influence_factors import INFLUENCES, differing_settings, influences_of
from eval.metrics.intervals import wilson_score
from eval.report.compare import build_comparison
from eval.report.compare_figures import against_accuracy_figure, models_figure
from eval.report.model_labels import model_labels
from eval.report.sides import Side, compare, controlled, excludes_zero, read_side
from eval.results import EvalResult, PerImage, PerUnit, Score, save_result
from tests.support.eval_results import zero_shot_result

KNOWN = dict.fromkeys(INFLUENCES, "same")


def _result(model: str, hits: np.ndarray, *, revision: str = "r1", **influences: str) -> EvalResult:
    told = KNOWN | influences
    return zero_shot_result(model, hits, chance=0.1, revision=revision, influences=told)


def _side(name: str, hits: np.ndarray, **changes: str) -> Side:
    return Side(name, (_result(name, hits, **changes),), ())


def _hits(count: int, right: int) -> np.ndarray:
    return np.arange(count) < right


def test_per_image_hits_survive_json_with_images_left_out() -> None:
    rows = np.array([0, 3, 4, 12], dtype=np.int64)
    packed = PerImage.pack(np.array([True, False, True, True]), rows, 13)
    again = PerImage(**json.loads(json.dumps(dataclasses.asdict(packed))))
    hits, scored = again.unpack()
    assert np.flatnonzero(hits).tolist() == [0, 4, 12]
    assert np.flatnonzero(scored).tolist() == [0, 3, 4, 12]


def test_the_same_images_are_compared_in_pairs() -> None:
    comparison = compare([_side("a", _hits(100, 50)), _side("b", _hits(100, 60))])[0]
    pair = comparison.against_first[1]
    assert pair is not None
    assert pair.difference.value == pytest.approx(0.10)
    assert (pair.only_first, pair.only_second) == (10, 0)
    assert pair.difference.low > 0


def test_only_images_that_both_scored_count() -> None:
    one, two = _result("a", _hits(10, 5)), _result("b", _hits(10, 5))
    rows = np.arange(2, 10, dtype=np.int64)
    fewer = PerImage.pack(np.ones(8, dtype=bool), rows, 10)
    two = dataclasses.replace(two, per_image={"top1": fewer})
    pair = compare([Side("a", (one,), ()), Side("b", (two,), ())])[0].against_first[1]
    assert pair is not None
    assert pair.difference.n == 8
    assert pair.difference.value == pytest.approx(5 / 8)


def test_other_images_are_not_paired() -> None:
    other = _side("b", _hits(100, 60), revision="r2")
    assert compare([_side("a", _hits(100, 50)), other])[0].against_first[1] is None


def test_nothing_in_common() -> None:
    other = dataclasses.replace(_result("b", _hits(10, 5)), dataset="cars")
    with pytest.raises(EvaluationError, match="no result in common"):
        compare([_side("a", _hits(10, 5)), Side("b", (other,), ())])


def test_one_factor_at_a_time() -> None:
    sides = [
        _side("a", _hits(100, 50)),
        _side("b", _hits(100, 60), objective="sigmoid"),
        _side("c", _hits(100, 70), objective="sigmoid", architecture="ViT-L"),
    ]
    pairs = controlled(sides, compare(sides))
    assert [(p.factor, p.first[0], p.second[0]) for p in pairs] == [
        ("objective", "a", "b"),
        ("architecture", "b", "c"),
    ]
    assert pairs[0].first[1] == "same"
    assert pairs[0].difference.difference.value == pytest.approx(-0.1)


def test_an_unknown_factor_controls_nothing() -> None:
    sides = [
        _side("a", _hits(10, 5), training_pairs="unknown"),
        _side("b", _hits(10, 6), training_pairs="unknown", objective="sigmoid"),
    ]
    assert controlled(sides, compare(sides)) == []


def test_page_and_data(tmp_path: Path) -> None:
    sides = [_side("a", _hits(100, 50)), _side("<b>", _hits(100, 60), objective="sigmoid")]
    written = build_comparison(sides, tmp_path / "out")
    page = written.page.read_text()
    assert "<b>&lt;b&gt;" not in page
    assert "&lt;b&gt;" in page
    assert "+10.0 (" in page
    assert "One factor at a time" in page
    data = json.loads(written.data.read_text())
    assert data["comparisons"][0]["against_first"][0] is None
    assert data["comparisons"][0]["against_first"][1]["difference"]["value"] == pytest.approx(0.1)
    assert "60.0*" in written.text
    assert build_comparison(sides, tmp_path / "again").page.read_text() == page


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["/runs/a/export", "/runs/b/export"], ["a", "b"]),
        (["runs/a", "runs/a/export"], ["a", "a/export"]),
        (["ViT-B-32:openai", "runs/b32"], ["ViT-B-32:openai", "runs/b32"]),
        (["/data/me/runs/first"], ["first"]),
        (["first" * 9, "last" * 9], ["firstfirstf...tfirstfirst", "lastlastlas...astlastlast"]),
        (["a" * 20 + "1" + "b" * 20, "a" * 20 + "2" + "b" * 20],
         ["1: aaaaaaaaaaa...bbbbbbbbbbb", "2: aaaaaaaaaaa...bbbbbbbbbbb"]),
    ],
)  # fmt: skip
def test_labels_of_models_are_short_and_different(names: list[str], labels: list[str]) -> None:
    assert model_labels(names) == labels


def test_long_names_leave_the_plots_their_room(recwarn: pytest.WarningsRecorder) -> None:
    names = [f"/data/somebody/studies/detection/cells/{name}/export" for name in ("text", "vild")]
    comparisons = compare([_side(name, _hits(100, 50)) for name in names])
    models_figure(names, comparisons * 3)
    against_accuracy_figure(names, ["x", "y"], comparisons[0], comparisons * 3)
    # files that garbage of other tests left open are not the plots'
    told = [str(one.message) for one in recwarn if one.category is not ResourceWarning]
    assert told == []


def _captioned(model: str, hits: np.ndarray) -> Side:
    """Two captions an image; "text_to_image" is their share of hits."""
    images = np.repeat(np.arange(len(hits) // 2), 2)
    result = dataclasses.replace(
        _result(model, hits),
        scores={
            "text_to_image": wilson_score(hits),
            "nll": Score(2.0, 1.0, 3.0, 9, "nats"),
        },
        chance={},
        per_image={},
        per_unit={
            "text_to_image": PerUnit.pack(hits, images),
            "nll": PerUnit.pack(np.where(hits, 0.5, 3.0), images, most=None),
        },
    )
    again = EvalResult.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False)))
    return Side(model, (again,), ())


def test_captions_and_values_are_compared_in_pairs_too() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(400) < 0.4
    second = first | (rng.random(400) < 0.2)
    found = {c.subject.score: c for c in compare([_captioned("a", first), _captioned("b", second)])}
    recall, nll = found["text_to_image"].against_first[1], found["nll"].against_first[1]
    assert recall is not None
    assert nll is not None
    assert recall.difference.value == pytest.approx(second.mean() - first.mean())
    assert (recall.difference.unit, nll.difference.unit) == ("points", "nats")
    assert nll.difference.value == pytest.approx(-2.5 * (second.mean() - first.mean()))
    assert recall.difference.low > 0 > nll.difference.high
    assert recall.p_value < 1e-6


def test_many_equal_scores_are_not_marked(tmp_path: Path) -> None:
    """One of 60 scores of equal models has an interval beside 0 by chance; Holm takes its mark."""
    rng = np.random.default_rng(8)
    shares = [(rng.random(200) < 0.5, rng.random(200) < 0.5) for _ in range(60)]
    sides = []
    for side in (0, 1):
        hits = {f"s{i:02}": pair[side] for i, pair in enumerate(shares)}
        result = dataclasses.replace(
            _result("ab"[side], shares[0][0]),
            scores={name: wilson_score(own) for name, own in hits.items()},
            per_image={n: PerImage.pack(own, np.arange(200), 200) for n, own in hits.items()},
        )
        sides.append(Side("ab"[side], (result,), ()))
    comparisons = compare(sides)
    pairs = [c.against_first[1] for c in comparisons]
    assert any(p is not None and excludes_zero(p.difference) for p in pairs)
    assert not any(c.is_marked(1) for c in comparisons)
    data = json.loads(build_comparison(sides, tmp_path / "out").data.read_text())
    assert "Holm" in data["correction"]
    assert all(c["against_first"][1]["corrected_p_value"] > 0.05 for c in data["comparisons"])


def test_models_that_trained_longer_differ_in_more_than_the_objective() -> None:
    sides = [
        _side("a", _hits(100, 50)),
        _side("b", _hits(100, 60), objective="sigmoid", training_length="9 samples"),
    ]
    assert controlled(sides, compare(sides)) == []


def test_only_settings_that_differ_are_shown() -> None:
    told = ["optim.lr=0.1; seed=0", "optim.lr=0.1; seed=1; wd=2", "unknown"]
    assert differing_settings(told) == ["seed=0; wd=absent", "seed=1; wd=2", "unknown"]
    assert differing_settings(told[:1] * 2) == ["the same", "the same"]


def test_reading_sides(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no folder of results"):
        read_side(tmp_path / "absent")
    with pytest.raises(EvaluationError, match="nothing to report in"):
        read_side(tmp_path)
    for model in ("a", "b"):
        save_result(
            _result(model, _hits(10, 5)), tmp_path / f"{model}__birds__test__zero_shot.json"
        )
    with pytest.raises(EvaluationError, match="2 models"):
        read_side(tmp_path)
    assert read_side(tmp_path, model="b").results[0].model == "b"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("ViT-B-32:openai", ("ViT-B-32", "WIT (OpenAI)", "400M", "softmax", "none")),
        ("ViT-B-16-SigLIP:webli", ("ViT-B-16-SigLIP", "WebLI", "unknown", "sigmoid", "none")),
        (
            "convnext_large_d:laion2b_s29b_b131k_ft_soup",
            ("convnext_large_d", "LAION-2B", "2.3B", "softmax", "fine-tuned"),
        ),
        (
            "ViT-B-32:datacomp_xl_s13b_b90k",
            ("ViT-B-32", "DataComp-1B", "1.4B", "softmax", "none"),
        ),
        ("ViT-B-32:/w/own.pt", ("ViT-B-32", "unknown", "unknown", "unknown", "unknown")),
        ("hf-hub:org/model", ("unknown",) * 5),
    ],
)
def test_influences_of_published_models(spec: str, expected: tuple[str, ...]) -> None:
    assert tuple(influences_of(spec).values())[:5] == expected


def test_influences_of_a_run_and_stated_ones(tmp_path: Path) -> None:
    config = {
        "model": {"name": "vlsuite-tiny-32", "pretrained": None},
        "data": {"train": ["/d/cifar10-train-{000000..000001}.tar", "/d/emoji"]},
        "objective": {"kind": "siglip"},
        "optim": {"lr": 0.1},
        "duration": "10epochs",
    }
    (tmp_path / "metrics.jsonl").write_text(
        '{"kind": "train", "step": 4, "samples_seen": 1024}\n{"kind": "eval", "step": 4}\n'
    )
    (tmp_path / "config.json").write_text(json.dumps({"recipe": "x", "config": config}))
    found = influences_of(str(tmp_path), ["training_pairs=20k"])
    assert found == {
        "architecture": "vlsuite-tiny-32",
        "training_source": "cifar10-train, emoji",
        "training_pairs": "20k",
        "objective": "sigmoid",
        "fine_tuning": "none",
        "training_length": "1,024 samples",
        "other_settings": "optim.lr=0.1",
    }
    with pytest.raises(EvaluationError, match="--influence colour=red"):
        influences_of(str(tmp_path), ["colour=red"])
