"""Rows of URL lists of every format: the same rows, whatever holds them."""

import gzip
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from data_pipelines.errors import ConfigError, DataError
from data_pipelines.ingest.json_array import array_objects
from data_pipelines.ingest.list_parts import cut, list_part
from data_pipelines.ingest.rows_table import read_list_part
from data_pipelines.ingest.settings import FetchSettings, ListSettings, list_paths
from data_pipelines.ingest.url_rows import url_rows
from data_pipelines.skips import Skips

PAIRS = [
    {"url": "http://a.example/1.jpg", "caption": 'a "red", car', "score": "1"},
    {"url": "https://b.example/2.jpg?x=1", "caption": "two", "score": "2"},
]
SETTINGS = ListSettings(save_additional_columns=("score",))


def _csv(delimiter):
    def text(pairs):
        quoted = [['"' + p[k].replace('"', '""') + '"' for k in p] for p in pairs]
        plain = [[p[k] for k in p] for p in pairs]
        rows = quoted if delimiter == "," else plain
        return "".join(delimiter.join(row) + "\n" for row in [["url", "caption", "score"], *rows])

    return text


FORMS = {
    "pairs.csv": _csv(","),
    "pairs.tsv": _csv("\t"),
    "pairs.json": lambda pairs: json.dumps(pairs, indent=1),
    "pairs.jsonl": lambda pairs: "\n".join(map(json.dumps, pairs)),
}


@pytest.mark.parametrize("name", [*FORMS, "pairs.parquet", *(f"{name}.gz" for name in FORMS)])
def test_every_format_gives_the_same_rows(tmp_path, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        parquet.write_table(pa.Table.from_pylist(PAIRS), path)
    else:
        data = FORMS[name.removesuffix(".gz")](PAIRS).encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    rows = list(url_rows(path, SETTINGS, Skips(), scratch=tmp_path))
    found = [{"url": r.url, "caption": r.caption, "score": r.extra["score"]} for r in rows]
    assert found == PAIRS
    assert [r.problem for r in rows] == ["", ""]
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_lists_without_header_or_suffix(tmp_path):
    path = tmp_path / "cc3m"
    path.write_text("a dog\thttp://a.example/1.jpg\n")
    settings = ListSettings(input_format="tsv", columns=("caption", "url"))
    (row,) = url_rows(path, settings, Skips(), scratch=tmp_path)
    assert (row.caption, row.url) == ("a dog", "http://a.example/1.jpg")
    with pytest.raises(DataError, match="--input-format"):
        list(url_rows(path, ListSettings(), Skips(), scratch=tmp_path))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/1.jpg", "file:///etc/passwd", "http://", "http://user:word@a.example/",
        "//a.example/1.jpg", "http://a.example:x/", "http://[::1", "http://a\x01b/",
        "http://a.example/" + "x" * 8000, "data:image/png;base64,AAAA",
    ],
)  # fmt: skip
def test_what_is_no_address_of_the_web(tmp_path, url):
    path = tmp_path / "urls.jsonl"
    path.write_text(json.dumps({"url": url}))
    (row,) = url_rows(path, ListSettings(), Skips(), scratch=tmp_path)
    assert row.problem == "bad url"


def test_text_that_is_no_unicode(tmp_path):
    path = tmp_path / "pairs.jsonl"
    broken = {"url": "http://a/\ud800", "caption": "a \udc80 b", "score": {"\ud801": ["\udfff"]}}
    path.write_text(json.dumps(broken))
    (row,) = url_rows(path, SETTINGS, Skips(), scratch=tmp_path)
    assert row.caption == "a \ufffd b"
    assert json.dumps(row, ensure_ascii=False).encode()
    latin = tmp_path / "latin.csv"
    latin.write_bytes(b"url,caption\nhttp://a/1,caf\xe9\n")
    (row,) = url_rows(latin, ListSettings(), Skips(), scratch=tmp_path)
    assert row.caption == "caf\ufffd"


def test_ids_of_the_list_and_repeated_rows(tmp_path):
    path = tmp_path / "pairs.csv"
    uid = "0123456789abcdef" * 2
    path.write_text(
        f"url,uid\nhttp://a/1,{uid}\nhttp://a/2,{uid.upper()}\nhttp://a/3,none\nhttp://a/4,{uid[::-1]}\n"
    )
    settings = ListSettings(uid_col="uid", number_sample_per_shard=3)
    assert list(cut([path], tmp_path, settings, Skips())) == [(0, 3), (1, 1)]
    first, second = (read_list_part(list_part(tmp_path, shard)) for shard in (0, 1))
    assert [row.status for row in first] == ["", "duplicate row", "bad row"]
    assert (first[0].uid, second[0].row, second[0].uid) == (uid, 3, uid[::-1])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"url": "x"}', "array of objects"),
        ('[{"url": "x"}, 3]', "something else than objects"),
        ('[{"url": "x"}', "ends within"),
        ('[{"url": "x} ]', "broken"),
    ],
)
def test_broken_json_arrays(tmp_path, text, what):
    path = tmp_path / "pairs.json"
    path.write_text(text)
    with pytest.raises(DataError, match=what):
        list(array_objects(path))


def test_an_array_is_read_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr("data_pipelines.ingest.json_array._PIECE", 3)
    path = tmp_path / "pairs.json"
    objects = [{"url": f"http://a/{i}", "caption": "x" * i, "n": [i, {"m": i}]} for i in range(30)]
    path.write_text(json.dumps(objects, indent=2))
    assert list(array_objects(path)) == objects


def test_wrong_columns_and_paths_in_one_line(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("URL,TEXT\nhttp://a/1,one\n")
    with pytest.raises(DataError, match="columns: URL, TEXT; choose by --url-col"):
        list(url_rows(path, ListSettings(), Skips(), scratch=tmp_path))
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(b"http://a/1\n" * 99)[:-9])
    with pytest.raises(DataError, match="broken gzip"):
        list(url_rows(tmp_path / "cut.txt.gz", ListSettings(), Skips(), scratch=tmp_path))
    with pytest.raises(ConfigError, match="no list at"):
        list_paths((str(tmp_path / "gone.txt"),))
    assert list_paths((str(tmp_path),)) == [tmp_path / "cut.txt.gz", path]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"timeout": 0.0}, "--timeout 0: give seconds, more than 0"),
        ({"timeout": float("nan")}, "--timeout nan: give seconds"),
        ({"retries": -1}, "--retries -1: give 0 or more"),
        ({"max_wait": -0.5}, "--max-wait -0.5: give 0 or more"),
        ({"host_rate": float("nan")}, "--host-rate nan: give 0 or more"),
    ],
)
def test_the_setting_that_is_wrong_is_named(settings, told):
    with pytest.raises(ConfigError) as refused:
        FetchSettings(**settings)
    assert str(refused.value).startswith(told)
    assert str(refused.value).count("--") == 1
