"""A run on several columns of captions by the real commands: counted, continued, or refused."""

import json
from pathlib import Path

from data_pipelines.captions.column_file import ShardTexts, write_column
from data_pipelines.shards.find import find_shards
from data_pipelines.subsets.subset import ShardIdentity
from tests.support.runs import make_shards, small_config
from vlsuite.api.training import train
from vlsuite.cli.main import main

STEPS = 3


def _column(shards: Path, path: Path, word: str) -> None:
    identities = [ShardIdentity.of(shard) for shard in find_shards(shards)]
    texts = [ShardTexts(one.name, one.content, [word] * one.num_samples) for one in identities]
    write_column(path, texts, name="other", provenance={})


def _resume(run: Path, capsys, *more: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["train", "--resume", f"--out={run}", *(f"--set={text}" for text in more)])
    return code, capsys.readouterr().err.strip()


def test_captions_are_counted_and_others_are_no_continuation(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shards, run, file = make_shards(tmp_path), tmp_path / "run", tmp_path / "column.captions"
    _column(shards, file, "red")
    settings = [f"data.captions=own,{file}", "data.caption_weights=1,3", "logging.every=1steps"]
    config = small_config(shards, f"duration={STEPS}steps", "checkpoint.every=3steps", *settings)
    train(config, out=run)
    said = capsys.readouterr().err
    assert "captions are drawn from own 25.0%; other 75.0%, which 100.0% of samples have" in said
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    counted = rows[-1]["samples"]["captions"]
    assert sum(counted.values()) == STEPS * config.global_batch_size
    assert counted["other"] > counted["own"] > 0

    _column(shards, file, "blue")
    code, said = _resume(run, capsys, "duration=4steps")
    assert code == 2
    assert "captions other holds other content" in said.splitlines()[-1]
    _column(shards, file, "red")
    code, said = _resume(run, capsys, "duration=4steps", "data.caption_weights=1,1")
    assert code == 0, said
    assert "warning: the training shards, their subset or mixture, captions" in said
