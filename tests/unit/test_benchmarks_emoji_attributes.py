"""Truth read off captions, and a language model small enough to train here."""

import json
from pathlib import Path

import pytest

from benchmarks.support.emoji_attributes import TRUTH_FILE, attribute_truth, write_stripped_shards
from benchmarks.support.small_masked_lm import train_masked_lm
from eval.data.folders import open_dataset
from eval.xmai.records import uids_of
from tests.support.evaluation_data import captioned, write_tar


@pytest.mark.parametrize(
    ("caption", "stripped", "truth"),
    [
        ("red heart", "heart", {"colour": "red"}),
        ("An orange cat.", "A cat.", {"colour": "orange"}),
        ("A grey elephant", "An elephant", {"colour": "gray"}),
        (
            "raised fist medium-dark skin tone",
            "raised fist",
            {"skin_tone": "medium-dark skin tone"},
        ),
        ("woman with dark skin tone", "woman", {"skin_tone": "dark skin tone"}),
        ("medium skin tone boy", "boy", {"skin_tone": "medium skin tone"}),
        ("large orange diamond", "diamond", {"colour": "orange", "size": "large"}),
        ("an emoji of white flower", "an emoji of flower", {"colour": "white"}),
    ],
)
def test_truth_is_what_the_name_says(caption: str, stripped: str, truth: dict) -> None:
    found = attribute_truth(caption)
    assert found is not None
    assert found.caption == stripped
    assert found.truth == truth


@pytest.mark.parametrize(
    "caption",
    ["A frog.", "red", "black and white cat", "hands dark skin tone light skin tone", "",
     "a red car and a blue car", "off-white wall", "redhead"],
)  # fmt: skip
def test_no_truth_where_the_name_does_not_say(caption: str) -> None:
    assert attribute_truth(caption) is None


def test_stripped_shards_and_their_truth(tmp_path: Path) -> None:
    captions = [["red heart"], ["a frog"], ["heart"], ["blue heart"], ["white dog"]]
    source = open_dataset(str(write_tar(tmp_path / "a.tar", captioned(captions))))
    truths = write_stripped_shards(source, tmp_path / "all")
    assert [*truths.values()] == [{"colour": "red"}, {"colour": "blue"}, {"colour": "white"}]
    written = open_dataset(str(tmp_path / "all"))
    assert written.captions == (("heart",), ("heart",), ("dog",))
    assert uids_of(written) == list(truths)
    assert json.loads((tmp_path / "all" / TRUTH_FILE).read_text()) == truths
    assert len(write_stripped_shards(source, tmp_path / "one", one_per_caption=True)) == 2


def test_masked_language_model_learns(tmp_path: Path) -> None:
    captions = [f"the {c} {n}" for c in ("red", "blue") for n in ("dog", "cat", "house")]
    few, many = (
        train_masked_lm(tmp_path / str(n), captions, vocab_size=60, width=32, depth=1, steps=n,
                        batch_size=16, lr=5e-3)
        for n in (2, 40)
    )  # fmt: skip
    assert many < few
    assert (tmp_path / "40" / "model.safetensors").is_file()
