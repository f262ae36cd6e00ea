"""Perturbers, methods, detectors, finders, similarities and proposers of a stranger's file."""

import json
from pathlib import Path

import pytest

from data_pipelines import plugins
from data_pipelines.errors import UnknownNameError
from data_pipelines.noise.phrases import load_phrases, phrase_finders
from eval.hub.similarity import similarities
from eval.xmai.detectors import detectors
from eval.xmai.matching import noun_finders
from eval.xmai.methods import methods
from eval.xmai.perturbers.contract import perturbers
from eval.xmai.proposals import proposers
from eval.xmai.records import read_perturbed
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, write_evaluation_folder
from vlsuite.cli.main import main

OUTSIDE = Path(__file__).parents[1] / "outside" / "xmai_parts.py"
_CAPTIONS = (["A red dog on the grass", "a dog"], ["the old house"])


@pytest.fixture(autouse=True)
def parts(monkeypatch):
    """What the file registers is gone after each test; the package's own parts stay."""
    for registry in (
        detectors, methods, noun_finders, perturbers, phrase_finders, proposers, similarities,
    ):  # fmt: skip
        registry.listed()
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr(plugins, "_imported", dict(plugins._imported))


@pytest.fixture
def data(tmp_path):
    return write_evaluation_folder(tmp_path / "data", captioned(_CAPTIONS))


def _perturb(data, out, *more):
    words = ["xmai", "perturb", str(data), "--out", str(out), "--device", "cpu", *more]
    assert main([*words, "--import", str(OUTSIDE)]) == 0
    return [caption.perturbed for caption in read_perturbed(out / "perturbed.jsonl").captions]


def test_a_perturber_and_a_method(data, tmp_path):
    captions = [caption for own in _CAPTIONS for caption in own]
    found = _perturb(data, tmp_path / "loud", "--method", "shout")
    assert found == [caption.upper() for caption in captions]
    assert _perturb(data, tmp_path / "same", "--method", "unchanged") == captions


def test_they_are_listed(capsys):
    assert main(["xmai", "perturb", "--list-methods", "--import", str(OUTSIDE)]) == 0
    lines = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    looking, alone = lines.index("looks"), lines.index("text")
    assert {"xmai", "random_attribute", "unchanged"} == set(lines[looking + 1 : alone])
    assert {"shout", "deletion", "textattack:RECIPE"} <= set(lines[alone:])


def test_detector_nouns_similarity_and_proposer(data, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "eval.opening.open_model", lambda spec, *, device, settings=(): SmallClip(name=spec)
    )
    seen = tmp_path / "seen.jsonl"
    detect = ["xmai", "detect", str(data), "--tagger", "RN50:openai", "--detector", "whole:house"]
    detect += ["--min-attribute", "0", "--out", str(seen), "--import", str(OUTSIDE)]
    assert main(detect) == 0
    assert {json.loads(line)["name"] for line in seen.read_text().splitlines()} == {"house"}
    more = ("--nouns", "last-word", "--similarity", "equal", "--masked-lm", "always:green")
    more += ("--detections", str(seen), "--truth", "none", "--matching", "sim")
    found = _perturb(data, tmp_path / "out", *more)
    assert found == ["A red dog on the grass", "a dog", "the old green house"]


def test_a_finder_of_phrases():
    plugins.import_all([str(OUTSIDE)])
    assert load_phrases("first:3")("a cat") == [(0, 3)]
    with pytest.raises(UnknownNameError, match="unknown finder of noun phrases 'first'"):
        load_phrases("first")
    with pytest.raises(UnknownNameError, match="unknown finder of noun phrases 'rules:'"):
        load_phrases("rules:3")
