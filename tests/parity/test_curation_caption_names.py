"""Captions that name something of a list, against a loop as DataComp's text-based filter is."""

import random

import pytest

from data_pipelines.curation.filters.caption_names import CaptionNames
from data_pipelines.curation.stages import Stages
from data_pipelines.errors import ConfigError, DataError
from tests.support.curation import table_of

# A small WordNet: offsets of the synsets of a word, the most frequent first.
_SYNSETS = {
    "dog": [2084071, 9886220],
    "dogs": [2084071, 9886220],
    "crane": [9971273, 2012849],  # the writer comes before the bird
    "boat": [2858304],
    "idea": [5833840],
    "red": [4962784],
}
_LISTED = {2084071, 2012849, 2858304}


def _reference(text):
    """Gadre et al. 2023, arXiv 2304.14108, text-based: the first synset of any word is listed."""
    for word in text.split():
        synsets = _SYNSETS.get(word.lower(), [])  # WordNet's lookup is of lower case
        if synsets and synsets[0] in _LISTED:
            return True
    return False


def _kept(table, chosen):
    with Stages(table, threads=1) as stages:
        counts = stages.run("it", chosen)
        kept = stages.sql("SELECT uid FROM samples ANTI JOIN dropped USING (id)").fetchall()
    assert counts.given == counts.kept + counts.dropped
    return {uid for (uid,) in kept}


def test_the_same_captions_stay_as_by_the_reference(tmp_path):
    rng = random.Random(2)
    pieces = [
        *_SYNSETS,
        "Dog",
        "DOGS",
        "dog,",
        "hotdog",
        "a",
        "of",
        "(boat)",
        "\u00a0",
        "boat\u2003",
    ]
    texts = [" ".join(rng.choices(pieces, k=rng.randint(0, 5))) for _ in range(600)]
    rows = [{"uid": str(number), "caption": text} for number, text in enumerate(texts)]
    names = [word for word, offsets in _SYNSETS.items() if offsets[0] in _LISTED]
    (tmp_path / "names.txt").write_text("\n".join(names))
    expected = {str(number) for number, text in enumerate(texts) if _reference(text)}
    assert 100 < len(expected) < 500
    table = table_of(tmp_path, [rows[:100], rows[100:]])
    assert _kept(table, CaptionNames(file=tmp_path / "names.txt", words="split")) == expected


def test_names_of_several_words_and_marks_of_punctuation(tmp_path):
    (tmp_path / "names.txt").write_text("# dogs\n\nGolden_Retriever\nst. john\n\u00e4rmel\n")
    captions = {
        "a": "My golden retriever!",
        "b": "golden and retriever",
        "c": "retriever golden",
        "d": "near St. John's",
        "e": "golden",
        "f": "zwei (\u00c4RMEL)",
        "g": None,
    }
    rows = [{"uid": uid, "caption": caption} for uid, caption in captions.items()]
    table = table_of(tmp_path, [rows])
    assert _kept(table, CaptionNames(file=tmp_path / "names.txt")) == {"a", "d", "f"}
    assert _kept(table, CaptionNames(file=tmp_path / "names.txt", words="split")) == set()


def test_lists_that_are_none_are_refused(tmp_path):
    table = table_of(tmp_path, [[{"uid": "a", "caption": "a dog"}]])
    (tmp_path / "names.txt").write_text("# nothing\n \n")
    with pytest.raises(ConfigError, match="has no name"):
        _kept(table, CaptionNames(file=tmp_path / "names.txt"))
    with pytest.raises(DataError, match="cannot read the names"):
        _kept(table, CaptionNames(file=tmp_path / "none.txt"))
