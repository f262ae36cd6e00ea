"""Detections of two processes are those of one, and the command's own way takes a detector."""

import json
from pathlib import Path

import torch.distributed as dist

import vlsuite
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.running.runner import run_benchmarks
from eval.running.selection import benchmarks_for
from tests.support.noisy_detector import NoisyDetector, write_scenes
from tests.support.warm_processes import exit_codes, start


def _model() -> NoisyDetector:
    return NoisyDetector(noise=1.0, wrong=0.2, false=2, masks=True)


def _detect(rank: int, folder: Path) -> None:
    """One of two processes."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    embedder = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1))
    benchmarks = benchmarks_for([str(folder / "scenes")], tasks=["detection"])
    finished = run_benchmarks(_model(), benchmarks, embedder=embedder, out_dir=folder / "out")
    (folder / f"rank{rank}.json").write_text(json.dumps(finished[0].result.to_dict()["scores"]))
    dist.destroy_process_group()


def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes", 11, files={"scene_003.png": b"broken"})
    alone = vlsuite.evaluate(
        _model(), tmp_path / "scenes", tasks=["detection"], out=tmp_path / "alone"
    )[0]
    assert alone.num_samples == 10
    processes = [start(_detect, rank, tmp_path) for rank in range(2)]
    assert exit_codes(processes) == [0, 0]
    for rank in range(2):
        assert json.loads((tmp_path / f"rank{rank}.json").read_text()) == alone.to_dict()["scores"]
