"""Videos evaluated by two processes: what one process gets, each process decoding its share."""

import json
import os
import shutil
from pathlib import Path

import pytest

from data_pipelines.video.process import VideoProcess
from eval.results import load_result
from tests.support.motion import motion_clips, write_clips
from tests.support.shards import write_tar
from tests.support.warm_processes import exit_codes, start_ranks
from vlsuite.api.evaluation import evaluate


class Reader:
    """Made in each process: a model that sees order, and counts its calls."""

    def __new__(cls):
        from tests.parity.test_eval_video_tasks import ClipReader

        class Counting(ClipReader):
            calls = 0

            def embed_clips(self, clips):
                """As ``ClipReader``."""
                self.calls += 1
                return super().embed_clips(clips)

        return Counting()


OPTIONS = {"video.frames": (1, 4), "video.batch_frames": 8, "num_examples": 2}
TASKS = ["video_order", "video_retrieval"]


def measure(folder: Path, out: Path, cache: Path) -> dict:
    """What one process finds: scores, calls of the model, and clips that it decoded."""
    decoded = []
    parts = VideoProcess.sample_in_parts

    def counting(self, video, *arguments, **settings):
        decoded.append(len(video))
        return parts(self, video, *arguments, **settings)

    VideoProcess.sample_in_parts = counting
    try:
        model = Reader()
        results = evaluate(
            model, folder / "clips", tasks=TASKS, options=OPTIONS, out=out, cache=cache
        )
    finally:
        VideoProcess.sample_in_parts = parts
    found = [result.to_dict() for result in results]
    for one in found:
        cost = one["details"].pop("cost")
        assert cost["model"]["seconds_per_clip"] > 0
        one.pop("origin")
    return {"results": found, "calls": model.calls, "decoded": len(decoded)}


def worker(root: Path) -> None:
    """One of the processes: measures, then again from what was kept, then after a loss."""
    from vlsuite.engine.distributed import start_distributed

    ctx = start_distributed(threads=1)
    rank = os.environ["RANK"]
    first = measure(root, root / "out", root / "cache")
    again = measure(root, root / "out_again", root / "cache")
    # The disks of two machines: one has what was kept, the other has not.
    own = root / f"cache{rank}"
    if rank == "0":
        shutil.copytree(root / "cache", own)
    ctx.barrier()
    apart = measure(root, root / "out_apart", own)
    text = json.dumps({"first": first, "again": again, "apart": apart})
    (root / f"rank{rank}.json").write_text(text)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Seven clips, one of them broken, and what two processes make of them."""
    root = tmp_path_factory.mktemp("video")
    write_clips(root / "clips", motion_clips(6, num_frames=8, side=32))
    broken = [("bad.mp4", b"\0" * 500), ("bad.txt", b"broken")]
    write_tar(root / "clips" / "pairs-000001.tar", broken)
    log = root / "log"
    codes = exit_codes(start_ranks(2, worker, root, log=log))
    assert codes == [0, 0], log.read_text()[-3000:]
    return root


def test_two_processes_equal_one(root, tmp_path):
    alone = json.loads(json.dumps(measure(root, tmp_path / "out", tmp_path / "cache")))
    found = [json.loads((root / f"rank{rank}.json").read_text()) for rank in range(2)]
    for rank in found:
        for run in ("first", "again", "apart"):
            assert rank[run]["results"] == alone["results"], run
    assert len(list((root / "out").glob("*.json"))) == 4
    for path in (root / "out").glob("*.json"):
        assert load_result(path).num_samples == 6


def test_each_process_decodes_its_share_and_calls_the_model_equally_often(root, tmp_path):
    alone = measure(root, tmp_path / "out", tmp_path / "cache")
    found = [json.loads((root / f"rank{rank}.json").read_text()) for rank in range(2)]
    first = [rank["first"] for rank in found]
    assert first[0]["calls"] == first[1]["calls"] > 0
    strips = alone["decoded"] - 4 * 7  # of examples, which every process makes
    assert [one["decoded"] - strips for one in first] == [4 * 4] * 2
    assert [rank["again"]["calls"] for rank in found] == [0, 0]
    assert [rank["apart"]["calls"] for rank in found] == [one["calls"] for one in first]
