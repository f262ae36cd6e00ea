"""The commands under "Detectors of any names" in vlsuite/README.md, from scenes to boxes."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.support.detection_files import jpeg
from vlsuite.cli.main import main

README = Path(__file__).parents[2] / "vlsuite" / "README.md"

#: What makes each command fit into a test.
_SMALL = {
    "data build": "--train 16 --validation 2 --test 3 --teacher-pairs 8",
    "train emoji": "--set global_batch_size=4 --set duration=2steps --set data.num_workers=0 "
    "--set optim.warmup_steps=1",
    "train vild_small": "--set global_batch_size=4 --set duration=2steps --set data.num_workers=0 "
    "--set model.sizes=64 --set model.network.heads.width=64 "
    "--set optim.warmup_steps=1",
    "data region-embeddings": "--set model.sizes=64 --keep 3",
    "eval runs/vild": "--set detection.max_detections=20 --no-cache",
    "detect photos": "--no-cache --threshold 0 --max-detections 4",
}


def _commands() -> list[list[str]]:
    section = README.read_text(encoding="utf-8").partition("\n## Detectors of any names\n")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    lines = block[1].replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.timeout(900)
def test_the_commands_work_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(jpeg(200, 170, seed=number))
    commands = _commands()
    assert len(commands) == 7
    for command in commands:
        assert main(command + _SMALL[" ".join(command[:2])].split()) == 0, command
    out = capsys.readouterr().out
    assert "box AP50, novel, %" in out, out
    found = json.loads((tmp_path / "found" / "detections.json").read_text())
    assert [one["name"] for one in found["categories"]] == ["a red car", "a dog"]
    assert len(found["annotations"]) == 12
    again = ["data", "build", "detection", "found/detections.json"]
    assert main([*again, "--images", "photos", "--out", "data/found"]) == 0
