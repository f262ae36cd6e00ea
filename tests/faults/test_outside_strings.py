"""A data set whose every string a terminal would obey: no command says or stores one of them."""

import io
import json
import re
import tarfile
from pathlib import Path

import pytest

from tests.support.exported_models import exported_model
from tests.support.pictures import encoded, noise
from vlsuite.cli.main import main

OBEYED = "\x1b[31mx\x1b]0;t\x07\rFAKE\x9b2J\u202egnp\u2066"
_SEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SHOWN = ("*.html", "*.md", "*.json", "*.jsonl", "*.txt", "*.log", "*.tsv", "*.csv")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard with such a name, such keys, suffixes, captions and JSON."""
    folder = tmp_path_factory.mktemp("hostile")
    path = folder / f"{OBEYED}.tar"
    with tarfile.open(path, "w") as tar:
        for number in range(6):
            key = f"{number}{OBEYED}"
            told = {"uid": f"{OBEYED}{number}", OBEYED: OBEYED, "label": 0}
            members = {
                "png": encoded(noise(32, 32)) if number else b"no picture",
                "txt": f"{OBEYED} {number}".encode(),
                "json": json.dumps(told).encode(),
                OBEYED: b"x",
            }
            for suffix, data in members.items():
                entry = tarfile.TarInfo(f"{key}.{suffix}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported_model(tmp_path_factory.mktemp("models") / f"m{OBEYED}")


COMMANDS = {
    "validate": ["data", "validate", "SHARD"],
    "inspect": ["data", "inspect", "SHARD", "--contact-sheet", "OUT/sheet.png"],
    "index": ["data", "index", "SHARD"],
    "build": ["data", "build", "shards", "SHARD", "--out", "OUT/set"],
    "noise": ["data", "noise", "SHARD", "--mismatched", "0.5", "--out", "OUT/noise"],
    "tokenizer": ["data", "tokenizer", "SHARD", "--vocab-size", "300", "--out", "OUT/tokens"],
    "retrieval": ["eval", "MODEL", "--data", "SHARD", "--task", "retrieval", "--out", "OUT/r",
                  "--no-cache", "--workers", "1"],
    "concepts": ["data", "concepts", "SHARD", "--model", "MODEL", "--from-captions", "2",
                 "--out", "OUT/concepts.jsonl"],
    "no model": ["eval", OBEYED, "--data", "SHARD"],
    "no shard": ["data", "validate", f"gone{OBEYED}"],
    "no setting": ["train", "emoji", "--set", f"{OBEYED}=1"],
    "no recipe": ["train", OBEYED],
    "no flag": ["data", "validate", f"--{OBEYED}"],
    "no source": ["data", "build", OBEYED],
    "no report": ["report", OBEYED],
    "no table": ["data", "build", "table", f"{OBEYED}.csv", "--out", "OUT/t"],
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_obeyed_is_said_or_stored(
    name: str,
    hostile: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    named = {"SHARD": str(hostile), "MODEL": str(model)}
    words = [named.get(word, word.replace("OUT/", f"{out}/")) for word in COMMANDS[name]]
    try:
        code = main(words)
    except SystemExit as stop:
        code = stop.code
    said = capfd.readouterr()
    assert code in (0, 1, 2)
    assert "Traceback" not in said.err
    for text in (said.out, said.err):
        assert not _SEEN.search(text), ascii(text)
    if code == 2:
        assert len(re.findall("^(?:vlsuite.*: )?error: ", said.err, re.MULTILINE)) == 1
    for path in (path for kind in _SHOWN for path in out.rglob(kind)):
        if path.is_file() and "tokens" not in path.parts:
            assert not _SEEN.search(path.read_text(encoding="utf-8")), path
