"""No number of one model is ever given for another: stores, finished results and memories."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from eval.capabilities import identity_of
from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.running.runner import run_benchmarks
from eval.running.selection import benchmarks_for
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, write_tar
from tests.support.exported_models import exported_model
from vlsuite.models.opening import open_model

STREAMING = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1))


def edited(folder: Path, **changes) -> str:
    """The same folder, the same weights, another architecture."""
    path = folder / "open_clip_config.json"
    stored = json.loads(path.read_text())
    stored["model_cfg"] |= changes
    path.write_text(json.dumps(stored))
    return str(folder)


@pytest.fixture
def pairs(tmp_path):
    return str(write_tar(tmp_path / "data" / "a.tar", captioned([[str(i)] for i in range(12)])))


def test_a_folder_whose_activation_was_changed_gets_numbers_of_its_own(tmp_path, pairs):
    folder = exported_model(tmp_path / "model")
    store = StoredEmbedder(STREAMING, tmp_path / "cache", batch_size=4)
    dataset = open_dataset(pairs)
    texts = ["a", "two words"]
    for changes in ({}, {"quick_gelu": True}, {}):
        model = open_model(edited(folder, **changes))
        kept = store.images(model, dataset).embeds
        assert kept.equal(STREAMING.images(model, dataset).embeds)
        assert store.texts(model, texts).equal(STREAMING.texts(model, texts))
    assert len([p for p in (tmp_path / "cache").iterdir() if p.is_dir()]) == 2


def test_a_finished_result_of_another_model_is_not_given_out(tmp_path, pairs):
    folder, out = exported_model(tmp_path / "model"), tmp_path / "results"

    def run(model):
        (only,) = run_benchmarks(
            model, benchmarks_for([pairs], tasks=["retrieval"]), embedder=STREAMING, out_dir=out
        )
        return only

    plain = run(open_model(str(folder)))
    assert run(open_model(str(folder))).was_there
    path = folder / "open_clip_model.safetensors"
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    weights["logit_scale"] += 1.0  # changes probabilities, and no probe embedding
    save_file(weights, path)
    other = run(open_model(str(folder)))
    assert not other.was_there
    assert other.result.origin.model_probe == plain.result.origin.model_probe
    assert other.result.origin.model_fingerprint != plain.result.origin.model_fingerprint
    assert len(list((out / "superseded").iterdir())) == 1


def test_a_result_of_an_earlier_version_is_measured_again(tmp_path, pairs):
    model, out = SmallClip(), tmp_path / "results"
    benchmarks = benchmarks_for([pairs], tasks=["retrieval"])
    (first,) = run_benchmarks(model, benchmarks, embedder=STREAMING, out_dir=out)
    stored = json.loads(first.path.read_text())
    del stored["origin"]["model_fingerprint"]
    first.path.write_text(json.dumps(stored))
    (again,) = run_benchmarks(model, benchmarks, embedder=STREAMING, out_dir=out)
    assert not again.was_there


def test_scale_bias_and_words_belong_to_what_is_remembered(tmp_path):
    """The outcome of an attack depends on the logit scale, and no embedding does."""
    store = StoredEmbedder(STREAMING, tmp_path, batch_size=4)
    model = SmallClip()
    assert store.remembered(model, "attack", lambda: np.array([1])).tolist() == [1]
    before = identity_of(model)
    model.logit_scale = 50.0
    assert identity_of(model) != before
    assert store.remembered(model, "attack", lambda: np.array([2])).tolist() == [2]
    model.logit_scale = 100.0
    assert store.remembered(model, "attack", lambda: np.array([3])).tolist() == [1]


def test_another_version_of_a_library_computes_anew(tmp_path, monkeypatch):
    store = StoredEmbedder(STREAMING, tmp_path, batch_size=4)
    model = SmallClip()
    store.remembered(model, "key", lambda: np.array([1]))
    monkeypatch.setattr("eval.embedding.store._versions", lambda: {"torch": "other"})
    assert store.remembered(model, "key", lambda: np.array([2])).tolist() == [2]
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert store.remembered(model, "key", lambda: np.array([3])).tolist() == [3]
    finally:
        torch.set_float32_matmul_precision(before)
