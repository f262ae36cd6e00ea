"""Captions, answers and matching logits of two processes are those of one."""

import json
from pathlib import Path

import torch.distributed as dist

from eval.embedding import pair_logits
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.generation import written
from eval.running.runner import run_benchmarks
from eval.running.selection import benchmarks_for
from tests.support.evaluation_data import captioned, noise_png, write_evaluation_folder, write_tar
from tests.support.reading_model import SmallReader
from tests.support.warm_processes import exit_codes, start


def _write(rank: int, folder: Path, data: list[tuple[str, list[str]]]) -> None:
    """One of two processes."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    written._IMAGES_AT_A_TIME = pair_logits._IMAGES_AT_A_TIME = 3
    embedder = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1))
    found = {}
    for path, tasks in data:
        benchmarks = benchmarks_for([path], tasks=tasks)
        finished = run_benchmarks(
            SmallReader(), benchmarks, embedder=embedder, out_dir=folder / "out"
        )
        found |= {one.result.benchmark: one.result.to_dict()["scores"] for one in finished}
    (folder / f"rank{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def _data(root: Path) -> list[tuple[str, list[str]]]:
    samples = captioned([[f"red {i}", f"blue {i % 4}"][: 1 + i % 2] for i in range(11)])
    samples[6]["png"] = b"broken"
    pairs = write_evaluation_folder(root / "pairs", samples)
    asked = [
        {"png": noise_png(i // 2), "json": b'{"question": "left?", "answers": ["red", "blue"]}'}
        for i in range(7)
    ]
    questions = write_tar(root / "questions.tar", asked)
    return [(str(pairs), ["captioning", "retrieval_rerank"]), (str(questions), ["vqa"])]


def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    data = _data(tmp_path)
    embedder = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1))
    alone = {}
    for path, tasks in data:
        finished = run_benchmarks(
            SmallReader(),
            benchmarks_for([path], tasks=tasks),
            embedder=embedder,
            out_dir=tmp_path / "alone",
        )
        alone |= {one.result.benchmark: one.result.to_dict()["scores"] for one in finished}

    processes = [start(_write, rank, tmp_path, data) for rank in range(2)]
    assert exit_codes(processes) == [0, 0]

    for rank in range(2):
        assert json.loads((tmp_path / f"rank{rank}.json").read_text()) == alone
    assert set(alone) == {"captioning", "retrieval_rerank", "vqa"}
