"""The report of a study: tables, plots and JSON say what the runs say."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from eval.metrics import resampling
from eval.studies.noise.methods import METHODS
from eval.studies.noise.report import StudyReport, write_report
from eval.studies.tables import number, percent
from tests.support.noise_cells import places, write_cell

_RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyReport]:
    """Two seeds of InfoNCE, one of RDE and of the oracle; few draws, which are tested elsewhere."""
    out = tmp_path_factory.mktemp("study")
    for rate, level in ((0.0, 0.5), (0.5, 0.3), (0.8, 0.1)):
        wrong = np.arange(120) < 120 * rate
        cosines = np.where(wrong, 0.1, 0.4) + 0.1 * _RNG.normal(size=120)
        pairs = {"wrong": wrong, "cosines": cosines, "start_cosines": cosines}
        for seed in range(2):
            at = places(level, 600, shift=seed)
            write_cell(out, "infonce", rate, seed, t2i=at, curve=[0.1, 0.2, level], **pairs)
        rde = places(level + 0.1, 600)
        write_cell(out, "rde", rate, 0, t2i=rde, noise=np.clip(1 - cosines, 0, 1), **pairs)
    write_cell(out, "oracle", 0.5, 0, t2i=places(0.4, 600))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "NUM_RESAMPLES", 50)
        yield write_report(out)


def test_the_json_holds_every_figure(written: StudyReport):
    text = (written.page.parent / "study.json").read_text()
    assert "NaN" not in text
    data = json.loads(text)
    assert data["methods"] == ["infonce", "rde", "oracle"]
    assert data["rates"] == [0.0, 0.5, 0.8]
    found = data["results"]["infonce"]["0.5"]
    assert found["r1_t2i"]["last"]["value"] == pytest.approx(0.3)
    assert found["retention"]["value"] == pytest.approx(0.6)
    assert found["share_of_oracle"]["value"] == pytest.approx(0.75)
    assert found["against_infonce"] is None
    assert found["epochs"] == [0.0, 1.0, 2.0]
    assert data["results"]["rde"]["0.5"]["against_infonce"]["value"] == pytest.approx(0.1)
    assert data["results"]["oracle"]["0.5"]["detection"] is None
    assert data["zero_shot_detection"]["0.5"]["auroc"]["seeds"] == 2
    assert found["against_infonce_relative"] is None


def test_the_tables_name_methods_and_the_choice_of_best(written: StudyReport):
    assert re.search(r"50%\s+InfoNCE\s+2\s+30\.0 \(\d", written.text)
    markdown = (written.page.parent / "study.md").read_text()
    assert "test set itself" in markdown
    assert markdown.count("\n## ") == 3


def test_goals_of_the_project_are_no_part_of_a_report(written: StudyReport):
    for name in ("study.json", "study.md", "study.html"):
        text = (written.page.parent / name).read_text().lower()
        assert "goal" not in text
        assert "not measured" not in text


def test_a_ratio_to_few_hits_is_left_out(tmp_path: Path):
    write_cell(tmp_path, "infonce", 0.5, 0, t2i=[0] + [7] * 65)
    write_cell(tmp_path, "rde", 0.5, 0, t2i=[0] * 5 + [7] * 61)
    text = write_report(tmp_path).text
    assert re.search(r"RDE\s+\+6\.1 \([^)]*\)\s+-\s", text)
    assert "+400" not in text


def test_the_page_stands_alone(written: StudyReport):
    page = written.page.read_text()
    assert page.count("data:image/svg+xml;base64,") == 3
    assert "<script" not in page
    assert "http" not in re.sub(r"<meta[^>]*>|base64,[^\"]*", "", page)


def test_plots_are_there_and_the_same_each_time(written: StudyReport):
    folder = written.page.parent
    plots = {p.name: p.read_bytes() for p in folder.glob("study-*.png")}
    assert set(plots) == {"study-rates.png", "study-curves.png", "study-detection.png"}
    before = {n: (folder / n).read_bytes() for n in ("study.json", "study.md", "study.html")}
    write_report(folder)
    assert {p.name: p.read_bytes() for p in folder.glob("study-*.png")} == plots
    assert {n: (folder / n).read_bytes() for n in before} == before


def test_one_run_is_enough(tmp_path: Path):
    write_cell(tmp_path, "oracle", 0.2, 0, t2i=places(0.4, 50))
    report = write_report(tmp_path)
    assert report.summary["rates"] == [0.2]
    assert report.page.is_file()


def test_all_methods_have_a_title_and_a_look(tmp_path: Path):
    for method in METHODS:
        write_cell(tmp_path, method, 0.5, 0, t2i=places(0.4, 50))
    assert write_report(tmp_path).summary["methods"] == list(METHODS)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, "-"),
        ({"value": None, "low": None, "high": None}, "-"),
        ({"value": 0.3, "low": None, "high": None}, "30.0"),
        ({"value": 0.3, "low": 0.25, "high": 0.35}, "30.0 (25.0-35.0)"),
        ({"value": 0.0, "low": -0.01, "high": 0.02}, "0.0 (-1.0 to 2.0)"),
    ],
)
def test_figures_as_text(found: dict | None, text: str):
    assert percent(found) == text


def test_signs_and_shares():
    found = {"value": 0.05, "low": 0.01, "high": 0.09}
    assert percent(found, sign=True) == "+5.0 (+1.0 to +9.0)"
    assert number(found) == "0.050 (0.010-0.090)"
