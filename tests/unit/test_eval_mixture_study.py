"""The study of mixtures: lines through made-up accuracies, its sets, settings and report."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from data_pipelines.sources.source import Target
from data_pipelines.sources.synthetic import SyntheticSource
from eval.data.folders import open_dataset
from eval.errors import EvaluationError
from eval.studies.mixture.lines import as_accuracy, explained, fitted, transformed
from eval.studies.mixture.records import load_cells
from eval.studies.mixture.report import write_report
from eval.studies.mixture.sets import StudyFolders, make_sets
from eval.studies.mixture.settings import (
    Cell,
    Mixture,
    MixtureStudyConfig,
    cells_of,
    default_mixtures,
    mixtures_of,
)
from eval.studies.mixture.statistics import MixtureStatistics
from vlsuite.cli.main import main

PICTURES = 4000
LEVELS = (0.1, 0.2, 0.35, 0.5)
#: Slope and intercept of each source, in logits.
TRUE = {"a": (0.8, -0.4), "b": (1.2, 0.2)}
MIXED = (0.8 * 0.75 + 1.2 * 0.25, -0.4 * 0.75 + 0.2 * 0.25)


def write_cell(out: Path, mixture: Mixture, seed: int, line: tuple[float, float]) -> None:
    """A finished run whose accuracies lie on a line, as far as whole pictures allow."""
    folder = out / "cells" / Cell(mixture, seed).name
    folder.mkdir(parents=True)
    slope, intercept = line
    rng = np.random.default_rng(seed)
    x = np.array(LEVELS) + 0.01 * rng.normal(size=len(LEVELS))
    y = 1 / (1 + np.exp(-(intercept + slope * np.log(x / (1 - x)))))
    hits = {}
    for name, accuracies in (("ref", x), ("shift", y)):
        order = np.random.default_rng(7).permutation(PICTURES)
        hits[f"hits_{name}"] = np.stack([order < round(a * PICTURES) for a in accuracies])
    np.savez_compressed(folder / "cell.npz", **hits)
    result = {
        "shares": [list(share) for share in mixture.shares],
        "seed": seed,
        "digest": "settings",
        "settings": {"architecture": "tiny"},
        "passes": {name: 2 * share for name, share in mixture.shares},
        "pairs": {"a": 100, "b": 100},
        "tests": {
            "ref": {"chance": 1 / PICTURES, "has_classes": False},
            "shift": {"chance": 0.1, "has_classes": True},
        },
        "samples_seen": 200,
        "seconds": 3.0,
        "environment": {"commit": "0123456", "hardware": "a machine", "command": "a command"},
    }
    (folder / "cell.json").write_text(json.dumps(result))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mixture")
    for mixture in mixtures_of("a,b,a:3+b", ["a", "b"]):
        line = MIXED if len(mixture.shares) > 1 else TRUE[mixture.sources[0]]
        for seed in range(3):
            write_cell(out, mixture, seed, line)
    return out


@pytest.mark.parametrize("scale", ["logit", "probit"])
def test_lines_are_those_of_least_squares(scale):
    rng = np.random.default_rng(0)
    x, y, weights = rng.normal(size=9), rng.normal(size=9), rng.integers(0, 3, size=9)
    found = fitted(x, y, weights.astype(float))
    slope, intercept = np.polyfit(np.repeat(x, weights), np.repeat(y, weights), 1)
    assert found.slope == pytest.approx(slope, abs=1e-9)
    assert found.intercept == pytest.approx(intercept, abs=1e-9)
    assert explained(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2, abs=1e-9)
    many = fitted(np.stack([x, x]), np.stack([y, 2 * y]), np.ones((2, 9)))
    assert many.slope[1] == pytest.approx(2 * many.slope[0])
    share = np.array([0.0, 0.3, 1.0])
    axes = transformed(share, 10**9, scale)
    assert np.isfinite(axes).all()
    assert [as_accuracy(value, scale) for value in axes] == pytest.approx(share, abs=1e-8)
    assert math.isnan(float(fitted(np.ones(4), y[:4], np.ones(4)).slope))


def test_slopes_heights_and_predictions_are_found_again(study: Path):
    records = load_cells(study)
    statistics = MixtureStatistics(records, reference="ref", scale="logit")
    a, b, mixed = statistics.mixtures
    assert [one.name for one in (a, b, mixed)] == ["a", "b", "a 75 + b 25"]
    level = statistics.level
    for mixture, (slope, intercept) in ((a, TRUE["a"]), (b, TRUE["b"]), (mixed, MIXED)):
        line = statistics.line(mixture, "shift")
        assert line is not None
        assert line.slope.value == pytest.approx(slope, abs=0.01)
        assert line.intercept.value == pytest.approx(intercept, abs=0.01)
        assert line.slope.low < slope < line.slope.high
        height = 1 / (1 + math.exp(-(intercept + slope * level)))
        assert line.accuracy.value == pytest.approx(height, abs=0.005)
        assert line.accuracy.low < line.accuracy.value < line.accuracy.high
        assert line.r2 > 0.999
    found = statistics.prediction(mixed, "shift")
    assert found is not None
    assert found.slope.value == pytest.approx(MIXED[0], abs=0.01)
    assert found.slope_residual.low < 0 < found.slope_residual.high
    assert found.height_residual.value == pytest.approx(0, abs=0.02)
    assert statistics.prediction(a, "shift") is None
    last = statistics.last(a, "ref")
    assert last.value == pytest.approx(0.5, abs=0.02)
    assert last.low < last.value < last.high


def test_evaluations_that_are_guesses_make_no_line(study: Path):
    records = load_cells(study)
    for record in records:
        record.hits["shift"] = np.zeros_like(record.hits["shift"])
        record.hits["shift"][:, : PICTURES // 10] = True
    statistics = MixtureStatistics(records, reference="ref", scale="logit")
    assert statistics.line(statistics.mixtures[0], "shift") is None
    assert statistics.prediction(statistics.mixtures[2], "shift") is None


def test_the_report_has_figures_tables_and_plots(study: Path):
    report = write_report(study, scale="probit")
    folder = report.page.parent
    text = (folder / "study.json").read_text()
    assert "NaN" not in text
    data = json.loads(text)
    assert (data["reference"], data["shifts"], data["scale"]) == ("ref", ["shift"], "probit")
    assert data["results"]["a 75 + b 25"]["predictions"]["shift"]["slope"]["seeds"] == 3
    assert "a 75 + b 25" in report.text
    assert "a 1.5, b 0.5" in report.text  # passes
    assert (folder / "study-line-shift.png").read_bytes().startswith(b"\x89PNG")
    page = report.page.read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    with pytest.raises(EvaluationError, match="no test 'x' in the study"):
        write_report(study, reference="x")


def test_damaged_and_mixed_studies_are_refused(study: Path, tmp_path: Path):
    with pytest.raises(EvaluationError, match="no finished run"):
        load_cells(tmp_path)
    write_cell(tmp_path, Mixture((("a", 1.0),)), 0, TRUE["a"])
    (tmp_path / "cells" / "a-seed0" / "cell.npz").write_bytes(b"PK")
    with pytest.raises(EvaluationError, match="is damaged"):
        load_cells(tmp_path)


def test_mixtures_are_read_and_named():
    sources = ["a", "b", "c"]
    names = [mixture.name for mixture in default_mixtures(sources)]
    assert names[:4] == ["a", "b", "c", "a 50 + b 50"]
    assert names[-1] == "a 33.3 + b 33.3 + c 33.3"
    found = mixtures_of("c:1+a:3, b", sources)
    assert [one.name for one in found] == ["a 75 + c 25", "b"]
    assert [cell.name for cell in cells_of(found, 2, first_seed=4)] == [
        "a-75+c-25-seed4", "b-seed4", "a-75+c-25-seed5", "b-seed5",
    ]  # fmt: skip
    for wrong in ("d", "a:0", "a:x", "a+a", "a:1e9+b:1", "a,a:2"):
        with pytest.raises(EvaluationError, match="--mixtures"):
            mixtures_of(wrong, sources)


def test_sources_are_split_into_equal_galleries(tmp_path: Path):
    for name, count, seed in (("a", 150, 0), ("b", 120, 1)):
        source = SyntheticSource(num_samples=count, side=48, seed=seed)
        source.build(Target(out_dir=tmp_path / name))
    config = MixtureStudyConfig(
        sources={name: (str(tmp_path / name),) for name in "ab"}, batch_size=8, samples=8
    )
    folders = StudyFolders(tmp_path / "study")
    make_sets(config, folders)
    galleries = [open_dataset(str(folders.test(name))) for name in "ab"]
    assert len(galleries[0]) == len(galleries[1]) >= 20
    assert folders.sizes == {"a": 150 - len(galleries[0]), "b": 120 - len(galleries[0])}
    stored = (folders.sets / "sets.json").read_bytes()
    make_sets(config, folders)
    assert (folders.sets / "sets.json").read_bytes() == stored


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a=x"], "--out DIR"),
        (["--out", "OUT"], "needs sources"),
        (["x.tar", "--out", "OUT"], "'x.tar' has no name"),
        (["a=x", "a=y", "--out", "OUT"], "'a' stands twice"),
        (["a b=x", "--out", "OUT"], "different names of letters"),
        (["a=x", "--test", "a=y", "--out", "OUT"], "different names"),
        (["a=x", "b=y", "--mixtures", "c", "--out", "OUT"], "no source with a weight"),
        (["a=x", "b=y", "--reference", "c", "--out", "OUT"], "--reference c is no test"),
        (["a=x", "--set", "epochs=1", "--out", "OUT"], "epochs"),
        (["--out", "OUT", "--report-only"], "does not exist; check the path"),
    ],
)
def test_mistakes(tmp_path: Path, capsys, arguments: list[str], said: str):
    given = [str(tmp_path / "out") if word == "OUT" else word for word in arguments]
    assert main(["study", "mixture", *given]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert error.startswith("error: ")
    assert "\n" not in error
    assert not (tmp_path / "out").exists()
