"""Models that can only do some things are evaluated for those."""

from pathlib import Path

import numpy as np
import pytest
import torch

from eval.capabilities import (
    EMBEDS,
    EMBEDS_OR_RESPONDS,
    WRITES_CAPTIONS,
    device_of,
    lack_of,
)
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.errors import EvaluationError
from eval.running.probe import probe_model
from eval.running.runner import run_benchmarks
from eval.running.selection import benchmarks_for, select
from eval.running.validation import make_evaluators
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, write_evaluation_folder
from tests.support.reading_model import SmallReader


class OnlyCaptions:
    """A model that writes and nothing else.

    Args:
        word: what it says after the colours it sees.
    """

    def __init__(self, word: str = "there") -> None:
        self._reader = SmallReader()
        self._word = word
        self.name = "only-captions"
        self.fingerprint = "f" * 64
        self.device = torch.device("cpu")
        self.image_transform = self._reader.image_transform

    def caption(self, images, *, prompts=None, max_tokens: int, num_beams: int = 1) -> list[str]:
        """See ``Captioner``."""
        written = self._reader.caption(images, max_tokens=max_tokens)
        return [f"{text}{self._word}" for text in written]


class Elsewhere:
    """A respondent: it has a name and a fingerprint, and no device."""

    name = "elsewhere"
    fingerprint = "e" * 64

    def respond(self, questions):
        """See ``Respondent``."""
        return iter(())


def _data(root: Path) -> str:
    captions = [["red green blue"], ["green green red"], ["blue red"]]
    return str(write_evaluation_folder(root / "pairs", captioned(captions)))


def test_a_model_that_only_writes_is_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = select([_data(tmp_path)], tasks=("all",))
    assert len(chosen.benchmarks) > 2
    embedder = StoredEmbedder(
        StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1)),
        tmp_path / "cache",
        batch_size=4,
    )
    out = tmp_path / "out"
    (only,) = run_benchmarks(OnlyCaptions(), chosen.benchmarks, embedder=embedder, out_dir=out)
    assert only.result.benchmark == "captioning"
    assert only.result.num_samples == 3
    assert len(only.result.origin.model_probe) == 8
    told = capsys.readouterr().err
    assert "not measured: retrieval: model only-captions does not embed pictures" in told
    assert "not measured: retrieval_rerank: model only-captions does not embed pictures" in told

    (again,) = run_benchmarks(OnlyCaptions(), chosen.benchmarks, embedder=embedder, out_dir=out)
    assert again.was_there
    other = OnlyCaptions("here")
    (new,) = run_benchmarks(other, chosen.benchmarks, embedder=embedder, out_dir=out)
    assert not new.was_there


def test_it_is_refused_where_it_can_do_nothing(tmp_path: Path) -> None:
    embedder = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1))
    benchmarks = benchmarks_for([_data(tmp_path)])
    with pytest.raises(EvaluationError, match="model only-captions does not embed"):
        run_benchmarks(OnlyCaptions(), benchmarks, embedder=embedder, out_dir=tmp_path)


def test_during_training_too(tmp_path: Path) -> None:
    (evaluator,) = make_evaluators([_data(tmp_path)], tasks=("retrieval", "captioning"))
    assert [result.benchmark for result in evaluator(OnlyCaptions())] == ["captioning"]


def test_probe_by_what_the_model_can_do() -> None:
    assert len(probe_model(SmallClip())) == 16
    assert probe_model(SmallReader()) == probe_model(SmallClip())
    written = probe_model(OnlyCaptions())
    assert written == probe_model(OnlyCaptions())
    assert written != probe_model(OnlyCaptions("here"))
    assert all(0 <= number < 1 for number in written)
    assert len(probe_model(Elsewhere())) == 8
    assert not np.allclose(probe_model(Elsewhere()), written)


def test_what_a_model_lacks_is_said_in_words() -> None:
    assert lack_of(OnlyCaptions(), (WRITES_CAPTIONS,)) is None
    assert lack_of(Elsewhere(), (EMBEDS_OR_RESPONDS,)) is None
    lack = lack_of(Elsewhere(), (EMBEDS_OR_RESPONDS, EMBEDS))
    assert lack == "model elsewhere does not embed pictures and texts"
    assert device_of(Elsewhere()) == "cpu"
