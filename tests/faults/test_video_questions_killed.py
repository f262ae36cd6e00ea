"""A command that is killed while it asks about videos goes on, and pays for no answer twice."""

import json
import time
from pathlib import Path

import pytest

from benchmarks.support.omni_server import OmniServer
from tests.support.video_questions import looking, write_vinoground
from tests.support.warm_processes import start_command
from vlsuite.cli.main import main


def test_killed_and_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    data = write_vinoground(tmp_path / "data", pairs=4)
    with OmniServer(looking, delay=0.3) as server:
        words = ["eval", f"{server.url}#eyes", "--data", str(data), "--task", "video_questions"]
        words += ["--device", "cpu", "--cache", str(tmp_path / "cache")]
        words += ["--set", "video.frames=2", "--set", "model.concurrency=1"]
        running = start_command(*words, "--out", tmp_path / "out", log=tmp_path / "log")
        stored = tmp_path / "home" / "vlsuite" / "answers"
        until = time.monotonic() + 120
        while len(list(stored.rglob("*.json"))) < 3 and time.monotonic() < until:
            time.sleep(0.02)
        running.kill()
        running.join()
        kept = {path.stem for path in stored.rglob("*.json")}
        assert 3 <= len(kept) < 16
        before = dict(server.ledger.received)
        server.delay = 0
        assert main([*words, "--out", str(tmp_path / "out")]) == 0
        assert all(server.ledger.received[key] == before[key] for key in kept)
        assert sum(server.ledger.received.values()) <= 17  # one was under way
        assert main([*words, "--out", str(tmp_path / "new"), "--set", "model.no_cache=true"]) == 0
        assert sum(server.ledger.received.values()) <= 17  # whole groups are kept beside the cache
    one, two = (json.loads(next((tmp_path / f).glob("*.json")).read_text()) for f in ("out", "new"))
    assert one["scores"] == two["scores"]
    assert one["scores"]["group_score"]["value"] == 1
