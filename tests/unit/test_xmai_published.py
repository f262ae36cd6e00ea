"""Published figures from stored outputs: own small files, and the first rows of the real ones."""

import csv
import json
from pathlib import Path

import pytest

from eval.errors import EvaluationError
from eval.xmai.upstream.files import find_upstream, read_upstream
from eval.xmai.upstream.notebooks import TOLERANCE, read_notebooks, reports_in
from eval.xmai.upstream.published import is_insertion_only, stored_figures
from tests.support.shards import SHARED_DATA, needs_shared_data
from vlsuite.cli.main import main

_SNLI = SHARED_DATA / "xmai_snlive_perturbed_first600.csv"
_COCO = SHARED_DATA / "xmai_coco_baselines_first600.csv"
_NOT_ONLY = SHARED_DATA / "xmai_snlive_not_insertion_only.csv"
_NUMBERS = SHARED_DATA / "xmai_upstream_numbers.json"


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_own_small_files(tmp_path: Path) -> None:
    pytest.importorskip("nltk")
    _write(
        tmp_path / "SNLI_VE" / "XMAI" / "x.csv",
        ",label,original,hypothesis,modified\n"
        "0,neutral,a premise,a man  runs,a man runs\n"
        "1,neutral,a premise,a man runs,a white man runs\n"
        "2,neutral,a premise,a man runs.,a black [MASK] man runs.\n"
        "3,entailment,a premise,a dog,a cat\n",
    )
    _write(
        tmp_path / "MSCOCO" / "baselines" / "coco_del_modified.csv",
        'image_id,original,modified\n"0    397133\nName: id, dtype: int64",a man runs,a man\n',
    )
    _write(tmp_path / "empty.csv", "")
    coco, snli = find_upstream(tmp_path)
    assert (coco.data, coco.method, coco.rows[0].image_id) == ("coco", "deletion", 397133)
    assert (snli.data, snli.method) == ("snli_ve", "xmai")
    assert snli.rows[1].premise == "a premise"
    figures = stored_figures(snli)
    assert figures[:7] == (4, 1, 3, 2, 3, 1, 1)
    assert main(["xmai", "upstream", str(tmp_path), "--out", str(tmp_path / "f.json")]) == 0
    assert len(json.loads((tmp_path / "f.json").read_text())["files"]) == 16


def test_other_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EvaluationError, match="needed are"):
        read_upstream(_write(tmp_path / "a.csv", "one,two\n1,2\n"))
    with pytest.raises(EvaluationError, match="has no rows"):
        read_upstream(_write(tmp_path / "b.csv", "original,modified\n"))
    assert main(["xmai", "upstream", str(tmp_path / "a.csv")]) == 2
    assert "no stored perturbations" in capsys.readouterr().err


@needs_shared_data
def test_first_rows_of_the_real_files_equal_plain_counting() -> None:
    pytest.importorskip("nltk")
    for path, before in ((_SNLI, "hypothesis"), (_COCO, "original")):
        rows = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
        for file in read_upstream(path):
            found = stored_figures(file)
            pairs = [(row[before], row[file.method]) for row in rows]
            kept = [_is_subsequence(a.lower().split(), b.lower().split()) for a, b in pairs]
            assert found.rows == len(pairs) == 600
            assert found.unchanged == sum(a.split() == b.split() for a, b in pairs)
            assert found.original_is_subsequence == sum(kept)
            added = [len(b.split()) - len(a.split()) for a, b in pairs]
            assert found.insertions == sum(n for n, k in zip(added, kept, strict=True) if k)
            assert found.literal_mask_rows == sum("[mask]" in b.lower() for _, b in pairs)


@needs_shared_data
def test_listed_rows_are_not_insertion_only() -> None:
    rows = list(csv.DictReader(_NOT_ONLY.open(encoding="utf-8", newline="")))
    assert len(rows) == 433
    listed = {int(row["row"]) for row in rows}
    files = read_upstream(_SNLI)
    first = next(file for file in files if file.method == "xmai").rows
    found = {i for i, row in enumerate(first) if not is_insertion_only(row)}
    assert found == {row for row in listed if row < len(first)}


@needs_shared_data
def test_bleu_of_the_first_rows_is_near_that_of_all() -> None:
    nltk = pytest.importorskip("nltk")
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    file = next(file for file in read_upstream(_SNLI) if file.method == "clare")
    words = nltk.tokenize.NLTKWordTokenizer().tokenize
    smooth = SmoothingFunction().method4
    expected = [
        sentence_bleu(
            [words(r.original)], words(r.perturbed), smoothing_function=smooth, auto_reweigh=True
        )
        for r in file.rows
    ]
    assert stored_figures(file).bleu == pytest.approx(sum(expected) / len(expected), abs=1e-9)


@needs_shared_data
def test_printed_reports_follow_from_their_rows(tmp_path: Path) -> None:
    numbers = json.loads(_NUMBERS.read_text())["snli_ve"]
    cells = []
    for report in numbers["report"].values():
        lines = ["              precision    recall  f1-score   support", ""]
        for name, support in numbers["support"].items():
            figures = [report[key][name] for key in ("precision", "recall", "f1")]
            lines.append(f"{name:>13} " + " ".join(f"{v:9.3f}" for v in figures) + f" {support}")
        total = sum(numbers["support"].values())
        lines += ["", f"     accuracy {report['accuracy']:28.3f} {total}"]
        lines.append(f"    macro avg  0.000  0.000  {report['macro_f1']:.3f} {total}")
        cells.append({"outputs": [{"text": ["\n".join(lines)]}]})
    coco = json.loads(_NUMBERS.read_text())["coco_retrieval"]
    means = [
        f"{side} Caption MRRs - Mean: {coco[key][0]}, Std: {coco[key][1]}"
        for side, key in (("Original", "mrr_original"), ("Modified", "mrr_xmai"))
    ]
    cells.append({"outputs": [{"text": "\n".join(means)}]})
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": cells}))
    printed = read_notebooks(tmp_path)
    assert len(printed.reports) == 4
    assert all(report.largest_difference <= TOLERANCE for report in printed.reports)
    assert printed.runs[0].change == pytest.approx(-0.153, abs=5e-4)
    assert main(["xmai", "upstream", str(tmp_path)]) == 0


def test_a_wrong_report_is_noticed() -> None:
    text = (
        "precision recall f1-score support\n a 0.5 0.5 0.9 10\n b 0.5 0.5 0.5 10\n"
        " accuracy 0.5 20\n macro avg 0.5 0.5 0.5 20\n"
    )
    assert reports_in(text, where="t")[0].largest_difference == pytest.approx(0.4)


def _is_subsequence(first: list[str], second: list[str]) -> bool:
    place = 0
    for word in second:
        if place < len(first) and word == first[place]:
            place += 1
    return place == len(first)
