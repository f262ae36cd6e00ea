"""Several processes must get what one process gets, with equally many model calls each."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from eval.decode import StreamingDecoder
from eval.embed import StreamingEmbedder
from eval.runner import run_benchmarks
from eval.suite import benchmarks_for
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, labelled, write_evaluation_folder

_SCRIPT = """
import json, sys
from pathlib import Path
import torch.distributed as dist
from eval.decode import StreamingDecoder
from eval.embed import StreamingEmbedder
from eval.runner import run_benchmarks
from eval.suite import benchmarks_for
from tests.support.embedding_model import SmallClip

rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
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
"""


@pytest.mark.parametrize("world_size", [2, 3])
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

    processes = [
        subprocess.Popen([sys.executable, "-c", _SCRIPT, str(rank), str(world_size), str(tmp_path)])
        for rank in range(world_size)
    ]
    assert [process.wait(timeout=240) for process in processes] == [0] * world_size

    found = [json.loads((tmp_path / f"rank{r}.json").read_text()) for r in range(world_size)]
    assert all(rank["calls"] == found[0]["calls"] for rank in found)
    assert all(rank["was_there"] == [True, True] for rank in found)
    expected = [outcome.result.to_dict()["scores"] for outcome in alone]
    assert all(rank["scores"] == expected for rank in found)
    for outcome in alone:
        assert (tmp_path / "out" / outcome.path.name).is_file()
