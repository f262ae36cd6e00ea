"""Names and captions of plain pictures: those of the model, a line for each picture."""

import csv
import json

import numpy as np
import pytest

import vlsuite
from eval.detection.own_pictures import upright
from eval.errors import EvaluationError
from tests.support.embedding_model import SmallClip
from tests.support.shards import picture
from vlsuite.api.plain_pictures import caption, classify
from vlsuite.cli.main import main
from vlsuite.errors import ConfigError

NAMES = ["cat", "dog", "a car"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Five pictures; the third is broken."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(5):
        data = picture(number, side=24)
        (root / f"{number}.png").write_bytes(data[:50] if number == 2 else data)
    return root


@pytest.fixture(scope="module")
def clip():
    return SmallClip()


def _lines(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_probabilities_are_those_of_the_published_rule(photos, clip):
    found = classify(clip, photos, NAMES, templates=["a {c}", "one {c}!"], top=3)
    good = [one for one in found if not one.problem]
    images = vlsuite.embed_images(clip, [photos / one.path for one in good]).double()
    classes = []
    for name in NAMES:
        prompts = clip.embed_texts([f"a {name}", f"one {name}!"]).double()
        mean = sum(p / p.norm() for p in prompts) / 2
        classes.append(mean / mean.norm())
    for one, image in zip(good, images, strict=True):
        logits = [clip.logit_scale * float(image @ own) for own in classes]
        shares = np.exp(np.array(logits) - max(logits))
        shares /= shares.sum()
        order = np.argsort(-shares)
        assert one.names == tuple(NAMES[place] for place in order)
        assert np.abs(np.array(one.probabilities) - shares[order]).max() < 1e-4
    assert [one.path for one in found] == [f"{number}.png" for number in range(5)]
    assert found[2].problem
    assert found[2].names == ()


def test_a_csv_of_names(photos, clip, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("vlsuite.api.embeddings.load_model", lambda name, device: clip)
    (tmp_path / "names.txt").write_text("a car\n")
    words = ["classify", str(photos), "--model", "RN50:openai", "--names", "cat,dog"]
    words += ["--names-from", str(tmp_path / "names.txt"), "--out", str(tmp_path / "n.csv")]
    assert main([*words, "--top", "2"]) == 0
    assert "not read 1: " in capsys.readouterr().out
    lines = _lines(tmp_path / "n.csv")
    assert len(lines) == 4 * 2 + 1
    assert [line["rank"] for line in lines] == ["1", "2", "1", "2", "", "1", "2", "1", "2"]
    assert {line["name"] for line in lines} <= {*NAMES, ""}
    assert main([*words, "--json"]) == 0
    assert sum(json.loads(capsys.readouterr().out)["named"].values()) == 4


def test_names_and_prompts_that_are_none(photos, clip):
    with pytest.raises(ConfigError, match="at least two, each once"):
        classify(clip, photos, ["cat", "cat"])
    with pytest.raises(ConfigError, match=r"has no \{c\} for the name"):
        classify(clip, photos, NAMES, templates=["{c}", "a thing"])
    with pytest.raises(EvaluationError, match="unknown template set 'nice'"):
        classify(clip, photos, NAMES, templates="nice")
    with pytest.raises(ConfigError, match="model small-clip writes no captions"):
        caption(clip, photos)


class _Writer(SmallClip):
    """Says how bright a picture is."""

    def caption(self, images, *, prompts=None, max_tokens, num_beams=1):
        assert prompts in (None, ["it is"] * len(images))
        return [f'{int(own.float().mean())}, "{max_tokens}"\n{num_beams}' for own in images]


def test_captions_are_the_models(photos, tmp_path, monkeypatch, capsys):
    model = _Writer()
    found = caption(model, photos, num_beams=2, max_tokens=6, prompt="it is")
    for one in found:
        if not one.problem:
            pixels = model.image_transform(upright(photos / one.path))
            assert one.caption == f'{int(pixels.float().mean())}, "6"\n2'
    assert len(found) == 5
    monkeypatch.setattr("vlsuite.api.plain_pictures.load_model", lambda *_, **__: model)
    words = ["caption", str(photos), "--model", "RN50:openai", "--out", str(tmp_path / "c.csv")]
    assert main([*words, "--num-beams", "2", "--max-tokens", "6"]) == 0
    assert "4 captions -> " in capsys.readouterr().out
    lines = _lines(tmp_path / "c.csv")
    assert [line["caption"] for line in lines] == [one.caption for one in found]
    assert [bool(line["problem"]) for line in lines] == [False, False, True, False, False]
