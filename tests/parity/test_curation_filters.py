"""Filters keep what loops over their published rules keep, and account for every sample."""

import math
import random

import numpy as np
import pytest

from data_pipelines.curation.caption_facts import caption_facts
from data_pipelines.curation.filters.caption_length import CaptionLength
from data_pipelines.curation.filters.clip_score import ClipScore
from data_pipelines.curation.filters.datacomp_basic import DataCompBasic
from data_pipelines.curation.filters.exact_duplicates import ExactDuplicates
from data_pipelines.curation.filters.language import LanguageFilter
from data_pipelines.curation.filters.opt_out import OptOut
from data_pipelines.curation.filters.perplexity import PerplexityBand
from data_pipelines.curation.filters.picture_size import PictureSize
from data_pipelines.curation.filters.readable import Readable
from data_pipelines.curation.stages import Stages
from data_pipelines.errors import ConfigError, DataError
from tests.support.curation import add_scores, table_of

_LETTERS = list("aaaabbb   \n\t\v\x1c\xa0\u3000\x00,.")
_SIDES = [66, 67, 199, 200, 201, 599, 600, 601, 602]


def _drawn(number=4000):
    """Captions full of unusual white space, sides and languages."""
    rng = random.Random(0)
    return [
        (
            "".join(rng.choices(_LETTERS, k=rng.randrange(14))),
            *rng.choices(_SIDES, k=2),
            rng.choice(["en", "en", "de", "und"]),
        )
        for _ in range(number)
    ]


def _kept(table, chosen):
    with Stages(table, threads=1) as stages:
        counts = stages.run("it", chosen)
        kept = stages.sql("SELECT uid FROM samples ANTI JOIN dropped USING (id)").fetchall()
        dropped = stages.sql("SELECT count(*) FROM dropped").fetchall()[0][0]
    assert counts.given == counts.kept + counts.dropped == table.num_rows
    assert (counts.kept, counts.dropped) == (len(kept), dropped)
    return {uid for (uid,) in kept}


def _rows(drawn):
    for number, (text, width, height, language) in enumerate(drawn):
        yield {
            "uid": f"{number:032x}",
            "caption": text.strip(),
            **caption_facts(text.strip(), text)._asdict(),
            "original_width": width,
            "original_height": height,
            "language": language,
            "language_score": 0.5,
        }


def _num_fasttext_tokens(text):
    """fastText's Dictionary::readWord, character by character."""
    words, word, place = 0, "", 0
    while place < len(text):
        c = text[place]
        place += 1
        if c in " \n\r\t\v\f\0":
            if word:
                words, word = words + 1, ""
                if c == "\n":
                    place -= 1
            elif c == "\n":
                words += 1
        else:
            word += c
    return words + bool(word)


def test_datacomp_basic_keeps_what_its_rules_keep(tmp_path):
    """Rules of DataComp's apply_filter.py (Gadre et al. 2023), sample by sample."""
    drawn = _drawn()
    table = table_of(tmp_path, [list(_rows(drawn))])
    basic, image_based = set(), set()
    for number, (text, width, height, language) in enumerate(drawn):
        if language == "en" and len(text) > 5:
            if _num_fasttext_tokens(text) > 1:
                image_based.add(f"{number:032x}")
            short, long = min(width, height), max(width, height)
            if len(text.split()) > 2 and short >= 200 and long / short <= 3.0:
                basic.add(f"{number:032x}")
    assert min(len(basic), len(image_based), len(image_based - basic)) > 100
    assert _kept(table, DataCompBasic()) == basic
    assert _kept(table, DataCompBasic(gate="image-based")) == image_based


@pytest.mark.parametrize("number", [1, 7, 500])
def test_clip_score_keeps_datacomps_top_fraction(tmp_path, number):
    """t = scores in descending order [floor(f N)]; kept: score >= t. NaN counts nowhere."""
    rng = random.Random(number)
    scores = rng.choices([-0.1, 0.0, 0.1, 0.2, 0.28, 0.3, rng.random(), math.nan], k=number)
    rows = [{"uid": str(i)} for i in range(number)]
    # one shard, whose statistics a database might trust, and two
    halves = [rows[: number // 2], rows[number // 2 :]] if number < 500 else [rows]
    table = table_of(tmp_path, halves)
    add_scores(table, "clip", scores)
    real = {str(i): np.float32(s) for i, s in enumerate(scores) if not math.isnan(s)}
    for fraction in (0.1, 0.3, 0.5, 1.0):
        place = min(int(len(real) * fraction), len(real) - 1)
        least = sorted(real.values(), reverse=True)[place] if real else 0
        expected = {uid for uid, score in real.items() if score >= least}
        assert _kept(table, ClipScore(fraction=fraction)) == expected
    assert expected == set(real)
    above = {uid for uid, score in real.items() if score >= 0.15}
    assert _kept(table, ClipScore(threshold=0.15)) == above


def test_what_is_not_known_of_a_sample_does_not_let_it_pass(tmp_path):
    table = table_of(tmp_path, [[{"uid": "a"}, {"uid": "b", "caption_chars": 9}]])
    assert _kept(table, CaptionLength(min_chars=3)) == {"b"}
    assert _kept(table, PictureSize(max_aspect=3.0)) == set()
    assert _kept(table, LanguageFilter()) == set()


def test_limits_include_their_ends(tmp_path):
    rows = [
        {"uid": str(n), "caption_chars": n, "caption_words": n, "width": 10 * n, "height": 30}
        for n in range(1, 8)
    ]
    table = table_of(tmp_path, [rows])
    assert _kept(table, CaptionLength(min_chars=3, max_words=5)) == {"3", "4", "5"}
    size = PictureSize(min_side=20, max_pixels=1800, max_aspect=1.5, of="stored")
    assert _kept(table, size) == {"2", "3", "4"}


def test_language_warns_of_short_captions_and_can_let_them_pass(tmp_path):
    rows = [
        {"uid": "short", "caption_chars": 9, "language": "de", "language_score": 0.9},
        {"uid": "long", "caption_chars": 60, "language": "de", "language_score": 0.9},
        {"uid": "unsure", "caption_chars": 60, "language": "en", "language_score": 0.2},
        {"uid": "sure", "caption_chars": 60, "language": "en", "language_score": 0.9},
    ]
    table = table_of(tmp_path, [rows])
    with Stages(table, threads=1) as stages:
        counts = stages.run("language", LanguageFilter())
    assert "1 of 4 captions have fewer than 25 characters" in counts.warnings[0]
    (figures,) = counts.figures.values()
    assert [tuple(row.values()) for row in figures] == [
        ("25 to 60", 3, 2, 0.6667),
        ("below 25", 1, 0, 0.0),
    ]
    passing = LanguageFilter(min_chars=25, min_score=0.5)
    assert _kept(table, passing) == {"short", "sure"}
    with Stages(table, threads=1) as stages:
        assert not stages.run("language", passing).warnings  # nothing short is judged
    with Stages(table, threads=1) as stages:
        assert stages.run("language", LanguageFilter(min_chars=5)).warnings


def test_of_duplicates_the_first_stays_and_is_named(tmp_path):
    a, b = b"a" * 32, b"b" * 32
    shards = [
        [{"uid": "4", "sha256": a, "caption": "x"}, {"uid": "2", "sha256": b, "caption": "x"}],
        [{"uid": "1", "sha256": a, "caption": "x"}, {"uid": "3", "sha256": a, "caption": "y"}],
    ]
    table = table_of(tmp_path, shards)
    assert _kept(table, ExactDuplicates()) == {"4", "2"}
    assert _kept(table, ExactDuplicates(with_caption=True)) == {"4", "2", "3"}
    with Stages(table, threads=1) as stages:
        stages.run("exact", ExactDuplicates())
        told = stages.sql(
            f"SELECT DISTINCT reason, detail FROM ({stages.fates.all()}) WHERE stage = 'exact'"
        ).fetchall()
    assert told == [("same picture", "4")]


def test_of_one_uid_the_first_readable_sample_stays(tmp_path):
    shards = [
        [{"uid": "a", "verdict": "truncated image"}, {"uid": "a"}, {"uid": "b"}],
        [{"uid": "a"}, {"uid": "c", "caption_verdict": "no caption"}],
    ]
    table = table_of(tmp_path, shards)
    with Stages(table, threads=1) as stages:
        counts = stages.run("readable", Readable())
        kept = stages.sql(
            "SELECT shard, row FROM samples ANTI JOIN dropped USING (id) ORDER BY id"
        ).fetchall()
        (told,) = stages.sql(
            f"SELECT detail FROM ({stages.fates.all()}) WHERE reason = 'repeated uid'"
        ).fetchall()
    assert counts.reasons == {"truncated image": 1, "repeated uid": 1, "no caption": 1}
    assert kept == [("00000.tar", 1), ("00000.tar", 2)]
    assert told == ("first in 00000.tar, row 1",)


def test_a_column_that_is_not_there_is_said_with_how_to_get_it(tmp_path):
    table = table_of(tmp_path, [[{"uid": "a"}]])
    with Stages(table, threads=1) as stages, pytest.raises(DataError, match="--name aesthetic"):
        stages.run("it", ClipScore(score="aesthetic", threshold=5.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ClipScore(),
        lambda: ClipScore(threshold=0.3, fraction=0.3),
        lambda: ClipScore(fraction=1.5),
        lambda: CaptionLength(),
        lambda: PictureSize(),
        lambda: PictureSize(min_side=3, of="header"),
        lambda: LanguageFilter(languages=()),
        lambda: PerplexityBand(q_lo=0.5, q_hi=0.5),
        lambda: OptOut(directives=(), embedded=False),
    ],
)
def test_settings_without_sense_are_refused(make):
    with pytest.raises(ConfigError):
        make()


@pytest.mark.parametrize("number", [1, 10, 333])
def test_perplexity_keeps_a_band_of_the_sorted_scores(tmp_path, number):
    """POINTS (arXiv 2409.04828): sorted in ascending order, the lowest share is kept."""
    rng = random.Random(number)
    scores = [rng.choice([rng.random() * 50, 7.0, math.nan]) for _ in range(number)]
    rows = [
        {"uid": str(i), "language": "en" if i % 3 else "de", "source": "web" if i % 2 else None}
        for i in range(number)
    ]
    table = table_of(tmp_path, [rows])
    add_scores(table, "perplexity", scores)
    real = sorted((np.float32(s), str(i)) for i, s in enumerate(scores) if not math.isnan(s))
    for low, high in ((0.0, 0.2), (0.0, 1.0), (0.1, 0.3), (0.55, 0.9)):
        first = len(real) * round(100 * low) // 100
        last = max(-(-len(real) * round(100 * high) // 100) - 1, first)
        ends = [real[min(i, len(real) - 1)][0] for i in (first, last)] if real else [0, 0]
        expected = {uid for score, uid in real if ends[0] <= score <= ends[1]}
        assert _kept(table, PerplexityBand(q_lo=low, q_hi=high)) == expected
    with Stages(table, threads=1) as stages:
        figures = stages.run("it", PerplexityBand(q_hi=1.0)).figures
    if real:
        for row in figures["kept by language"]:
            own = [i for i in range(number) if ("en" if i % 3 else "de") == row["language"]]
            stayed = sum(not math.isnan(scores[i]) for i in own)
            assert (row["given"], row["kept"]) == (len(own), stayed)
        found = {row["source"] for row in figures["kept by source"]}
        assert found == ({"web", "00000.tar"} if number > 1 else {"00000.tar"})


def test_what_servers_and_pictures_forbid_is_dropped_and_what_is_not_known_passes(tmp_path):
    rows = [
        {"uid": "nothing known"},
        {"uid": "header", "robots_tag": "otherbot: NoAI, nofollow"},
        {"uid": "word in a word", "robots_tag": "noaim"},
        {"uid": "allowed", "data_mining": "allowed", "robots_tag": "all"},
        {"uid": "picture", "data_mining": "prohibited-aimltraining"},
    ]
    table = table_of(tmp_path, [rows])
    free = {"nothing known", "word in a word", "allowed"}
    assert _kept(table, OptOut()) == free
    assert _kept(table, OptOut(embedded=False)) == free | {"picture"}
    assert _kept(table, OptOut(directives=())) == free | {"header"}
