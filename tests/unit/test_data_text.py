"""Text of any make: converted where its encoding is certain, refused where it is not."""

import pytest

from data_pipelines.errors import BadSampleError
from data_pipelines.shards.text import (
    CONTROLS,
    MAX_CAPTION_BYTES,
    NOT_UTF8,
    TOO_LONG,
    clean_caption,
    decode_text,
)

SENTENCE = "Gr\u00fcner Frosch \u2013 caf\u00e9"


def test_utf8_is_taken_as_it_is():
    for text in (SENTENCE, "\u86d9 \U0001f438", "", "plain"):
        assert decode_text(text.encode(), name="txt") == (text, ())
        assert decode_text(text.encode("utf-8-sig"), name="txt") == (text, ())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "cp1252"])
def test_other_encodings_are_converted_and_flagged(encoding):
    assert decode_text(SENTENCE.encode(encoding), name="txt") == (SENTENCE, (NOT_UTF8,))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_known_by_its_zeros(encoding):
    assert decode_text(SENTENCE.encode(encoding), name="txt") == (SENTENCE, (NOT_UTF8,))


def test_latin_1_is_windows_1252_where_it_prints():
    for text in ("\u00e9t\u00e9", "\u00a9 Z\u00fcrich", "pi\u00f1ata", "CR\u00c9\u00c9"):
        assert decode_text(text.encode("latin-1"), name="txt") == (text, (NOT_UTF8,))


def test_broken_utf8_loses_its_broken_bytes_only():
    data = "\u86d9 auf \u8377\u53f6".encode()
    assert decode_text(data[:8] + b"\xff" + data[8:], name="txt").text == "\u86d9 auf \u8377\u53f6"
    assert decode_text(data[:-1], name="txt").text == "\u86d9 auf \u8377"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("\u043b\u044f\u0433\u0443\u0448\u043a\u0430", "cp1251"), ("\u9752\u86d9\u5728", "gbk"),
     ("\u304b\u3048\u308b\u3067\u3059", "euc-jp"), ("\uac1c\uad6c\ub9ac", "euc-kr")],
)  # fmt: skip
def test_encodings_that_bytes_do_not_tell_are_refused(text, encoding):
    with pytest.raises(BadSampleError, match="UTF-8") as found:
        decode_text(text.encode(encoding), name="txt")
    assert found.value.kind == "unknown text encoding"


def test_control_characters_go():
    assert clean_caption("a\x00b\x07 c\x7f\u0085d\ufeff\ud800") == ("ab c d", (CONTROLS,))
    assert clean_caption(" two\nlines\tand a tab ") == ("two\nlines\tand a tab", ())
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"  # joined by format characters
    assert clean_caption(family) == (family, ())


def test_long_captions_end_between_characters():
    text, mended = clean_caption("\u86d9" * 5000)
    assert mended == (TOO_LONG,)
    assert set(text) == {"\u86d9"}
    assert MAX_CAPTION_BYTES - 3 < len(text.encode()) <= MAX_CAPTION_BYTES
    exact = "x" * MAX_CAPTION_BYTES
    assert clean_caption(exact) == (exact, ())
