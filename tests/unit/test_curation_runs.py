"""A run accounts for every sample, gives the same bytes again, and says why each sample went."""

import json

import pyarrow.parquet as pq
import pytest

from data_pipelines.curation import run as running
from data_pipelines.curation.difference import difference
from data_pipelines.curation.filter import Rule, SampleFilter
from data_pipelines.curation.recipe import load_recipe
from data_pipelines.curation.run import run_recipe
from data_pipelines.curation.stages import Stages
from data_pipelines.curation.why import why
from data_pipelines.errors import ConfigError, DataError, UnknownNameError
from tests.support.curation import files_of, mixed_shards, table_of
from vlsuite.cli.main import main

_RECIPE = """
[[stage]]
filter = "caption-length"
min_words = 3

[[stage]]
filter = "picture-size"
min_side = 5
of = "stored"
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(_RECIPE)
    return str(path)


def _table(folder, number=40):
    """Row n has n % 5 words and sides of n % 7; the uids are not in the order of the rows."""
    rows = [
        {
            "uid": f"{n * 17 % number:04x}",
            "caption_chars": 30,
            "caption_words": n % 5,
            "width": 10,
            "height": n % 7,
        }
        for n in range(number)
    ]
    rows[3]["verdict"] = "truncated image"
    return table_of(folder, [rows[: number // 3], rows[number // 3 :]])


def test_kept_and_dropped_are_all_samples_once(tmp_path, recipe):
    table = _table(tmp_path / "table")
    report = run_recipe(load_recipe(recipe), table, tmp_path / "out", threads=1)
    kept = pq.read_table(tmp_path / "out" / "kept.parquet").to_pylist()
    fates = pq.read_table(tmp_path / "out" / "lineage" / "00000.parquet").to_pylist()
    expected = [n for n in range(40) if n != 3 and n % 5 >= 3 and n % 7 >= 5]
    assert [row["uid"] for row in kept] == [f"{n * 17 % 40:04x}" for n in expected]
    assert [(row["shard"], row["row"]) for row in kept] == [
        ("00000.tar", n) if n < 13 else ("00001.tar", n - 13) for n in expected
    ]
    assert [row["uid"] for row in fates] == [f"{n:04x}" for n in range(40)]
    assert {row["uid"] for row in fates if row["stage"] is None} == {row["uid"] for row in kept}
    assert [(s.given, s.kept + s.dropped) for s in report.stages] == [(40, 40), (39, 39), (15, 15)]
    assert report.stages[0].reasons == {"truncated image": 1}
    assert report.num_kept == len(kept)
    assert list(pq.read_schema(tmp_path / "out" / "kept.parquet").names) == ["uid", "shard", "row"]


def test_bytes_depend_on_recipe_and_table_alone(tmp_path, recipe):
    table = _table(tmp_path / "table", 3000)
    for name, threads in (("one", 1), ("two", 3)):
        run_recipe(load_recipe(recipe), table, tmp_path / name, threads=threads)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert set(files_of(tmp_path / "one")) == {
        "kept.parquet",
        "lineage/00000.parquet",
        "run.json",
    }


def test_an_interrupted_run_is_done_again_and_another_one_refused(tmp_path, recipe):
    table, out = _table(tmp_path / "table"), tmp_path / "out"
    assert not run_recipe(load_recipe(recipe), table, out, threads=1).was_there
    whole = files_of(out)
    assert run_recipe(load_recipe(recipe), table, out, threads=1).was_there
    (out / "run.json").unlink()
    (out / "lineage" / "00007.parquet").write_bytes(b"of another run")
    (out / f".kept.parquet.{'0' * 32}.unfinished").write_bytes(b"half")
    run_recipe(load_recipe(recipe), table, out, threads=1)
    assert files_of(out) == whole
    other = load_recipe(recipe, overrides=("caption-length.min_words=4",))
    with pytest.raises(DataError, match="of other stages or settings"):
        run_recipe(other, table, out, threads=1)
    run_recipe(other, table, out, threads=1, overwrite=True)
    assert files_of(out) != whole


def test_a_missing_column_is_told_before_anything_is_written_or_replaced(tmp_path, recipe):
    table, out = _table(tmp_path / "table"), tmp_path / "out"
    run_recipe(load_recipe(recipe), table, out, threads=1)
    whole = files_of(out)
    lacking = tmp_path / "lacking.toml"
    lacking.write_text('[[stage]]\nfilter = "score-range"\nscore = "aesthetic"\nleast = 5.0\n')
    for folder in (out, tmp_path / "new"):
        with pytest.raises(DataError, match="needs the column 'aesthetic'"):
            run_recipe(load_recipe(str(lacking)), table, folder, threads=1, overwrite=True)
    assert files_of(out) == whole
    assert not (tmp_path / "new").exists()


def test_why_reads_one_of_many_files(tmp_path, recipe, monkeypatch):
    monkeypatch.setattr(running, "LINEAGE_ROWS", 64)
    monkeypatch.setattr(running, "GROUP_ROWS", 16)
    table, out = _table(tmp_path / "table", 300), tmp_path / "out"
    run_recipe(load_recipe(recipe), table, out, threads=1)
    assert len(list((out / "lineage").iterdir())) == 5
    for n in range(300):
        (fate,) = why(f"{n * 17 % 300:04x}", out)
        assert fate.row == (n if n < 100 else n - 100)
        if n == 3:
            assert fate.reason == "truncated image"
        elif n % 5 < 3:
            assert (fate.stage, fate.value, fate.threshold) == ("caption-length", n % 5, 3)
        elif n % 7 < 5:
            assert (fate.stage, fate.value, fate.threshold) == ("picture-size", n % 7, 5)
        else:
            assert fate.stage is None
            assert fate.told().endswith("kept")
    with pytest.raises(DataError, match="no sample 'nobody'"):
        why("nobody", out)
    with pytest.raises(DataError, match="no finished run"):
        why("nobody", tmp_path)


@pytest.fixture
def named_run(tmp_path, recipe, monkeypatch):
    """A run over uids of words, in several files and groups of rows."""
    monkeypatch.setattr(running, "LINEAGE_ROWS", 3)
    monkeypatch.setattr(running, "GROUP_ROWS", 2)
    uids = [*(f"aaaabbbb{n:02}" for n in range(7)), "aaaacccc00", "zzzzzzzz-only-one", "short"]
    row = {"caption_chars": 30, "caption_words": 4, "width": 10, "height": 6}
    table = table_of(tmp_path / "named", [[{"uid": uid, **row} for uid in uids]])
    run_recipe(load_recipe(recipe), table, tmp_path / "run", threads=1)
    return tmp_path / "run"


@pytest.mark.parametrize("uid", ["zzzzzzzz", "zzzzzzzz-only", "aaaacccc", "aaaacccc0"])
def test_a_beginning_is_enough_where_no_other_uid_has_it(named_run, uid):
    (fate,) = why(uid, named_run)
    assert fate.uid.startswith(uid)


@pytest.mark.parametrize(
    ("uid", "told"),
    [
        ("aaaabbbb", "aaaabbbb00, aaaabbbb01, aaaabbbb02, aaaabbbb03, aaaabbbb04 and 2 more begin "
         "so; give more of it"),
        ("aaaac", "aaaacccc00 begins so; give 8 letters or all"),
        ("aaaabbbb99", "; near it: aaaabbbb00, aaaabbbb01, aaaabbbb02, aaaabbbb03, aaaabbbb04;"),
        ("zzzz????", "; near it: zzzzzzzz-only-one; check it (whole, or 8 letters"),
        ("nobody", "; check it (whole, or 8 letters"),
        ("", "; check it (whole, or 8 letters"),
    ],
)  # fmt: skip
def test_a_uid_that_is_not_there_shows_those_near_it(named_run, uid, told):
    with pytest.raises(DataError) as refused:
        why(uid, named_run)
    assert told in str(refused.value)
    assert str(refused.value).startswith(f"no sample '{uid}' in ")


def test_samples_that_share_a_uid_each_have_a_fate(tmp_path, recipe, monkeypatch):
    monkeypatch.setattr(running, "LINEAGE_ROWS", 2)
    monkeypatch.setattr(running, "GROUP_ROWS", 2)
    row = {"caption_words": 9, "width": 9, "height": 9, "caption_chars": 30}
    table = table_of(tmp_path / "table", [[{**row, "uid": "a"}, *[{**row, "uid": "b"}] * 3]])
    report = run_recipe(load_recipe(recipe), table, tmp_path / "out", threads=1)
    assert (report.num_kept, report.stages[0].reasons) == (2, {"repeated uid": 2})
    assert [fate.stage for fate in why("b", tmp_path / "out")] == [None, "readable", "readable"]


def test_diff_names_what_changed_and_why(tmp_path, recipe):
    table = _table(tmp_path / "table")
    first = run_recipe(load_recipe(recipe), table, tmp_path / "a", threads=1)
    changed = load_recipe(recipe, overrides=("caption-length.min_words=4",))
    second = run_recipe(changed, table, tmp_path / "b", threads=1)
    found = difference(tmp_path / "a", tmp_path / "b", out=tmp_path / "changed.parquet")
    assert found.kept == (first.num_kept, second.num_kept, second.num_kept)
    assert found.made_from == ("stage 'caption-length': min_words 3 -> 4",)
    (change,) = found.changes
    assert (change.before, change.number) == ("kept", first.num_kept - second.num_kept)
    assert change.after == "caption-length: caption too short (words)"
    assert change.because == "min_words 3 -> 4"
    assert pq.read_metadata(tmp_path / "changed.parquet").num_rows == change.number
    larger = _table(tmp_path / "larger", 41)
    run_recipe(load_recipe(recipe), larger, tmp_path / "c", threads=1)
    found = difference(tmp_path / "a", tmp_path / "c")
    assert any(line.startswith("shards: ") for line in found.made_from)
    assert not difference(tmp_path / "a", tmp_path / "a").changes


def test_a_filter_that_loses_samples_ends_the_run(tmp_path):
    class Doubling(SampleFilter):
        def needs(self):
            return ("caption_words",)

        def rules(self, samples):
            samples.add_query("SELECT id, n FROM given, (VALUES (1), (2)) AS twice(n)")
            return [Rule("short", "caption_words < 3")]

    class NoSql(Doubling):
        def rules(self, samples):
            return [Rule("short", "caption_wrods < 3")]

    table = _table(tmp_path)
    with Stages(table, threads=1) as stages, pytest.raises(DataError, match="accounts for"):
        stages.run("doubling", Doubling())
    with Stages(table, threads=1) as stages, pytest.raises(DataError, match="no SQL over"):
        stages.run("wrong", NoSql())


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ('[[stage]]\nfilter = "blocklist"\nby = "uid"\n', ConfigError, "wants the setting 'file'"),
        ("about = 3", ConfigError, "wants one"),
        ("[[stage]]\nfilter = 'caption-lenght'\nmin_chars = 3", UnknownNameError, "caption-length"),
        ("[[stage]]\nfilter = 'caption-length'\nmin_char = 3", ConfigError, "did you mean"),
        ("[[stage]]\nfilter = 'caption-length'\nmin_chars = 'x'", ConfigError, "min_chars"),
        ("[[stage]]\nfilter = 'readable'", ConfigError, "every run begins with it"),
        ("[[stage]]\nmin_chars = 3", ConfigError, "has no filter"),
        ("[[stage", ConfigError, "no TOML"),
        ("threads = 3\n[[stage]]\nfilter = 'readable'", ConfigError, "not 'threads'"),
    ],
)
def test_recipes_with_mistakes_are_refused_in_one_line(tmp_path, text, error, told):
    (tmp_path / "wrong.toml").write_text(text)
    with pytest.raises(error, match=told) as caught:
        load_recipe(str(tmp_path / "wrong.toml"))
    assert "\n" not in str(caught.value)


def test_the_commands_go_from_shards_to_the_fate_of_a_sample(tmp_path, recipe, capsys):
    mixed_shards(tmp_path / "shards")
    shards, out = str(tmp_path / "shards"), str(tmp_path / "out")
    assert main(["curate", "scan", shards]) == 0
    assert "18 samples in 3 shards (3 read now)" in capsys.readouterr().out
    assert main(["curate", "run", recipe, shards, "--out", out, "--threads", "1"]) == 0
    assert "kept 12 of 18" in capsys.readouterr().out
    assert main(["curate", "why", f"{2 * 37 % 101:032x}", out]) == 0
    assert "dropped by readable: truncated image" in capsys.readouterr().out
    assert main(["curate", "diff", out, out]) == 0
    assert "nothing" in capsys.readouterr().out
    assert main(["curate", "run", "--list"]) == 0
    assert "datacomp-basic" in capsys.readouterr().out
    assert main(["curate", "run", "datacomp-basic", shards]) == 2
    assert main(["curate", "run", "datacomp-basic", shards, "--out", str(tmp_path / "x")]) == 2
    assert "scan again with --language lid176" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "run.json").read_text())["kept"] == 12
