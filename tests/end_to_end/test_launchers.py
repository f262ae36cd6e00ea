"""The same ``vlsuite train`` under torchrun, DeepSpeed's launcher and Slurm's variables."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runs import make_shards
from tests.support.warm_processes import command, exit_codes, start_command, start_ranks
from tests.support.words import CONTEXT_LENGTH, word_tokenizer_folder

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("launchers"), num_samples=64)


def _train(shards, out):
    return [
        *("train", "cifar10", "--out", str(out), "--set", f"data.train={shards}"),
        *("--set", "duration=2steps", "--set", "global_batch_size=8"),
        *("--set", "data.num_workers=0", "--set", f"model.tokenizer={word_tokenizer_folder()}"),
        *("--set", f"model.context_length={CONTEXT_LENGTH}", "--set", "logging.every=1steps"),
        *("--set", "threads=1"),
    ]


def _logged(out):
    assert (out / "export" / "open_clip_config.json").is_file()
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["kind"] == "train"]


def _losses(launch, out):
    env = {**os.environ, "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}
    env["PATH"] = f"{BIN}{os.pathsep}{env['PATH']}"
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        env.pop(name, None)
    done = subprocess.run(launch, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return _logged(out)


def _losses_under_slurm(shards, out):
    """Slurm has no launcher of ours to start: its variables are all that there is."""
    step = {"PROCID": "0", "NTASKS": "1", "LOCALID": "0", "STEP_ID": "0", "JOB_ID": "7"}
    variables = {f"SLURM_{name}": value for name, value in step.items()}
    log = out.with_suffix(".log")
    process = start_command(
        *_train(shards, out), log=log, environment=variables | {"MASTER_ADDR": "127.0.0.1"}
    )
    assert exit_codes([process]) == [0], log.read_text()[-3000:]
    return _logged(out)


def test_every_launcher_trains_the_same_run(shards, tmp_path):
    hostfile = tmp_path / "hosts"
    hostfile.write_text("localhost slots=2\n")
    torchrun = _losses(
        [
            BIN / "torchrun",
            "--nproc-per-node",
            "2",
            "--no-python",
            BIN / "vlsuite",
            *_train(shards, tmp_path / "a"),
        ],
        tmp_path / "a",
    )
    deepspeed = _losses(
        [
            *(BIN / "deepspeed", "--hostfile", hostfile, "--no_ssh", "--node_rank", "0"),
            *(
                "--master_addr",
                "127.0.0.1",
                "--no_python",
                BIN / "vlsuite",
                *_train(shards, tmp_path / "b"),
            ),
        ],
        tmp_path / "b",
    )
    assert deepspeed == torchrun
    assert _losses_under_slurm(shards, tmp_path / "c") == pytest.approx(torchrun, abs=1e-5)


def _losses_of_two(words, out):
    log = out.with_suffix(".log")
    codes = exit_codes(start_ranks(2, command, [str(word) for word in words], log=log))
    assert codes == [0, 0], log.read_text()[-3000:]
    return _logged(out)


def test_two_processes_evaluate_and_resume(shards, tmp_path):
    """Validation inside training and a resume, both with two processes under ZeRO 3."""
    out = tmp_path / "run"
    partitioned = ["--set", "deepspeed=zero3", "--set", f"validation.data=retrieval={shards}"]
    first = _losses_of_two([*_train(shards, out), *partitioned], out)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines].count("eval") == 1
    resumed = ["train", "cifar10", "--out", str(out), "--resume", "--set", "duration=3steps"]
    assert len(_losses_of_two(resumed, out)) > len(first)
