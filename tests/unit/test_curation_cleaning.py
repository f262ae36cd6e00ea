"""Credits are found among the captions themselves, and every caption's fate is written down."""

import pyarrow.parquet as pq
import pytest

from data_pipelines.captions.column_file import CaptionColumn
from data_pipelines.curation.cleaning.clean_table import (
    CAPTIONS,
    CleaningSettings,
    clean_table,
    listed_endings,
)
from data_pipelines.curation.cleaning.cleaner import cleaned
from data_pipelines.curation.cleaning.recurring_endings import EndingSettings, learned_endings
from data_pipelines.errors import ConfigError, DataError
from tests.support.curation import files_of, table_of

_THINGS = ("tennis shoe", "drums", "red boat", "map", "old house", "dog", "two dogs", "sign")
_CREDITED = [f"{thing} ada byron{number}" for thing in _THINGS for number in ("", " 01")]
_CUT_OFF = ["wedding cake ada byr 01", "lamp ada 02", "two lamps anna ada byron"]
_PLAIN = ["stop sign", "signal flag 6", "sign", "flag", "button red", "red button", "3", "boat"]


def _endings(more=()):
    return learned_endings([*_CREDITED, *_CUT_OFF, *_PLAIN, *more], EndingSettings())


def test_what_follows_many_things_and_begins_nothing_is_a_credit():
    endings = _endings()
    assert [one.words for one in endings.found] == [("ada", "byron")]
    for thing in _THINGS:
        found = cleaned(f"{thing} Ada Byron 01", endings, numbers=False)
        assert found == (thing, "Ada Byron 01")
    assert cleaned("wedding cake ada byr 01", endings, numbers=False).text == "wedding cake"
    assert cleaned("lamp ada 02", endings, numbers=False) == ("lamp", "ada 02")
    for plain in (*_PLAIN, "ada byron", "ada"):
        assert cleaned(plain, endings, numbers=False) == (plain, "")
    assert cleaned("signal flag 6", endings, numbers=True) == ("signal flag", "6")
    assert cleaned("3", endings, numbers=True) == ("3", "")


def test_a_word_that_captions_begin_with_is_no_credit():
    colours = [f"{thing} deep blue" for thing in _THINGS]
    assert ("deep", "blue") in [one.words for one in _endings(colours).found]
    found = _endings([*colours, "blue", "blue bird", "deep sea"]).found
    assert ("deep", "blue") not in [one.words for one in found]


def test_first_names_go_with_their_names_and_not_alone():
    more = [f"{thing} anna ada byron" for thing in _THINGS[:5]]
    endings = _endings(more)
    assert cleaned("castle anna ada byron", endings, numbers=False).text == "castle"
    assert cleaned("castle anna", endings, numbers=False).text == "castle anna"


def _table(folder, captions):
    rows = [{"uid": f"{i:032x}", "caption": text} for i, text in enumerate(captions)]
    return table_of(folder, [rows[:7], rows[7:]])


def test_every_caption_of_a_table_has_its_fate_and_the_bytes_are_the_same_again(tmp_path):
    captions = [*_CREDITED, None, *_CUT_OFF, *_PLAIN]
    table = _table(tmp_path / "table", captions)
    report = clean_table(table, tmp_path / "out", CleaningSettings())
    rows = [
        row
        for part in table.parts
        for row in pq.read_table(tmp_path / "out" / CAPTIONS / part.path.name).to_pylist()
    ]
    assert [row["caption"] for row in rows] == captions
    for row in rows:
        if row["caption"] is None:
            assert (row["cleaned"], row["removed"]) == (None, "")
        else:
            assert " ".join(filter(None, (row["cleaned"], row["removed"]))) == row["caption"]
    changed = sum(bool(row["removed"]) for row in rows)
    assert (report.num_changed, report.num_without) == (changed, 1)
    assert report.num_samples == len(captions)
    column = CaptionColumn(tmp_path / "out")
    texts = [text for number in range(2) for text in column.texts(number)]
    assert texts == [row["cleaned"] for row in rows]
    whole = files_of(tmp_path / "out")
    (tmp_path / "out" / CAPTIONS / "00001.parquet").unlink()
    clean_table(table, tmp_path / "out", CleaningSettings())
    assert files_of(tmp_path / "out") == whole
    with pytest.raises(DataError, match="cleaned otherwise"):
        clean_table(table, tmp_path / "out", CleaningSettings(numbers=True))


def test_a_list_of_names_is_taken_in_place_of_what_is_found(tmp_path):
    (tmp_path / "names.txt").write_text("Stock Photo\n\nstock photo by ada\n")
    endings = listed_endings(tmp_path / "names.txt")
    assert cleaned("a dog stock photo by ada", endings, numbers=False).text == "a dog"
    assert cleaned("drums ada byron", endings, numbers=False).text == "drums ada byron"
    (tmp_path / "names.txt").write_text("\n")
    with pytest.raises(ConfigError, match="has no name"):
        listed_endings(tmp_path / "names.txt")
    with pytest.raises(DataError, match="cannot read the names"):
        listed_endings(tmp_path / "none.txt")
