"""Sounds and videos that are damaged, endless, or lists of other files."""

import io
import struct
import wave

from benchmarks.hostile_inputs.place import Hostile, Place, add_many, tar_of, write

_PLAYLIST = b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXTINF:10,\nhttp://127.0.0.1:9/x\n"
_CONCAT = b"ffconcat version 1.0\nfile '/etc/passwd'\n"


def wave_file(seconds: float = 0.5) -> bytes:
    """A sound of one channel."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(b"\x10\x20" * int(8000 * seconds))
    return stream.getvalue()


def _lying_wave() -> bytes:
    data = bytearray(wave_file())
    data[4:8] = data[40:44] = struct.pack("<I", 0xFFFFFFF0)
    return bytes(data)


def _rate_of(rate: int) -> bytes:
    data = bytearray(wave_file())
    data[24:28] = struct.pack("<I", rate)
    return bytes(data)


def _box(kind: bytes, body: bytes, size: int | None = None) -> bytes:
    return struct.pack(">I", len(body) + 8 if size is None else size) + kind + body


def _deep_mp4() -> bytes:
    body = b""
    for _ in range(20_000):
        body = _box(b"moov", body)
    return _box(b"ftyp", b"isom\0\0\0\0isom") + body


_SOUNDS = {
    "lying_wave": _lying_wave(),
    "rate_zero": _rate_of(0),
    "rate_of_gigahertz": _rate_of(2_000_000_000),
    "rate_one": _rate_of(1),
    "truncated_ogg": b"OggS\0\x02" + b"\0" * 20,
    "flac_lying": b"fLaC\x80\0\0\x22" + b"\xff" * 34,
    "playlist": _PLAYLIST,
    "empty": b"",
    "long_silence": wave_file(600.0),
}
_VIDEOS = {
    "playlist": _PLAYLIST,
    "concat": _CONCAT,
    "deep_boxes": _deep_mp4(),
    "box_of_gigabytes": _box(b"ftyp", b"isom\0\0\0\0isom") + _box(b"mdat", b"x", size=0x7FFFFFFF),
    "zero_box": _box(b"ftyp", b"isom\0\0\0\0isom") + _box(b"moov", b"", size=0) * 100,
    "garbage": b"\x1aE\xdf\xa3" + b"\xff" * 5000,
    "truncated_avi": b"RIFF" + struct.pack("<I", 1 << 30) + b"AVI LIST",
}


def _sounds(data: bytes) -> Hostile:
    def make(place: Place) -> list[str]:
        members = {"0.wav": data, "0.txt": b"a", "1.wav": wave_file(), "1.txt": b"good"}
        write(place.inputs / "a.tar", tar_of(members))
        return [
            "data", "sounds", str(place.inputs), "--member", "wav", "--out", str(place.target),
        ]  # fmt: skip

    return make


def _videos(data: bytes) -> Hostile:
    def make(place: Place) -> list[str]:
        members = {}
        for number in range(4):
            members |= {f"{number}.mp4": data, f"{number}.txt": b"a clip"}
        write(place.inputs / "a.tar", tar_of(members))
        return ["data", "validate", str(place.inputs)]

    return make


add_many("sounds", {name: _sounds(data) for name, data in _SOUNDS.items()})
add_many("videos", {name: _videos(data) for name, data in _VIDEOS.items()})
