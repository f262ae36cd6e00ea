import base64
import dataclasses
import hashlib
import json
import re
from pathlib import Path

import pytest

from eval.errors import EvaluationError
from eval.report.build import build_report
from eval.report.figures import sentence, short_count
from eval.report.record import flattened, read_run
from eval.results import Panel, save_result
from tests.support.eval_results import example_pairs, example_result


def _run_folder(folder: Path, *, steps: int = 30) -> Path:
    folder.mkdir()
    config = {"recipe": "emoji", "config": {"seed": 0, "optim": {"lr": 5e-4, "name": "adamw"}}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "environment.json").write_text(
        json.dumps({"commit": "abc1234", "command": "vlsuite train <emoji>", "hardware": "2 x CPU",
                    "versions": {"torch": "2.11"}, "seed": 0, "started": "2026-01-01T00:00:00"})
    )  # fmt: skip
    lines = [
        {"kind": "train", "step": s, "samples_seen": 64 * s, "loss": 4 / s, "learning_rate": 1e-3,
         "logit_scale": 14.0 + s, "samples_per_s": 200.0, "data_wait_share": 0.02}
        for s in range(1, steps + 1)
    ]  # fmt: skip
    lines += [
        {"kind": "eval", "step": s, "samples_seen": 64 * s,
         "results": [example_result(value=s / 100).to_dict()]}
        for s in (10, 20, 30)
    ]  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    colour = example_result(dataset="line_art_colour", value=0.5, examples=example_pairs())
    line_art = example_result(dataset="line_art", shift_of="line_art_colour")
    for result in (colour, line_art):
        save_result(result, folder / "results" / f"first__{result.dataset}__test__retrieval.json")
    return folder


def test_page_needs_nothing_else_and_shows_everything(tmp_path: Path) -> None:
    page = build_report(_run_folder(tmp_path / "first")).read_text()
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert addresses
    assert all(address.startswith(("data:image/", "#")) for address in addresses)
    assert page.index("Headline") < page.index("The run") < page.index("Training curves")
    _one_script_by_its_digest(page)
    for title in (
        "Image-text retrieval on all test sets",
        "Distribution shift: line_art_colour to line_art",
        "Training curves",
        "Evaluation during training",
        "Captions ranked for an image: line_art_colour",
        "Images ranked for a caption: line_art_colour",
        "Classes ranked for an image: line_art_colour",
    ):
        assert title in page
    for fact in ("abc1234", "2 x CPU", "optim.lr", "0.0005", "1,920 samples in 30 steps"):
        assert fact in page
    assert "vlsuite train &lt;emoji&gt;" in page
    assert "&lt;b&gt;old&lt;/b&gt; boat" in page


def _one_script_by_its_digest(page: str) -> None:
    """The script that sorts tables runs by its digest; what data says never does."""
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.endswith(f"script-src 'sha256-{digest}'")


def test_equal_runs_give_equal_pages(tmp_path: Path) -> None:
    folder = _run_folder(tmp_path / "first")
    first = build_report(folder).read_bytes()
    assert build_report(folder, tmp_path / "again.html").read_bytes() == first


def test_folder_of_results_alone(tmp_path: Path) -> None:
    save_result(example_result(), tmp_path / "m__d__test__retrieval.json")
    page = build_report(tmp_path).read_text()
    assert "Image-text retrieval: runs/first" in page
    assert "Training curves" not in page
    assert "abc1234" in page


def test_foreign_pictures_are_not_shown(tmp_path: Path) -> None:
    example = dataclasses.replace(
        example_pairs()[0], query=Panel("", image="https://example.org/track.png")
    )
    save_result(example_result(examples=(example,)), tmp_path / "m__d__test__retrieval.json")
    assert "example.org" not in build_report(tmp_path).read_text()


def test_later_record_of_a_step_counts_and_bad_lines_are_named(tmp_path: Path) -> None:
    folder = _run_folder(tmp_path / "first", steps=3)
    with (folder / "metrics.jsonl").open("a") as stream:
        stream.write('{"kind": "train", "step": 2, "samples_seen": 128, "loss": 9.5}\n{"kind"')
    record = read_run(folder)
    assert record.train["loss"].tolist() == [4.0, 9.5, pytest.approx(4 / 3)]
    assert record.remarks == ("metrics.jsonl: 1 lines could not be read and are left out",)
    assert "1 lines could not be read" in build_report(folder).read_text()


def test_long_runs_are_drawn_in_groups(tmp_path: Path) -> None:
    page = build_report(_run_folder(tmp_path / "first", steps=900)).read_text()
    assert "drawn as means of 400 groups" in page
    assert len(page) < 900_000


def test_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="nothing to report"):
        build_report(tmp_path)
    with pytest.raises(EvaluationError, match="is no folder"):
        build_report(tmp_path / "missing")


def test_settings_and_counts_read_well() -> None:
    assert flattened({"a": {"b": [1, 2], "c": None}}) == {"a.b": "[1, 2]", "a.c": "null"}
    assert [short_count(n) for n in (950.0, 12e3, 1.5e6)] == ["950", "12k", "1.5M"]
    assert [sentence(text) for text in ("top-1 score", "mCE", "")] == ["Top-1 score", "mCE", ""]


def test_phones_get_plots_of_their_own(tmp_path: Path) -> None:
    page = build_report(_run_folder(tmp_path / "first")).read_text()
    widths = {}
    for kind in ("src", "srcset"):
        found = re.findall(rf' {kind}="data:image/svg\+xml;base64,([^"]*)"', page)
        widths[kind] = [
            float(re.findall(r'<svg [^>]*width="([\d.]+)pt"', base64.b64decode(one).decode())[0])
            for one in found
        ]
    assert len(widths["src"]) == len(widths["srcset"]) == 4
    assert max(widths["srcset"]) < 320 < min(widths["src"])
    assert page.count('media="(max-width: 640px)"') == 4


def test_the_last_loss_is_not_that_of_a_record_cut_short(tmp_path: Path) -> None:
    folder = _run_folder(tmp_path / "first")
    with (folder / "metrics.jsonl").open("a") as stream:
        stream.write('{"kind": "train", "step": 31, "samples_seen": 1921, "loss": 9.0}\n')
    page = build_report(folder).read_text()
    assert re.findall(r"<dt>Last loss</dt><dd>(.*?)</dd>", page) == [f"{4 / 30:.4g}"]
