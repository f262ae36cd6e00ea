"""One function for outside strings: nothing that a terminal obeys, no password, nothing lost."""

import io
import json
import sys

import pytest

from data_pipelines import printable as module
from data_pipelines.errors import BadSampleError, DataError, reason_of
from data_pipelines.printable import (
    PrintableStream,
    json_text,
    masked,
    one_line,
    printable,
    printable_streams,
)

OBEYED = "a\x1b[31m\x07\r\x9b2J\u202e\u2066\u200f\ud800\u2028b"
SHOWN = r"a\x1b[31m\x07\x0d\x9b2J\u202e\u2066\u200f\ud800\u2028b"


def test_what_is_obeyed_is_shown() -> None:
    assert printable(OBEYED) == SHOWN
    assert printable(printable(OBEYED)) == SHOWN
    assert printable(OBEYED).encode()


@pytest.mark.parametrize(
    "text",
    [
        "\tone\ntwo",
        "caf\u00e9 \u86d9 \u3000",
        "\U0001f468\u200d\U0001f469",
        "\u0645\u06cc\u200c\u062e",
    ],
)
def test_writing_of_all_people_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:pass@host/a.tar", "http://***@host/a.tar"),
        ("https://tok-en@host", "https://***@host"),
        ("s3://k:p%40ss@bucket/{0..1}.tar x", "s3://***@bucket/{0..1}.tar x"),
        ("http://user:p@ss@host/a", "http://***@host/a"),
        ("http://user:pa/ss@host/a", "http://***@host/a"),
        ("http://host:8080/@user", "http://host:8080/@user"),
        ("https://h/a?X-Amz-Signature=abc&x=1", "https://h/a?X-Amz-Signature=***&x=1"),
        ("https://h/a?sig=abc%3D", "https://h/a?sig=***"),
        ("Authorization: Bearer abcdef", "Authorization: Bearer ***"),
        ("mail a@b.c, 3 @ 4", "mail a@b.c, 3 @ 4"),
        ("http://a/b and c@d", "http://a/b and c@d"),
    ],
)
def test_passwords_of_addresses(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked(shown) == shown


def test_long_texts_take_no_time() -> None:
    text = "a" * 2_000_000 + "://" + "b" * 2_000_000
    assert printable(text) == text


def test_keys_are_kept_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_secrets", set())
    module.keep_secret("sk-123456789")
    assert printable("key sk-123456789!") == "key ***!"


def test_errors_are_one_line_that_can_be_shown() -> None:
    told = str(DataError(f"no\nfile {OBEYED} at http://u:p@h/x"))
    assert told.isprintable()
    assert "***@h" in told
    assert "a  b" in str(DataError("cannot read a  b"))
    assert str(BadSampleError("broken", OBEYED)).isprintable()
    assert reason_of(ValueError(f"{OBEYED}\nmore")).isprintable()


def test_json_keeps_its_value() -> None:
    value = {"\x9b": "\u202e\x7f\u2028"}
    text = json_text(json.dumps(value, ensure_ascii=False))
    assert text.isprintable()
    assert json.loads(text) == value


def test_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with printable_streams(), printable_streams():
        print(OBEYED, "x")
        sys.stdout.writelines(["\x1b", "\n"])
    assert sys.stdout is out
    assert out.getvalue() == f"{SHOWN} x\n\\x1b\n"


def test_progress_bars_rewrite_their_line() -> None:
    from tqdm import tqdm

    out = io.StringIO()
    for _ in tqdm(range(2), desc="a\x1b", file=PrintableStream(out)):
        pass
    assert out.getvalue().startswith("\r")
    assert "\x1b" not in out.getvalue()


def test_one_line() -> None:
    assert one_line(" a\r\n  b\nc\t ") == "a b c"
