"""The exported tokenizer's ids against open_clip's own, on captions that are cleaned first."""

import random
import unicodedata
from functools import cache

import open_clip
import pytest

from tests.support.tiny_models import register_architecture, tiny_model
from vlsuite.models.dual_encoder import export_forms as forms
from vlsuite.models.dual_encoder.caption_cleaning import (
    DIFFERENT_CAPTIONS,
    HARD_CAPTIONS,
    NOT_DONE,
)
from vlsuite.models.dual_encoder.huggingface import find_misfit
from vlsuite.models.dual_encoder.huggingface_tokenizer import _built_in_tokenizer

MORE = ("\u30da\u30f3\u30ae\u30f3\u306e\u3000\u304b\u3061\uff01", "IT'S the DOG'S", "1,000", "...")
MORE += ("a <END_OF_TEXT> b &lt;start_of_text&gt; c", "a&#769;b &#x3b1; &hearts; &#9829 \u1e9e")

UNASSIGNED = ("Cn", "Cs", "Co")


@pytest.fixture(scope="module")
def exported():
    return _built_in_tokenizer(77)


@cache
def open_clips_own() -> open_clip.SimpleTokenizer:
    """Made once: it reads and unpacks its merges each time."""
    return open_clip.get_tokenizer("ViT-B-32")


def ids_of_open_clip(caption: str) -> list[int]:
    tokenizer = open_clips_own()
    ids = tokenizer([caption])[0].tolist()
    return ids[: len(ids) - ids[::-1].index(tokenizer.eot_token_id)]


@pytest.mark.parametrize("caption", HARD_CAPTIONS + MORE)
def test_ids_are_those_of_open_clip(exported, caption):
    assert exported(caption, truncation=True)["input_ids"] == ids_of_open_clip(caption)


@pytest.mark.parametrize("caption", DIFFERENT_CAPTIONS)
def test_what_is_said_not_to_be_done_is_not(exported, caption):
    assert exported(caption, truncation=True)["input_ids"] != ids_of_open_clip(caption)


def test_random_strings_with_references(exported):
    rng = random.Random(0)
    pieces = [
        "&",
        "#",
        "x",
        ";",
        "<",
        " ",
        "\n",
        "rsquo",
        "lt",
        "amp;",
        "eacute;",
        "EACUTE;",
        "not",
    ]
    pieces += list("0123456789aF")
    for _ in range(80):
        caption = "".join(rng.choice(pieces) for _ in range(rng.randint(1, 12)))
        assert exported(caption, truncation=True)["input_ids"] == ids_of_open_clip(caption), caption


def test_every_character_of_alphabets(exported):
    characters = [chr(c) for c in range(0x1100) if unicodedata.category(chr(c)) not in UNASSIGNED]
    for start in range(0, len(characters), 20):
        caption = " ".join(characters[start : start + 20])
        assert exported(caption, truncation=True)["input_ids"] == ids_of_open_clip(caption)


@pytest.mark.parametrize("clean", ["lower", "canonicalize", "whitespace"])
def test_another_cleaning_has_no_transformers_form(tmp_path, clean):
    cleaning = {"tokenizer_kwargs": {"clean": clean}}
    tiny = tiny_model(register_architecture(tmp_path, text_cfg=cleaning))
    assert "tokenizer_kwargs" in (find_misfit(tiny.built, logit_bias=None) or "")


def test_every_export_is_checked_with_them_and_says_what_is_not_done():
    assert set(HARD_CAPTIONS) <= set(forms.random_captions(seed=0))
    assert forms.FORMS["huggingface"].remark == NOT_DONE
