"""JSON of a stranger: refused in one line where it is deep, large or none."""

import json
import os
from pathlib import Path

import pytest

from data_pipelines.bounded_files import media_bytes
from data_pipelines.bounded_json import (
    MOST_LEVELS,
    bounded_lines,
    json_lines,
    parsed_json,
    read_json,
    read_object,
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000 + "]" * 100_000, "levels"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "levels"),
        ("[" * (MOST_LEVELS + 1) + "]" * (MOST_LEVELS + 1), "levels"),
        ("9" * 100_000, "no JSON"),
        (b"\xff\xfe{}\0", "no JSON"),
        ("", "line 1"),
    ],
    ids=lambda value: str(value)[:8],
)
def test_what_cannot_be_parsed_is_one_line(text: str | bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        parsed_json(text)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


def test_as_deep_as_allowed() -> None:
    value = parsed_json("[" * MOST_LEVELS + "]" * MOST_LEVELS)
    assert json.dumps(value) == "[" * MOST_LEVELS + "]" * MOST_LEVELS


def test_files_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_object(path) == {"a": 1}
    with pytest.raises(ValueError, match="more than 5 bytes"):
        read_json(path, most_bytes=5)
    path.write_text("[]")
    with pytest.raises(ValueError, match="no JSON object"):
        read_object(path)
    with pytest.raises(ValueError, match="no regular file"):
        read_json(Path("/dev/zero"))


def test_lines_of_a_log_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_pipelines.bounded_json.MOST_LINE", 32)
    path = tmp_path / "a.jsonl"
    deep = "[" * 30
    path.write_text('{"a": 1}\r\n' + "x" * 200 + f'\n{deep}\n[2]\n{{"half": ')
    assert list(json_lines(path)) == [{"a": 1}, None, None, [2], None]
    assert [len(line) for line in bounded_lines(path)] == [8, 32, 30, 3, 9]


def test_files_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe", tmp_path):
        with pytest.raises(OSError, match="no regular file"):
            media_bytes(path)
    (tmp_path / "a.png").write_bytes(b"x" * 9)
    assert media_bytes(tmp_path / "a.png") == b"x" * 9
    monkeypatch.setattr("data_pipelines.bounded_files.MOST_MEDIA_BYTES", 8)
    with pytest.raises(OSError, match="more than 8 bytes"):
        media_bytes(tmp_path / "a.png")
