"""The page of a curation run counts as the run does, shows its pictures and needs nothing else."""

import re
from html.parser import HTMLParser

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_pipelines.curation.places import (
    SHARD_PLACES,
    TABLE_PLACE,
    note_places,
    stored_places,
)
from data_pipelines.curation.recipe import load_recipe
from data_pipelines.curation.run import run_recipe
from data_pipelines.errors import DataError
from eval.curation.examples import Pictures, clusters, galleries
from eval.curation.finding import find_run
from eval.curation.histograms import histograms
from eval.curation.page import build_curation_report, render
from eval.curation.parts_of_pool import pool_parts
from eval.curation.work import Work
from tests.support.curation import add_scores, mixed_shards, table_of
from tests.support.shard_server import serving_shards
from vlsuite.cli.main import main

_RECIPE = """
about = "Some <words>"

[[stage]]
filter = "caption-length"
min_words = 3

[[stage]]
filter = "exact-duplicates"

[[stage]]
filter = "clip-score"
fraction = 0.5
"""

_NUMBER = 400


def _rows():
    """Words of n % 8; every tenth picture is that of the sample before; two languages and hosts."""
    return [
        {
            "uid": f"{n * 7 % 401:032x}",
            "caption": f"caption {n} & <b>more</b>",
            "caption_words": n % 8,
            "caption_chars": 20,
            "sha256": (n - (n % 10 == 9)).to_bytes(32, "big"),
            "language": "de" if n % 4 == 0 else "en",
            "url": f"https://{'a.example' if n < 300 else 'b.example'}/{n}.jpg",
        }
        for n in range(_NUMBER)
    ]


@pytest.fixture
def run(tmp_path):
    """A finished run, whose table is known to it."""
    rows = _rows()
    table = table_of(tmp_path / "table", [rows[:150], rows[150:]])
    add_scores(table, "clip", [None if n % 50 == 0 else n / _NUMBER for n in range(_NUMBER)])
    (tmp_path / "recipe.toml").write_text(_RECIPE)
    run_recipe(load_recipe(str(tmp_path / "recipe.toml")), table, tmp_path / "run", threads=1)
    note_places(tmp_path / "run", TABLE_PLACE, [table.folder])
    return tmp_path / "run"


_BEFORE_SCORE = ("readable", "caption-length", "exact-duplicates")


def _fates(run):
    return pq.read_table(run / "lineage").to_pylist()


def test_histograms_count_what_a_stage_was_given(run, tmp_path):
    fates = sorted(_fates(run), key=lambda fate: (fate["shard"], fate["row"]))
    with Work(find_run(run), tmp_path) as work:
        words, score = histograms(work)
    assert (words.judged.name, words.judged.threshold) == ("caption-length", 3.0)
    bins = np.array(words.edges[:-1]) + 0.5
    assert dict(zip(bins, words.dropped, strict=True)) == {n: 50 if n < 3 else 0 for n in range(8)}
    assert words.kept == (0, 0, 0, 50, 50, 50, 50, 50)
    assert not any(words.others)
    reached = [n for n, fate in enumerate(fates) if fate["stage"] not in _BEFORE_SCORE]
    scored = [n / _NUMBER for n in reached if n % 50]
    gone = [n / _NUMBER for n in reached if n % 50 and fates[n]["reason"] == "score too low"]
    assert (sum(score.kept) + sum(score.dropped), sum(score.dropped)) == (len(scored), len(gone))
    expected, _ = np.histogram(np.clip(gone, score.edges[0], score.edges[-1]), score.edges)
    assert np.abs(np.array(score.dropped) - expected).sum() <= 2  # numbers on an edge
    assert score.judged.threshold == pytest.approx(min(set(scored) - set(gone)))


def test_languages_sources_and_clusters_are_those_of_the_samples(run, tmp_path):
    with Work(find_run(run), tmp_path) as work:
        languages, hosts = pool_parts(work)
        (found,) = clusters(work, Pictures(find_run(run)))
        shown = {gallery.title: gallery for gallery in galleries(work, Pictures(find_run(run)))}
    kept = {fate["uid"] for fate in _fates(run) if fate["stage"] is None}
    counts = {part.name: (part.given, part.kept) for part in languages.parts}
    german = [row["uid"] for row in _rows() if row["language"] == "de"]
    assert counts["de"] == (100, len(kept.intersection(german)))
    assert counts["en"] == (300, len(kept) - len(kept.intersection(german)))
    assert [part.name for part in hosts.parts] == ["a.example", "b.example"]
    copies = [f for f in _fates(run) if f["reason"] == "same picture"]
    assert (found.number, found.dropped, found.sizes) == (
        len(copies),
        len(copies),
        (("2", len(copies)),),
    )
    assert found.largest[0].copies[0].uid in {fate["uid"] for fate in copies}
    assert {one.uid for one in shown["Kept"].samples} <= kept
    words = shown["caption-length: caption too short (words)"].samples
    assert [one.note for one in words[-4:]] == ["2 (threshold 3)"] * 4


class _Text(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.addresses, self.words = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_stands_alone_and_says_what_it_lacks(run, tmp_path):
    page = build_curation_report(run)
    text = page.read_text()
    seen = _Text()
    seen.feed(text)
    assert "script" not in seen.tags
    assert all(one.startswith(("data:image/", "#")) for one in seen.addresses)
    assert "Some &lt;words&gt;" in text
    assert "<b>more" not in text
    words = " ".join(seen.words)
    assert f"{sum(f['stage'] is None for f in _fates(run))} of 400 samples were kept" in words
    assert "name them by --data" in words
    assert seen.tags.count("figure") == 2
    assert build_curation_report(run, tmp_path / "again.html").read_text() == text
    (run / "places.json").unlink()
    alone = build_curation_report(run).read_text()
    assert "name its folder by --table" in alone
    assert "Numbers of samples that passed are not stored" in alone
    with pytest.raises(DataError, match="no finished table"):
        build_curation_report(run, table=tmp_path)


def test_a_page_of_remote_shards_says_why_it_has_no_pictures(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    mixed_shards(tmp_path / "shards")
    (tmp_path / "recipe.toml").write_text("[[stage]]\nfilter = 'exact-duplicates'\n")
    table, out = str(tmp_path / "table"), str(tmp_path / "run")
    with serving_shards(tmp_path / "shards") as server:
        address = f"{server.address}/{{00000..00002}}.tar"
        assert main(["curate", "scan", address, "--out", table]) == 0
        assert main(["curate", "run", str(tmp_path / "recipe.toml"), table, "--out", out]) == 0
        server.fetched.clear()
        pages = []
        for named in ([], ["--data", address]):
            assert main(["report", out, *named]) == 0
            pages.append((tmp_path / "run" / "report.html").read_text())
        assert not server.fetched
    assert pages[0] == pages[1]
    assert pages[0].count("lie on remote storage") == 1
    assert "are not found" not in pages[0]
    assert server.address not in pages[0]
    assert '<img src="data:image/jpeg' not in pages[0]
    assert main(["report", out, "--data", str(tmp_path / "shards")]) == 0
    text = (tmp_path / "run" / "report.html").read_text()
    assert "lie on remote storage" not in text
    assert '<img src="data:image/jpeg' in text


def test_the_commands_remember_where_pictures_are(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    mixed_shards(tmp_path / "shards")
    (tmp_path / "recipe.toml").write_text("[[stage]]\nfilter = 'exact-duplicates'\n")
    table, out = str(tmp_path / "table"), str(tmp_path / "run")
    assert main(["curate", "scan", str(tmp_path / "shards"), "--out", table]) == 0
    assert main(["curate", "run", str(tmp_path / "recipe.toml"), table, "--out", out]) == 0
    assert main(["report", out]) == 0
    assert capsys.readouterr().out.endswith("run/report.html\n")
    text = (tmp_path / "run" / "report.html").read_text()
    assert len(re.findall(r'<img src="data:image/jpeg', text)) >= 12
    assert "Read this first" not in text
    assert main(["report", str(tmp_path), "--table", table]) == 2
    assert "are of curation runs" in capsys.readouterr().err


def test_places_move_with_their_folder(tmp_path):
    (tmp_path / "a" / "run").mkdir(parents=True)
    note_places(
        tmp_path / "a" / "run", SHARD_PLACES, [tmp_path / "a" / "x.tar", "s3://b/{0..3}.tar"]
    )
    (tmp_path / "a").rename(tmp_path / "b")
    assert stored_places(tmp_path / "b" / "run", SHARD_PLACES) == [
        str(tmp_path / "b" / "x.tar"),
        "s3://b/{0..3}.tar",
    ]
    assert stored_places(tmp_path, SHARD_PLACES) == []


def test_a_rule_without_a_threshold_says_nothing_of_one(tmp_path):
    rows = [{"uid": f"{n:02d}", "language": "de" if n % 2 else "en"} for n in range(8)]
    table = table_of(tmp_path / "table", [[{**row, "language_score": 0.5} for row in rows]])
    (tmp_path / "recipe.toml").write_text("[[stage]]\nfilter = 'language'\nmin_score = 0.1\n")
    run_recipe(load_recipe(str(tmp_path / "recipe.toml")), table, tmp_path / "out", threads=1)
    page = render(find_run(tmp_path / "out", table=table.folder))
    assert "language: other language" in page
    assert "The threshold differs" not in page
