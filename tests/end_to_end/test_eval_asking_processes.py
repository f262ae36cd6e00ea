"""Answers about videos of two processes are those of one, and each question is asked once."""

import json
from pathlib import Path

import torch.distributed as dist

from benchmarks.support.omni_server import OmniServer
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.respondents.endpoint import Endpoint
from eval.respondents.endpoint_config import EndpointConfig
from eval.running.runner import run_benchmarks
from eval.running.selection import benchmarks_for
from eval.task_choices import TaskChoices
from eval.video import kept_answers
from eval.video.options import VideoOptions
from tests.support.video_questions import looking, write_vinoground
from tests.support.warm_processes import exit_codes, start


def _scores(url: str, data: Path, folder: Path) -> dict:
    streaming = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1))
    (done,) = run_benchmarks(
        Endpoint(EndpointConfig(url=url, model="eyes")),
        benchmarks_for(
            [str(data)],
            tasks=["video_questions"],
            choices=TaskChoices(options=(VideoOptions(frames=(2,)),)),
        ),
        embedder=StoredEmbedder(streaming, folder / "cache", batch_size=4),
        out_dir=folder / "out",
    )
    return done.result.to_dict()["scores"]


def _ask(rank: int, url: str, data: Path, folder: Path) -> None:
    """One of two processes."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    kept_answers._QUESTIONS = 3
    (folder / f"rank{rank}.json").write_text(json.dumps(_scores(url, data, folder)))
    dist.destroy_process_group()


def test_two_processes_ask_each_question_once(tmp_path: Path) -> None:
    data = write_vinoground(tmp_path / "data", pairs=4)
    with OmniServer(looking) as server:
        processes = [start(_ask, rank, server.url, data, tmp_path) for rank in range(2)]
        assert exit_codes(processes) == [0, 0]
        assert sorted(server.ledger.received.values()) == [1] * 16
        alone = _scores(server.url, data, tmp_path / "alone")
    for rank in range(2):
        assert json.loads((tmp_path / f"rank{rank}.json").read_text()) == alone
    assert alone["group_score"]["value"] == 1
