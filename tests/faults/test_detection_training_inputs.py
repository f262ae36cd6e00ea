"""Odd annotations in the shards of a detector's training: used, or counted by name."""

import json
import math

import pytest

from data_pipelines.schema import make_uid
from data_pipelines.settings import apply_overrides
from tests.support.detectors import VOCABULARY, square_members, tiny_config
from tests.support.runs import run_to_end
from tests.support.shards import write_tar
from vlsuite.cli.main import main
from vlsuite.engine.config import TrainConfig
from vlsuite.objectives.vild import VildObjectiveConfig

#: What becomes of a sample's boxes, and whether the sample is skipped.
_ODD = (
    (lambda boxes: [], False),
    (lambda boxes: [boxes[0] | {"box": [90, 90, 99, 99]}], False),
    (lambda boxes: [boxes[0] | {"label": "nothing known"}], True),
    (lambda boxes: [boxes[0] | {"box": [5, 5, 5, 9]}], True),
    (lambda boxes: [boxes[0] | {"box": [1, 2, "x", 4]}], True),
)


def test_odd_boxes_are_used_or_counted(tmp_path):
    members: list[tuple[str, bytes]] = []
    for number in range(15):
        fields, data = square_members(number)
        if number < len(_ODD):
            fields["boxes"] = _ODD[number][0](fields["boxes"])
        uid = make_uid("squares", str(number), data)
        members += [
            (f"{uid}.png", data), (f"{uid}.json", json.dumps(fields | {"uid": uid}).encode())
        ]  # fmt: skip
    write_tar(tmp_path / "squares" / "squares-00000.tar", members)
    (tmp_path / "squares" / "categories.json").write_bytes(VOCABULARY.to_bytes())
    config = apply_overrides(
        TrainConfig(
            model=tiny_config("supervised", vocabulary=str(tmp_path / "squares")),
            objective=VildObjectiveConfig(),
        ),
        [
            f"data.train={tmp_path / 'squares'}",
            "data.num_workers=0",
            "data.max_skip_share=0.5",
            "global_batch_size=4",
            "duration=3steps",
            "logging.every=1steps",
            "threads=1",
        ],
    )
    _, losses = run_to_end(config, tmp_path / "run")
    assert all(math.isfinite(loss) for loss in losses)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text()
    for reason in ("unknown label", "broken boxes"):
        assert reason in lines


@pytest.mark.parametrize("content", ['{"format_version": 1, "categories": []}', "{}", None])
def test_an_empty_vocabulary_is_one_line(tmp_path, capsys, content):
    (tmp_path / "squares").mkdir()
    if content is not None:
        (tmp_path / "squares" / "categories.json").write_text(content)
    given = ["train", "vild_small", "--set", f"data.train={tmp_path}", "--out", str(tmp_path / "r")]
    assert main([*given, "--set", f"model.vocabulary={tmp_path / 'squares'}"]) == 2
    told = capsys.readouterr().err.strip()
    assert "categories.json" in told
    assert len(told.splitlines()) == 1
