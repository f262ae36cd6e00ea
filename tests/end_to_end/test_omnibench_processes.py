"""Several processes ask an endpoint's questions once among them, and end alike."""

import json
from pathlib import Path

import pytest
import torch.distributed as dist

from benchmarks.support.omni_questions import write_github_form
from benchmarks.support.omni_server import OmniServer, letter_model
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.errors import UnansweredError
from eval.respondents.endpoint import Endpoint
from eval.respondents.endpoint_config import EndpointConfig, EndpointLimits
from eval.respondents.retry import Backoff
from eval.running.runner import run_benchmarks
from eval.running.selection import benchmarks_for
from tests.support.warm_processes import exit_codes, start

WORLD = 3
QUESTIONS = 4  # shares of equal size, filled up, would ask the last one twice


def _ask(rank: int, folder: Path, url: str, kind: str) -> None:
    """One of the processes: a store for all, a store for each, or none."""
    meeting = f"file://{folder}/meet"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=WORLD)
    limits = EndpointLimits(concurrency=2, backoff=Backoff(base=0.001, tries=2))
    model = Endpoint(EndpointConfig(url=url, model="m"), limits=limits)
    embedder = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1))
    if kind != "none":
        place = folder / ("store" if kind == "one" else f"store{rank}")
        embedder = StoredEmbedder(embedder, place, batch_size=4)
    benchmarks = benchmarks_for([str(folder / "questions")], tasks=["omnibench"])
    told: dict[str, object] = {}
    try:
        (one,) = run_benchmarks(model, benchmarks, embedder=embedder, out_dir=folder / "out")
        told = {"scores": one.result.to_dict()["scores"]}
    except UnansweredError as error:
        told = {"error": str(error)}
    (folder / f"rank{rank}.json").write_text(json.dumps(told))
    dist.destroy_process_group()


def _told(folder: Path, url: str, kind: str) -> list[dict[str, object]]:
    (folder / "meet").unlink(missing_ok=True)
    processes = [start(_ask, rank, folder, url, kind) for rank in range(WORLD)]
    assert exit_codes(processes) == [0] * WORLD
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(WORLD)]


@pytest.mark.parametrize("kind", ["one", "each", "none"])
def test_each_question_is_asked_once(tmp_path: Path, kind: str) -> None:
    write_github_form(tmp_path / "questions", QUESTIONS)
    with OmniServer(letter_model) as server:
        told = _told(tmp_path, server.url, kind)
        assert "scores" in told[0]
        assert told == [told[0]] * WORLD
        assert sorted(server.ledger.received.values()) == [1] * QUESTIONS


def test_a_question_that_fails_ends_all_alike_and_the_next_command_asks_it_alone(
    tmp_path: Path,
) -> None:
    write_github_form(tmp_path / "questions", QUESTIONS)
    with OmniServer(letter_model) as server:
        server.fail = "case 1?"
        told = _told(tmp_path, server.url, "one")
        assert "failed on purpose" in str(told[0]["error"])
        assert told == [told[0]] * WORLD
        assert sorted(server.ledger.received.values()) == [1, 1, 1, 2]
        server.fail = None
        assert "scores" in _told(tmp_path, server.url, "one")[0]
        assert sorted(server.ledger.received.values()) == [1, 1, 1, 3]
