"""The page that people judge, what they say on it, and the commands around it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from eval.data.folders import open_dataset
from eval.errors import EvaluationError
from eval.xmai.judgements import FORMAT, read_judgements, summarise
from eval.xmai.page import pieces_of, write_page
from eval.xmai.records import (
    Candidate,
    Insertion,
    PerturbedCaption,
    inserted,
    uids_of,
    write_perturbed,
)
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, write_evaluation_folder
from vlsuite.cli.main import main

CAPTIONS = [["a dog & <b>cat</b>"], ["a hill"], ["two men"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_evaluation_folder(tmp_path / "d", captioned(CAPTIONS))


def _perturbed(folder: Path) -> list[PerturbedCaption]:
    rows = []
    for uid, own in zip(
        uids_of(open_dataset(str(folder), task="retrieval")), CAPTIONS, strict=True
    ):
        candidate = Candidate(word="old", p=0.25, a=0.5, d=0.75, t=0.125, s=1.0)
        insertion = Insertion(
            offset=2, text="old ", word="old", noun=own[0].split()[1], noun_offset=2,
            candidates=(candidate,), supported=uid.endswith("0"),
        )  # fmt: skip
        insertions = (insertion,) if own[0].startswith("a ") else ()
        rows.append(
            PerturbedCaption(
                uid=uid, caption_number=0, original=own[0],
                perturbed=inserted(own[0], insertions), method="xmai", insertions=insertions,
            )
        )  # fmt: skip
    return rows


def test_page_shows_what_was_inserted(folder: Path, tmp_path: Path) -> None:
    rows = _perturbed(folder)
    dataset = open_dataset(str(folder), task="retrieval")
    ranks = {(rows[0].id, "xmai"): (1.0, 2.5)}
    assert write_page(tmp_path / "p" / "page.html", rows, dataset, ranks=ranks) == 2
    page = (tmp_path / "p" / "page.html").read_text()
    assert page.count("<article") == page.count("data:image/jpeg;base64,") == 2
    assert "a <mark>old </mark>dog &amp; &lt;b&gt;cat&lt;/b&gt;" in page
    assert "rank 1 &rarr; 2.5" in page
    assert page.count("the picture supports it") == page.count("not supported") == 1
    assert "0.2500" in page
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)
    first = page
    write_page(tmp_path / "p" / "page.html", rows, dataset, ranks=ranks)
    assert (tmp_path / "p" / "page.html").read_text() == first


def test_rewritten_texts_are_cut_at_new_words() -> None:
    caption = PerturbedCaption(
        uid="u", caption_number=0, original="a dog runs", perturbed="a cat runs fast", method="eda"
    )
    assert [(p.text, p.is_new) for p in pieces_of(caption)] == [
        ("a ", False), ("cat", True), (" runs ", False), ("fast", True),
    ]  # fmt: skip


def test_nothing_to_judge_is_refused(folder: Path, tmp_path: Path) -> None:
    dataset = open_dataset(str(folder), task="retrieval")
    rows = _perturbed(folder)
    with pytest.raises(EvaluationError, match="none of the captions is changed"):
        write_page(tmp_path / "p.html", rows[2:], dataset)
    fields = {name: getattr(rows[0], name) for name in rows[0].__dataclass_fields__}
    with pytest.raises(EvaluationError, match="none of the captions' pictures"):
        write_page(tmp_path / "p.html", [PerturbedCaption(**fields | {"uid": "x"})], dataset)


def _answers(path: Path, judge: str, natural: list[str], true: list[str]) -> Path:
    answers = [
        {"id": f"u#{i}", "method": "xmai", "natural": a, "true": b}
        for i, (a, b) in enumerate(zip(natural, true, strict=True))
    ]
    path.write_text(json.dumps({"format": FORMAT, "judge": judge, "answers": answers}))
    return path


def test_judgements_are_put_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = _answers(tmp_path / "1.json", "anna", ["yes", "yes", "no", "yes"],
                   ["yes", "no", "unsure", "yes"])  # fmt: skip
    two = _answers(tmp_path / "2.json", "ben", ["yes", "no", "no", "yes"], ["no"] * 4)
    single = summarise([read_judgements(one)])
    assert single.shares["xmai", "natural"].value == 0.75
    assert single.shares["xmai", "true"].value == 0.5
    both = summarise([read_judgements(one), read_judgements(two)])
    assert both.shares["xmai", "natural"].value == 5 / 8
    kappa = both.agreements[0].kappa
    assert kappa is not None
    assert kappa.value == pytest.approx((0.75 - 0.5) / 0.5)
    words = [w for path in (one, two) for w in ("--judgements", str(path))]
    assert main(["xmai", "page", *words]) == 0
    assert "kappa of 'natural' 0.5" in capsys.readouterr().out
    with pytest.raises(EvaluationError, match="by the same judge"):
        summarise([read_judgements(one)] * 2)
    odd = _answers(tmp_path / "3.json", "c", ["perhaps"], ["no"])
    with pytest.raises(EvaluationError, match="'perhaps' is no answer"):
        read_judgements(odd)


def test_commands(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(
        "eval.opening.open_model", lambda spec, *, device, settings=(): SmallClip(name=spec)
    )
    path = tmp_path / "x.jsonl"
    write_perturbed(path, {"method": "xmai"}, _perturbed(folder))
    data = ("--data", str(folder))
    page = ("--model", "RN50:openai", "--out", str(tmp_path / "page.html"))
    assert main(["xmai", "page", str(path), *data, *page]) == 0
    assert "rank " in (tmp_path / "page.html").read_text()
    figures = tmp_path / "q.json"
    assert (
        main(["xmai", "quality", str(path), "--clip", "RN50:openai", *data, "--out", str(figures)])
        == 0
    )
    scores = json.loads(figures.read_text())["files"][0]["scores"]
    assert np.isclose(scores["insertions_per_text"]["value"], 2 / 3)
    assert "clip_score_drop" in scores
    assert main(["xmai", "quality", str(path), "--clip", "RN50:openai"]) == 2
    assert main(["xmai", "page", str(path)]) == 2
    assert main(["xmai", "quality", str(tmp_path / "none.jsonl")]) == 2
    assert "none.jsonl does not exist" in capsys.readouterr().err
