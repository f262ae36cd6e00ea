"""What the members of a sample mean."""

import pytest

from data_pipelines.errors import DataError
from data_pipelines.schema import Sample, make_uid
from data_pipelines.shards.pairs import captions_of, image_of, label_of, uid_of


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
    for text in (b"-1", b"cat", b"1.5", "\u0661".encode(), b""):
        with pytest.raises(DataError):
            label_of({"cls": text})


def test_uid_comes_from_json_else_the_key():
    assert uid_of("k", {"json": b'{"uid": "u"}'}) == "u"
    assert uid_of("k", {"json": b'{"uid": 3}'}) == "k"
    assert uid_of("k", {}) == "k"


def test_uid_separates_its_parts():
    assert make_uid("ab", "c", b"") != make_uid("a", "bc", b"")
    assert make_uid("a", "b", b"c") == make_uid("a", "b", b"c")


def test_malformed_samples_are_refused():
    good = {"uid": "0" * 32, "image": b"", "image_suffix": "png", "captions": ("x",)}
    assert Sample(**good).label is None
    for wrong in ({"uid": "x"}, {"uid": "A" * 32}, {"image_suffix": "gif"}):
        with pytest.raises(DataError):
            Sample(**(good | wrong))
