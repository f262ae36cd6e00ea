"""Members of a sample by role."""

import io
import json

import numpy as np
import pytest

from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.schema import Clip
from data_pipelines.shards import stored_sample
from data_pipelines.shards.stored_sample import StoredSample

PNG = b"\x89PNG\r\n\x1a\n..."


def _json(**fields: object) -> dict[str, bytes]:
    return {"json": json.dumps(fields).encode()}


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_json_is_parsed_once_for_all_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []

    def loads(text: str) -> object:
        parsed.append(text)
        return json.loads(text)

    monkeypatch.setattr(stored_sample, "parsed_json", loads)
    sample = StoredSample(
        "k",
        _json(
            uid="u",
            identity=7,
            captions=["a frog"],
            question="what?",
            answers=[{"answer": "frog"}, " "],
            factors={"pose": True},
            boxes=[[0, 0, 2, 3]],
        )
        | {"png": PNG, "cls": b"3"},
    )
    assert sample.captions.texts == sample.plain_captions(one_per_line=True) == ("a frog",)
    assert (sample.uid, sample.identity, sample.label) == ("u", "7", 3)
    assert sample.question == ("what?", ("frog",))
    assert sample.factors == {"pose": True}
    assert sample.boxes[0].right == 2.0
    assert sample.image == ("png", PNG)
    assert sample.member("cls") == b"3"
    assert len(parsed) == 1


def test_strict_and_lenient_readings_stay_apart() -> None:
    wide = StoredSample("k", {"json": json.dumps({"captions": ["x"]}).encode("utf-16")})
    assert wide.captions == (("x",), ("caption not UTF-8",))
    with pytest.raises(DataError, match="json is not UTF-8"):
        _ = wide.fields
    broken = StoredSample("k", {"json": b"{"})
    with pytest.raises(BadSampleError, match="broken json"):
        _ = broken.uid
    with pytest.raises(DataError, match="json does not parse"):
        _ = broken.fields
    with pytest.raises(DataError, match="json holds a list"):
        _ = StoredSample("k", {"json": b"[1]"}).fields


def test_a_sample_without_roles() -> None:
    sample = StoredSample("a\nb", {})
    assert sample.uid == "a\\nb"
    assert sample.label is sample.identity is sample.question is sample.sound is sample.frames
    assert sample.clips == sample.boxes == sample.masks == sample.plain_captions(one_per_line=True)
    assert sample.factors == {}
    assert sample.member("png") is None


def test_clips_are_spans_of_one_video() -> None:
    spans = [{"start": 0, "end": 2.5}, {"start": 2.5, "caption": " a jump "}]
    clips = StoredSample("k", _json(clips=spans) | {"mp4": b"v"}).clips
    assert [(c.start, c.end, c.caption) for c in clips] == [(0.0, 2.5, ""), (2.5, None, "a jump")]
    assert StoredSample("k", {"webm": b"v"}).clips == (Clip("webm", b"v"),)
    assert StoredSample("k", _json(clips=[]) | {"mkv": b"v"}).clips == ()
    indexed = StoredSample("k", _json(clips=spans) | {"mp4": b"v", "frames.index": b"i"}).clips
    assert [clip.index for clip in indexed] == [b"i", b"i"]


@pytest.mark.parametrize(
    "members",
    [
        _json(clips=[{"start": 0, "end": 1}]),
        {"mp4": b"v", "webm": b"v"},
        *(
            _json(clips=clips) | {"mp4": b"v"}
            for clips in (
                3,
                [3],
                [{}],
                [{"start": -1}],
                [{"start": 2, "end": 2}],
                [{"start": True}],
                [{"start": float("nan")}],
                [{"start": 0, "end": "1"}],
                [{"start": 0, "caption": 3}],
            )
        ),
    ],
)
def test_broken_clips(members: dict[str, bytes]) -> None:
    with pytest.raises(BadSampleError, match="broken clips") as found:
        _ = StoredSample("k", members).clips
    assert "\n" not in str(found.value)


def test_frames_are_in_order_of_their_numbers() -> None:
    members = {f"frame.{i:02d}.jpeg": bytes([i]) for i in (10, 9, 8)}
    frames = StoredSample("k", members).frames
    assert frames is not None
    assert frames.images == (("jpg", b"\x08"), ("jpg", b"\x09"), ("jpg", b"\x0a"))
    assert frames.pixels is None
    pixels = np.zeros((2, 3, 4, 3), dtype=np.uint8)
    stored = StoredSample("k", {"frames.npy": _npy(pixels)}).frames
    assert stored is not None
    assert stored.pixels is not None
    assert stored.pixels.shape == pixels.shape


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"frame.0.jpg": b"", "frame.2.jpg": b""}, "broken frames"),
        ({"frame.0.jpg": b"", "frame.00.jpg": b""}, "broken frames"),
        ({"frames.npy": _npy(np.zeros((2, 3, 4, 3)))}, "broken frames"),
        ({"frames.npy": _npy(np.zeros((3, 4, 3), dtype=np.uint8))}, "broken frames"),
        ({"frames.npy": b"no array"}, "broken array"),
    ],
)
def test_broken_frames(members: dict[str, bytes], kind: str) -> None:
    with pytest.raises(BadSampleError) as found:
        _ = StoredSample("k", members).frames
    assert found.value.kind == kind


def test_sound_is_one_member() -> None:
    assert StoredSample("k", {"flac": b"s"}).sound == ("flac", b"s")
    for members in ({"wav": b"s", "mp3": b"s"}, {"ogg": b""}):
        with pytest.raises(BadSampleError, match="broken sound"):
            _ = StoredSample("k", members).sound


def test_boxes_with_and_without_labels() -> None:
    boxes = [[0, 1, 2.5, 3], {"box": [0, 0, 1, 1], "label": "dog"}, {"box": [0, 0, 1, 1]}]
    found = StoredSample("k", _json(boxes=boxes)).boxes
    assert found[0] == (0.0, 1.0, 2.5, 3.0, None)
    assert [box.label for box in found] == [None, "dog", None]
    wrong: list[object] = ["x", {"box": [0, 0, 1, 1], "label": []}, [[0, 0, 1]], [[2, 0, 1, 1]]]
    for listed in (*wrong, [[0, 0, 1, "1"]], [[0, 0, 1, float("inf")]], [[0, 1, 1, 1]]):
        entries = listed if isinstance(listed, list) else [listed]
        with pytest.raises(BadSampleError, match="broken boxes"):
            _ = StoredSample("k", _json(boxes=entries)).boxes
    with pytest.raises(BadSampleError, match="'boxes' of json is no list"):
        _ = StoredSample("k", _json(boxes="x")).boxes


def test_masks_are_png() -> None:
    found = StoredSample("k", {"png": PNG, "seg.png": PNG, "mask.png": PNG}).masks
    assert [mask.name for mask in found] == ["mask", "seg"]
    with pytest.raises(BadSampleError, match="broken mask"):
        _ = StoredSample("k", {"mask.png": b"JFIF"}).masks
