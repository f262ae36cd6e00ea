"""Filters by lists: blocklists, and MetaCLIP's balancing against loops over its definition."""

import random

import pytest

from data_pipelines.curation.filters.blocklist import Blocklist
from data_pipelines.curation.filters.metaclip_balance import EntryMatcher, MetaclipBalance, draw
from data_pipelines.curation.stages import Stages
from data_pipelines.errors import ConfigError, DataError
from tests.support.curation import table_of


def _kept(table, chosen):
    with Stages(table, threads=1) as stages:
        counts = stages.run("it", chosen)
        kept = stages.sql("SELECT uid FROM samples ANTI JOIN dropped USING (id)").fetchall()
    assert counts.kept == len(kept)
    return {uid for (uid,) in kept}


@pytest.mark.parametrize(
    ("by", "entries", "kept"),
    [
        ("uid", "b\n# c\n\n", {"a", "c"}),
        ("sha256", "62" * 32 + "\nFF\n", {"a", "c"}),
        ("word", "Dog\n", {"b", "c"}),
        ("host", "example.org\n", {"b", "c"}),
    ],
)
def test_what_a_list_names_is_dropped(tmp_path, by, entries, kept):
    (tmp_path / "list.txt").write_text(entries)
    rows = [
        {"uid": "a", "caption": "A DOG, two", "url": "https://me@www.Example.org:80/dog?x"},
        {"uid": "b", "caption": "hotdogs", "url": "http://other.org/example.org"},
        {"uid": "c", "caption": None, "url": None},
    ]
    for row in rows:
        row["sha256"] = row["uid"].encode() * 32
    table = table_of(tmp_path / "table", [rows])
    assert _kept(table, Blocklist(file=tmp_path / "list.txt", by=by)) == kept


def test_lists_that_are_none_are_refused(tmp_path):
    table = table_of(tmp_path / "table", [[{"uid": "a"}]])
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(ConfigError, match="has no entry"):
        _kept(table, Blocklist(file=tmp_path / "empty.txt", by="uid"))
    with pytest.raises(DataError, match="cannot read"):
        _kept(table, Blocklist(file=tmp_path / "none.txt", by="uid"))
    with pytest.raises(DataError, match="cannot read"):
        _kept(table, MetaclipBalance(file=tmp_path / "none.txt"))


_WORDS = ("dog", "red dog", "red", ",", "x ,", "cat", "st. john", "st . john")


def _texts(number):
    rng = random.Random(1)
    pieces = ["dog", "dogs", "red", "red dog", "cat,", " ", "\t", "x,", "St.", "st. john", "fog"]
    return [" ".join(rng.choices(pieces, k=rng.randrange(5))) for _ in range(number)]


def _contains(text, entry):
    """The authors' rule: the entry between blanks in a text whose punctuation stands apart."""
    spaced = f" {text} "
    for mark in (",", ".", ";", ":", "?", "!", "`"):
        spaced = spaced.replace(mark, f" {mark} ")
    for mark in ("\t", "\n", "\r"):
        spaced = spaced.replace(mark, " ")
    return f" {entry} " in spaced


def test_texts_contain_the_entries_that_the_rule_says():
    matcher = EntryMatcher(_WORDS)
    for text in _texts(2000):
        expected = [i for i, entry in enumerate(_WORDS) if _contains(text, entry)]
        assert matcher(text) == expected, repr(text)


def test_balancing_keeps_what_its_definition_keeps_however_sharded(tmp_path):
    """p_e = t / max(c_e, t); kept if any entry e of the text draws below p_e (arXiv 2309.16671)."""
    (tmp_path / "entries.txt").write_text("\n".join(_WORDS) + "\n")
    texts = _texts(3000)
    rows = [{"uid": f"{i:032x}", "caption": text} for i, text in enumerate(texts)]
    chosen = MetaclipBalance(file=tmp_path / "entries.txt", t=100, seed=7)
    found = [[e for e in _WORDS if _contains(text, e)] for text in texts]
    counts = {e: sum(e in own for own in found) for e in _WORDS}
    expected = {
        row["uid"]
        for row, own in zip(rows, found, strict=True)
        if any(draw(7, row["uid"], e) < 100 / max(counts[e], 100) for e in own)
    }
    assert _kept(table_of(tmp_path / "one", [rows]), chosen) == expected
    rng = random.Random(2)
    rng.shuffle(rows)
    assert (
        _kept(table_of(tmp_path / "three", [rows[:10], rows[10:999], rows[999:]]), chosen)
        == expected
    )
    share = len(expected) / sum(map(bool, found))
    probability = [1 - _product(1 - 100 / max(counts[e], 100) for e in own) for own in found if own]
    assert share == pytest.approx(sum(probability) / len(probability), abs=0.03)


def _product(values):
    result = 1.0
    for value in values:
        result *= value
    return result
