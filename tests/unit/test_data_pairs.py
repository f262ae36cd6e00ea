"""What the members of a sample mean."""

import json

import pytest

from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.schema import Sample, make_uid
from data_pipelines.shards.pairs import (
    captions_of,
    image_of,
    label_of,
    printable,
    read_captions,
    uid_of,
)


def test_list_in_json_wins_over_txt():
    members = {"txt": b"one", "json": b'{"captions": ["two", " three ", "", 4]}'}
    assert captions_of(members, one_per_line=False) == ("two", "three")


def test_captions_by_language_fall_back_to_txt():
    members = {"txt": b"A frog.", "json": b'{"captions": {"en": "A frog.", "de": "Ein Frosch."}}'}
    assert captions_of(members, one_per_line=False) == ("A frog.",)


def test_txt_is_one_caption_or_one_a_line():
    members = {"txt": "\ufeffa cat\n\nline\\nbreak\r\n".encode()}
    assert captions_of(members, one_per_line=True) == ("a cat", "line\nbreak")
    assert captions_of(members, one_per_line=False) == ("a cat\n\nline\\nbreak",)
    assert captions_of({}, one_per_line=True) == ()


@pytest.mark.parametrize("members", [{"txt": b"\xff\xfe"}, {"json": b"{"}, {"json": b"[1]"}])
def test_unreadable_text_is_an_error(members):
    with pytest.raises(DataError):
        captions_of(members, one_per_line=False)


def test_image_suffixes_are_normalised():
    assert image_of({"txt": b"", "jpeg": b"x"}) == ("jpg", b"x")
    with pytest.raises(DataError, match="no image"):
        image_of({"seg.png": b"mask"})


def test_labels_are_plain_numbers():
    assert label_of({"cls": b" 12\n"}) == 12
    assert label_of({}) is None
    for text in (b"-1", b"cat", b"1.5", "\u0661".encode(), b"", b"9" * 5000):
        with pytest.raises(DataError):
            label_of({"cls": text})


def test_uid_comes_from_json_else_the_key():
    assert uid_of("k", {"json": b'{"uid": "u"}'}) == "u"
    assert uid_of("k", {"json": b'{"uid": 3}'}) == "k"
    assert uid_of("k", {}) == "k"


def test_training_reads_what_it_can_and_says_so():
    assert read_captions({"txt": b"a frog"}) == (("a frog",), ())
    listed = {"captions": ["one", " two "], "n": float("nan")}
    assert read_captions({"json": json.dumps(listed).encode()}) == (("one", "two"), ())
    assert read_captions({"txt": "gr\u00fcn".encode("latin-1")}) == (
        ("gr\u00fcn",),
        ("caption not UTF-8",),
    )
    json_in_utf16 = json.dumps({"captions": ["a\0b", "x" * 9000]}).encode("utf-16")
    texts, mended = read_captions({"json": json_in_utf16})
    assert [len(text) for text in texts] == [2, 8192]
    assert mended == ("caption not UTF-8", "control characters", "caption too long")
    huge = read_captions({"txt": b"\n" + b"word " * (1 << 20)})
    assert (len(huge.texts[0]), huge.mended) == (8192, ("caption too long",))


def test_txt_stands_in_for_an_unusable_list():
    for captions in ([], [" ", "\0"], "text", {"en": "x"}, None, 3):
        members = {"txt": b"a frog", "json": json.dumps({"captions": captions}).encode()}
        assert read_captions(members).texts == ("a frog",)
    mixed = read_captions({"json": b'{"captions": [1, "kept", null]}'})
    assert mixed == (("kept",), ("captions of a wrong type or too many",))
    many = json.dumps({"captions": ["x"] * 5000}).encode()
    assert len(read_captions({"json": many}).texts) == 1000


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({}, "no caption"),
        ({"txt": b""}, "no caption"),
        ({"txt": b" \n\t\x00 "}, "no caption"),
        ({"png": b"x", "json": b"{}"}, "no caption"),
        ({"txt": b"x", "json": b'{"captions": ["cut o'}, "broken json"),
        ({"txt": b"x", "json": b"[1]"}, "broken json"),
        ({"txt": b"x", "json": b""}, "broken json"),
        ({"txt": b"x", "json": b"[" * 200_000}, "broken json"),
        ({"txt": b"x", "json": b'{"n": ' + b"9" * 5000 + b"}"}, "broken json"),
        ({"txt": b"x", "json": b" " * (1 << 24) + b"{}"}, "broken json"),
        ({"txt": "\u0436\u0430\u0431\u0430".encode("cp1251")}, "unknown text encoding"),
    ],
)
def test_unusable_captions_have_kinds(members, kind):
    with pytest.raises(BadSampleError) as found:
        read_captions(members)
    assert found.value.kind == kind
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 300


def test_of_a_repeated_name_the_last_counts():
    assert read_captions({"json": b'{"captions": ["a"], "captions": ["b"]}'}).texts == ("b",)


def test_ids_can_be_printed_and_stored():
    for uid in ('"\\ud800"', '"a\\nb"', '"' + "x" * 300 + '"', "null"):
        assert uid_of("key", {"json": b'{"uid": ' + uid.encode() + b"}"}) == "key"
    assert uid_of("caf\udce9\n\u00fc", {}) == "caf\\udce9\\n\u00fc"
    assert printable("\u86d9 x") == "\u86d9 x"
    with pytest.raises(BadSampleError, match="broken json"):
        uid_of("key", {"json": b"{"})


def test_uid_separates_its_parts():
    assert make_uid("ab", "c", b"") != make_uid("a", "bc", b"")
    assert make_uid("a", "b", b"c") == make_uid("a", "b", b"c")


def test_malformed_samples_are_refused():
    good = {"uid": "0" * 32, "image": b"", "image_suffix": "png", "captions": ("x",)}
    assert Sample(**good).label is None
    for wrong in ({"uid": "x"}, {"uid": "A" * 32}, {"image_suffix": "gif"}):
        with pytest.raises(DataError):
            Sample(**(good | wrong))
