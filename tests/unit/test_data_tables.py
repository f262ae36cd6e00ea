"""Text tables: every row is a caption or counted, whatever characters the captions hold."""

import csv

import pytest

from data_pipelines.errors import DataError
from data_pipelines.separated_values import SeparatedRows
from data_pipelines.skips import Skips
from data_pipelines.sources.image_folder import ImageFolder
from data_pipelines.sources.table import CaptionTable
from data_pipelines.text_lines import lines_of
from eval.data.word_lists import read_class_names
from tests.support.shards import picture

QUOTED = [
    "plain caption",
    '"Sunset" over the bay',
    '"the cat sat on the mat',
    "a dog",
    'a 5" pipe',
    "the end",
]


def _folder(tmp_path, count):
    for number in range(count):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
    return tmp_path


def _captions(table, **settings):
    skips = Skips()
    found = list(CaptionTable(table=table, **settings).samples(skips))
    return {s.provenance["key"]: s.captions for s in found}, skips


def test_quotation_marks_in_a_tsv_are_characters(tmp_path):
    """CC3M, LAION and WIT tables have no quoting (a caption of three rows before)."""
    table = _folder(tmp_path, 6) / "t.tsv"
    rows = "".join(f"{i}.png\t{caption}\n" for i, caption in enumerate(QUOTED))
    table.write_bytes(f"path\tcaption\n{rows}".encode())
    found, skips = _captions(table)
    assert found == {f"{i}.png": (caption,) for i, caption in enumerate(QUOTED)}
    assert skips.inputs == {"rows of t.tsv": 6, "lines of t.tsv": 7, "pictures named": 6}
    assert not skips.total


def test_an_open_quote_in_a_csv_costs_its_own_row_only(tmp_path):
    table = _folder(tmp_path, 6) / "t.csv"
    rows = "".join(f"{i}.png,{caption}\n" for i, caption in enumerate(QUOTED))
    table.write_bytes(f"path,caption\n{rows}".encode())
    found, skips = _captions(table)
    assert found == {f"{i}.png": (QUOTED[i],) for i in (0, 3, 4, 5)}
    assert skips.counts == {"broken row": 2}
    assert skips.inputs["rows of t.csv"] == 6
    found, skips = _captions(table, quoting="none")
    assert len(found) == 6


def test_quoted_cells_of_a_csv_may_hold_lines_and_separators(tmp_path):
    table = _folder(tmp_path, 3) / "t.csv"
    captions = ['say "hi", then\nleave', "b\u2028c", "d\x85e"]
    with table.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(
            [("path", "caption"), *((f"{i}.png", c) for i, c in enumerate(captions))]
        )
    found, skips = _captions(table)
    assert [found[f"{i}.png"][0] for i in range(3)] == captions
    assert skips.inputs == {"rows of t.csv": 3, "lines of t.csv": 5, "pictures named": 3}


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize(
    ("name", "mark", "end", "last"),
    [
        ("unix", "", "\n", "\n"),
        ("windows", "\ufeff", "\r\n", "\r\n"),
        ("old mac", "", "\r", "\r"),
        ("no last end", "\ufeff", "\n", ""),
        ("blank lines", "", "\n\n", "\n\n\n"),
    ],
)
def test_line_ends_and_marks(tmp_path, suffix, name, mark, end, last):
    separator = {".csv": ",", ".tsv": "\t"}[suffix]
    lines = [
        separator.join(row)
        for row in [("path", "caption"), ("0.png", "a\u2028b"), ("1.png", "c\0d")]
    ]
    table = _folder(tmp_path, 2) / f"t{suffix}"
    table.write_bytes((mark + end.join(lines) + last).encode())
    found, skips = _captions(table)
    assert found == {"0.png": ("a\u2028b",), "1.png": ("c\0d",)}
    assert not skips.total


def test_a_carriage_return_inside_a_tsv_caption_ends_no_row(tmp_path):
    table = _folder(tmp_path, 2) / "t.tsv"
    table.write_bytes(b"path\tcaption\n0.png\tone\rtwo\n1.png\tthree\n")
    found, skips = _captions(table)
    assert (found, skips.total) == ({"0.png": ("one\rtwo",), "1.png": ("three",)}, 0)


def test_utf16_tables_are_read_by_their_mark(tmp_path):
    table = _folder(tmp_path, 1) / "t.tsv"
    table.write_bytes("path\tcaption\r\n0.png\tgr\u00fcn\r\n".encode("utf-16"))
    assert _captions(table)[0] == {"0.png": ("gr\u00fcn",)}


def test_a_table_without_a_header_needs_its_columns_named(tmp_path):
    table = _folder(tmp_path, 2) / "t.tsv"
    table.write_bytes(b"a dog\t0.png\na cat\t1.png\n")
    with pytest.raises(DataError, match=r"columns: a dog, 0\.png; .*--columns"):
        _captions(table)
    found, skips = _captions(table, columns=("caption", "path"))
    assert found == {"0.png": ("a dog",), "1.png": ("a cat",)}
    assert skips.inputs["rows of t.tsv"] == 2


def test_two_columns_of_one_name_are_refused(tmp_path):
    table = tmp_path / "t.csv"
    table.write_bytes(b"path,caption,caption\n0.png,a,b\n")
    with pytest.raises(DataError, match="several columns 'caption'"):
        _captions(table)


def test_cells_that_look_quoted_are_named(tmp_path):
    table = _folder(tmp_path, 1) / "t.tsv"
    table.write_bytes(b'path\tcaption\n0.png\t"a ""big"" dog"\n')
    found, skips = _captions(table)
    assert found == {"0.png": ('"a ""big"" dog"',)}
    assert any("--quoting rfc4180" in what for what in skips.inputs)
    assert _captions(table, quoting="rfc4180")[0] == {"0.png": ('a "big" dog',)}


def test_a_line_beyond_the_limit_is_a_broken_row(tmp_path, monkeypatch):
    monkeypatch.setattr("data_pipelines.separated_values.MAX_LINE", 64)
    table = _folder(tmp_path, 2) / "t.tsv"
    table.write_bytes(b"path\tcaption\n0.png\t" + b"x" * 500 + b"\n1.png\tb\n")
    found, skips = _captions(table)
    assert found == {"1.png": ("b",)}
    assert skips.counts == {"broken row": 1}


@pytest.mark.parametrize("quoting", ["none", "rfc4180"])
def test_a_file_of_open_quotes_gives_a_row_a_line(tmp_path, quoting):
    path = tmp_path / "t.csv"
    path.write_text("".join(f'{i},"open\n' for i in range(300)))
    rows = SeparatedRows(path, delimiter=",", quoting=quoting)
    assert [row.line for row in rows] == list(range(1, 301))


def test_only_line_ends_end_lines():
    text = "a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g\r\nh\ri\nj"
    assert lines_of(text) == ["a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g", "h", "i", "j"]
    assert lines_of("") == []
    assert lines_of("a\n\n") == ["a", ""]


def test_caption_files_and_class_names_keep_other_separators(tmp_path):
    (tmp_path / "a.png").write_bytes(picture(1))
    (tmp_path / "a.txt").write_bytes("\ufeffone\u2028still one\r\ntwo".encode())
    (sample,) = ImageFolder(folder=tmp_path).samples(Skips())
    assert sample.captions == ("one\u2028still one", "two")
    names = tmp_path / "names"
    names.write_bytes("cat\x85dog\nbird\n".encode())
    assert read_class_names(str(names)) == ("cat\x85dog", "bird")
