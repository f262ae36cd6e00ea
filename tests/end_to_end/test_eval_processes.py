"""Several processes must get what one process gets, with equally many model calls each."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch.distributed as dist

from eval.embedding import store as embedding_store
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.robustness.corruptions import CorruptionOptions
from eval.running.runner import run_benchmarks
from eval.running.selection import benchmarks_for
from eval.task_choices import TaskChoices
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, labelled, write_evaluation_folder
from tests.support.warm_processes import exit_codes, start


def _evaluate(rank: int, world_size: int, folder: Path) -> None:
    """One of the processes."""
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world_size
    )
    model = SmallClip()
    embedder = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1))
    data = [str(folder / "classes"), str(folder / "pairs")]
    for _ in range(2):  # the second time everything is there already
        finished = run_benchmarks(
            model, benchmarks_for(data), embedder=embedder, out_dir=folder / "out"
        )
    found = {
        "calls": model.image_batch_sizes,
        "was_there": [outcome.was_there for outcome in finished],
        "scores": [outcome.result.to_dict()["scores"] for outcome in finished],
    }
    (folder / f"rank{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


@pytest.mark.parametrize("world_size", [3])
def test_processes_agree_with_one(tmp_path: Path, world_size: int) -> None:
    samples = labelled(11, num_classes=3)
    samples[5]["png"] = b"broken"
    write_evaluation_folder(tmp_path / "classes", samples, class_names=("cat", "dog", "boat"))
    captions = [[f"text {i} {j}" for j in range(1 + i % 3)] for i in range(7)]
    write_evaluation_folder(tmp_path / "pairs", captioned(captions))
    data = [str(tmp_path / "classes"), str(tmp_path / "pairs")]
    alone = run_benchmarks(
        SmallClip(),
        benchmarks_for(data),
        embedder=StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1)),
        out_dir=tmp_path / "alone",
    )

    processes = [start(_evaluate, rank, world_size, tmp_path) for rank in range(world_size)]
    assert exit_codes(processes) == [0] * world_size

    found = [json.loads((tmp_path / f"rank{r}.json").read_text()) for r in range(world_size)]
    assert all(rank["calls"] == found[0]["calls"] for rank in found)
    assert all(rank["was_there"] == [True, True] for rank in found)
    expected = [outcome.result.to_dict()["scores"] for outcome in alone]
    assert all(rank["scores"] == expected for rank in found)
    for outcome in alone:
        assert (tmp_path / "out" / outcome.path.name).is_file()


_TASKS = ("zero_shot", "calibration", "corruptions")
_TWO_CELLS = CorruptionOptions(kinds=("fog",), severities=(1, 5))


def measure(
    folder: Path, name: str, *, batch_size: int, rows_in_part: int
) -> dict[str, np.ndarray]:
    """Three tasks on ``folder/classes`` from a store in ``folder/name``: its embeddings and rows.

    Under "calls" is how often the model was shown pictures.
    """
    embedding_store.ROWS_IN_PART = rows_in_part
    model = SmallClip()
    benchmarks = benchmarks_for(
        [str(folder / "classes")], tasks=_TASKS, choices=TaskChoices(options=(_TWO_CELLS,))
    )
    embedder = StoredEmbedder(
        StreamingEmbedder(decoder=StreamingDecoder(batch_size=batch_size, workers=1)),
        folder / name / "store",
        batch_size=batch_size,
    )
    out = folder / name / "results"
    run_benchmarks(model, benchmarks, embedder=embedder, out_dir=out)
    views = {v.key: v for b in benchmarks for need in b.needs() for v in need.views}
    found = {}
    for view in views.values():
        images = embedder.images(model, benchmarks[0].dataset, view)
        found |= {f"{view.key} embeds": images.embeds.numpy(), f"{view.key} rows": images.rows}
    return found | {"calls": np.array(len(model.image_batch_sizes))}


def _measure_together(rank: int, folder: Path) -> None:
    """One of two processes."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = measure(folder, "together", batch_size=4, rows_in_part=8)
    np.savez(folder / f"rank{rank}.npz", **found)
    dist.destroy_process_group()


def test_two_processes_fill_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_store, "ROWS_IN_PART", embedding_store.ROWS_IN_PART)
    samples = labelled(30, num_classes=3)
    samples[5]["png"] = b"broken"
    samples[20]["png"] = samples[2]["png"]
    write_evaluation_folder(tmp_path / "classes", samples, class_names=("cat", "dog", "boat"))

    processes = [start(_measure_together, rank, tmp_path) for rank in range(2)]
    alone = measure(tmp_path, "alone", batch_size=32, rows_in_part=1024)
    assert exit_codes(processes) == [0, 0]

    stored = [key for key in alone if key != "calls"]
    assert len(stored) == 2 * 4  # the plain view, the crop, two cells
    for rank in range(2):
        with np.load(tmp_path / f"rank{rank}.npz") as found:
            # A probe, then of 4 views half of the 4 parts, each of 2 batches.
            assert found["calls"] == 1 + 4 * 2 * 2
            for key in stored:
                assert found[key].shape == alone[key].shape
                assert len(found[key]) == 29
                assert np.abs(found[key] - alone[key]).max() <= 1e-6
    together = tmp_path / "together" / "results"
    paths = sorted((tmp_path / "alone" / "results").iterdir())
    assert len(paths) == len(list(together.iterdir())) == 3
    for path in paths:
        expected = json.loads(path.read_text())
        found = json.loads((together / path.name).read_text())
        assert found["per_image"] == expected["per_image"]
        assert found["num_samples"] == expected["num_samples"]
        assert found["scores"].keys() == expected["scores"].keys()
        for name, score in expected["scores"].items():
            assert found["scores"][name]["value"] == pytest.approx(score["value"], abs=1e-6)
