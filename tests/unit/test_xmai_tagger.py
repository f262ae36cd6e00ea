"""The tagger against its definition in plain numbers, on a model of three axes."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from eval.errors import EvaluationError
from eval.xmai.tagger import Claim, ClipTagger, Frame

_GROUPS = {"colour": ("red", "blue"), "skin_tone": ("dark skin tone",)}
_AXES = {"red": (1.0, 0.0, 0.0), "blue": (0.0, 1.0, 0.0)}


class _Axes:
    """Texts with a colour lie on its axis, others on the third."""

    name, fingerprint, embed_dim = "axes", "f", 3
    logit_scale, logit_bias, device = 10.0, 0.0, "cpu"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def image_transform(self, image):
        raise NotImplementedError

    def embed_images(self, images):
        raise NotImplementedError

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        self.asked += texts
        return torch.tensor(
            [next((_AXES[c] for c in _AXES if c in text), (0.0, 0.0, 1.0)) for text in texts]
        )


def _tagger(mean: Sequence[float] = (0.0, 0.0, 0.0), **settings) -> ClipTagger:
    return ClipTagger(_Axes(), np.array(mean), groups=_GROUPS, **settings)


def test_probability_is_a_softmax_over_the_group_and_none_of_it() -> None:
    embed = np.array([[0.6, 0.3, 0.2]])
    found = _tagger().support(embed, [Claim(0, "car", "red"), Claim(0, "car", "blue")])
    powers = [math.exp(10 * x) for x in (0.6, 0.3, 0.2)]
    assert found == pytest.approx([powers[0] / sum(powers), powers[1] / sum(powers)], abs=1e-5)


def test_what_other_pictures_have_too_counts_for_nothing() -> None:
    embed = np.array([[0.6, 0.5, 0.2]])
    found = _tagger(mean=(0.6, 0.1, 0.2)).tags(embed[0], "car")
    assert found["colour"].attribute == "blue"
    powers = [math.exp(10 * x) for x in (0.0, 0.4, 0.0)]
    assert found["colour"].probability == pytest.approx(powers[1] / sum(powers), abs=1e-5)


def test_a_word_of_no_group_is_weighed_against_the_noun_alone() -> None:
    model = _Axes()
    tagger = ClipTagger(model, np.zeros(3), groups=_GROUPS)
    found = tagger.support(np.array([[0.0, 0.0, 0.4]]), [Claim(0, "car", "shiny")])
    assert found == pytest.approx([0.0], abs=1e-5)  # both prompts are alike here: chance
    assert model.asked == ["a photo of a shiny car", "a photo of a car"]


def test_skin_is_asked_of_people_alone() -> None:
    tagger = _tagger()
    assert "skin_tone" not in tagger.tags(np.zeros(3), "car")
    assert "skin_tone" in tagger.tags(np.zeros(3), "raised fist")


def test_synonyms_share_a_group() -> None:
    groups = {"size": ("large", "small")}
    model = _Axes()
    ClipTagger(model, np.zeros(3), groups=groups, template="{}").support(
        np.zeros((1, 3)), [Claim(0, "car", "huge")]
    )
    assert model.asked == ["large car", "small car", "car"]


def test_template_needs_a_place() -> None:
    with pytest.raises(EvaluationError, match="template"):
        _tagger(template="a photo")


def test_caption_around_the_attribute() -> None:
    model = _Axes()
    tagger = ClipTagger(model, np.zeros(3), groups={"colour": ("red", "blue")})
    frame = Frame("a small ", "car in town")
    found = tagger.support(np.array([[1.0, 0.0, 0.0]]), [Claim(0, "car", "red", frame)])
    assert model.asked == ["a small red car in town", "a small blue car in town",
                           "a small car in town"]  # fmt: skip
    assert found == pytest.approx([math.exp(10) / (math.exp(10) + 2)], abs=1e-5)


def test_captions_of_one_picture_are_averaged() -> None:
    tagger = ClipTagger(_Axes(), np.zeros(3), groups={"colour": ("red",)})
    # with "red" both lie on the red axis; without it the first on the third, the second on the blue
    frames = [Frame("a ", "car"), Frame("a blue and ", "car")]
    tag = tagger.tags(np.array([0.4, 0.2, 0.0]), "car", frames)["colour"]
    logits = [10 * (0.4 + 0.4) / 2, 10 * (0.0 + 0.2) / 2]
    expected = math.exp(logits[0]) / sum(map(math.exp, logits))
    assert tag.probability == pytest.approx(expected, abs=1e-5)
