"""``vlsuite xmai detect`` and ``perturb`` from end to end on small parts, and their mistakes."""

import json
from pathlib import Path

import pytest

from eval.xmai.detections import read_detections
from eval.xmai.records import read_perturbed
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, noise_png, write_evaluation_folder, write_tar
from tests.support.masked_models import random_masked_lm
from vlsuite.cli.main import COMMANDS, build_parser, main
from vlsuite.cli.options import read_options
from vlsuite.cli.xmai import PerturbOptions

_CAPTIONS = (["A red dog on the grass.", "a dog"], ["the old house"], ["two women in a car"])
_FLAT = [caption for own in _CAPTIONS for caption in own]


@pytest.fixture(autouse=True)
def _small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "eval.opening.open_model", lambda spec, *, device, settings=(): SmallClip(name=spec)
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_evaluation_folder(tmp_path / "data", captioned(_CAPTIONS))


def _detect(data: Path, *more: str) -> Path:
    out = data.parent / "seen.jsonl"
    arguments = ["xmai", "detect", str(data), "--tagger", "RN50:openai", "--out", str(out)]
    assert main([*arguments, "--min-attribute", "0", *more]) == 0
    return out


def _perturb(data: Path, out: Path, *more: str) -> int:
    arguments = ["xmai", "perturb", str(data), "--out", str(out), "--device", "cpu"]
    return main([*arguments, *more])


def test_from_pictures_to_perturbed_captions(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = _detect(data)
    names = {one.name for own in read_detections(seen).values() for one in own}
    assert names == {"dog", "grass", "house", "women", "car"}
    more = ("--detections", str(seen), "--scorer", "ViT-B-32:openai", "--confidence", "0")
    assert _perturb(data, tmp_path / "out", *more) == 0
    printed = capsys.readouterr().out
    assert "of 4 captions changed" in printed
    found = read_perturbed(tmp_path / "out" / "perturbed.jsonl")
    assert [caption.original for caption in found.captions] == _FLAT
    assert all(caption.restored() == caption.original for caption in found.captions)
    assert found.header["models"]["scorer"]["name"] == "ViT-B-32:openai"
    assert found.header["settings"]["weights"] == "paper"
    assert not [i for i in found.captions[3].insertions if "skin" in i.word]


def test_language_model_and_published_behaviour(data: Path, tmp_path: Path) -> None:
    seen = _detect(data)
    model = random_masked_lm(tmp_path / "bert", _FLAT)
    more = ("--detections", str(seen), "--scorer", "RN50:openai", "--masked-lm", str(model))
    corrected = (*more, "--truth", "clip", "--tagger", "RN50:openai", "--support", "0")
    assert _perturb(data, tmp_path / "a", *corrected) == 0
    assert _perturb(data, tmp_path / "b", *more, "--compat", "upstream", "--matching", "sim") == 0
    found = read_perturbed(tmp_path / "b" / "perturbed.jsonl")
    assert {caption.method for caption in found.captions} == {"xmai_upstream"}
    assert any(caption.is_changed for caption in found.captions)


@pytest.mark.parametrize("method", ["deletion", "typo", "random_attribute"])
def test_baselines(data: Path, tmp_path: Path, method: str) -> None:
    seen = _detect(data)
    out = tmp_path / method
    assert _perturb(data, out, "--method", method, "--detections", str(seen)) == 0
    found = read_perturbed(out / "perturbed.jsonl")
    assert found.header["method"] == method
    assert sum(caption.is_changed for caption in found.captions) >= 3


def test_hypotheses_keep_their_labels(tmp_path: Path) -> None:
    statements = [{"text": "a dog runs", "label": "entailment"}, {"text": "a cat", "label": None}]
    member = json.dumps({"hypotheses": statements}).encode()
    tar = write_tar(tmp_path / "x.tar", [{"png": noise_png(0), "json": member}])
    more = ("--texts", "hypotheses", "--method", "deletion")
    assert main(["xmai", "perturb", str(tar), "--out", str(tmp_path / "out"), *more]) == 0
    captions = read_perturbed(tmp_path / "out" / "perturbed.jsonl").captions
    assert [(c.original, c.label) for c in captions] == [
        ("a dog runs", "entailment"),
        ("a cat", None),
    ]


def test_a_table_of_upstream(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("text,objects,attributes\na dog runs,\"['dog']\",\"['brown']\"\n")
    arguments = ["xmai", "perturb", "--table", str(table), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    caption = read_perturbed(tmp_path / "out" / "perturbed.jsonl").captions[0]
    assert caption.perturbed == "a brown dog runs"


@pytest.mark.parametrize(
    ("words", "images"), [("--caption-column", "--images"), ("--text-column", "--image-dir")]
)
def test_column_and_folder_of_a_table(tmp_path: Path, words: str, images: str) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(noise_png(0))
    table = tmp_path / "t.csv"
    table.write_text("told,file,objects,attributes\na dog runs,a.png,\"['dog']\",\"['brown']\"\n")
    given = [words, "told", images, str(tmp_path / "pictures")]
    args = build_parser(*COMMANDS).parse_args(["xmai", "perturb", "--table", str(table), *given])
    own = read_options(args, PerturbOptions)
    assert (own.caption_column, own.images) == ("told", tmp_path / "pictures")
    out = tmp_path / "out"
    more = ["--scorer", "RN50:openai", "--out", str(out)]
    assert main(["xmai", "perturb", "--table", str(table), *given, *more]) == 0
    caption = read_perturbed(out / "perturbed.jsonl").captions[0]
    assert caption.perturbed == "a brown dog runs"


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ([], "--detections"),
        (["--method", "delete"], "deletion"),
        (["--method", "deletion", "--weights", "x"], "--weights"),
        (["--method", "deletion", "--workers", "0"], "at least 1"),
        (["--method", "deletion", "--table", "x.csv"], "not both"),
        (["--method", "masked_insert"], "--masked-lm"),
        (["--method", "deletion", "--share", "2"], "between 0 and 1"),
        (["--detections", "no-such-file"], "xmai detect"),
    ],
)
def test_mistakes_are_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], part: str
) -> None:
    assert _perturb(data, tmp_path / "out", *more) == 2
    error = capsys.readouterr().err.strip()
    assert part in error
    assert "\n" not in error


def test_help_teaches_the_published_path(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["xmai", "perturb", "--help"])
    text = capsys.readouterr().out
    for name in ("bert-base-cased", "facebook/detr-resnet-50", "ViT-B-32:openai"):
        assert name in text
    assert main(["xmai", "perturb", "--list-methods"]) == 0
    assert "deletion" in capsys.readouterr().out
