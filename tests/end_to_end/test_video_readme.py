"""The commands under "Videos" in README.md, on a miniature of MSR-VTT as it is distributed."""

import json
import re
import shlex
from pathlib import Path

import pytest

from data_pipelines.shards.index import ShardIndex
from tests.support.videos import encoded
from tests.support.words import CONTEXT_LENGTH, word_tokenizer_folder
from vlsuite.cli.main import main

README = Path(__file__).parents[2] / "README.md"
TRAIN, TEST = 12, 4

#: A tower that fits into a test, and four steps.
_SMALL = [
    "model.image_text.name=vlsuite-micro-32",
    "model.image_text.pretrained=",
    f"model.image_text.context_length={CONTEXT_LENGTH}",
    f"model.image_text.tokenizer={word_tokenizer_folder()}",
    "model.frames=1x8,4",
    "duration=4steps",
    "global_batch_size=4",
    "optim.warmup_steps=1",
    "data.num_workers=0",
    "threads=1",
]


def _commands() -> list[list[str]]:
    section = README.read_text(encoding="utf-8").partition("\n## Videos\n")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    lines = block[1].replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines]


def _miniature(folder: Path) -> None:
    """Sixteen videos with two sentences each; the last four are the test."""
    (folder / "videos").mkdir(parents=True)
    names = [f"video{number}" for number in range(TRAIN + TEST)]
    for number, name in enumerate(names):
        video = encoded("mp4", "libx264", num_frames=12 + number, options={"g": "12"})
        (folder / "videos" / f"{name}.mp4").write_bytes(video)
    (folder / "videos" / "video3.mp4").write_bytes(b"<html>")
    videos = [{"video_id": name, "category": 1, "split": "train", "id": 0} for name in names]
    said = [
        (name, f"a {word} number {i}") for i, name in enumerate(names) for word in ("red", "big")
    ]
    listed = {
        "info": {"year": "2016"},
        "videos": videos,
        "sentences": [
            {"video_id": name, "caption": caption, "sen_id": i}
            for i, (name, caption) in enumerate(said)
        ],
    }
    (folder / "MSRVTT_data.json").write_text(json.dumps(listed))
    (folder / "MSRVTT_train.9k.csv").write_text("\n".join(["video_id", *names[:TRAIN], ""]))
    rows = [f"ret{i},msr{i},{name},{dict(said)[name]}" for i, name in enumerate(names[TRAIN:])]
    (folder / "MSRVTT_JSFUSION_test.csv").write_text(
        "\n".join(["key,vid_key,video_id,sentence", *rows, ""])
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Where all the commands have been run, one after the other."""
    root = tmp_path_factory.mktemp("readme")
    _miniature(root / "MSRVTT")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for words in _commands():
            small = [word for setting in _SMALL for word in ("--set", setting)]
            assert main([*words, *(small if words[0] == "train" else ())]) == 0, words
    return root


def test_the_train_list_is_built_and_the_broken_video_counted(root):
    index = ShardIndex.open(root / "data" / "msrvtt" / "shard-000000.tar")
    assert len(index) == TRAIN - 1
    manifest = json.loads((root / "data" / "msrvtt" / "manifest.json").read_text())
    assert manifest["skipped"] == {"broken video": 1}
    assert (root / "clips.png").stat().st_size > 0


def test_both_stages_of_the_curriculum_are_trained(root):
    lines = (root / "runs" / "video" / "metrics.jsonl").read_text().splitlines()
    steps = [one["step"] for one in map(json.loads, lines) if one["kind"] == "train"]
    assert steps[-1] == 4


def test_retrieval_of_the_test_list_is_scored(root):
    found = list((root / "runs" / "video").rglob("*.json"))
    results = [json.loads(path.read_text()) for path in found if "msrvtt" in path.read_text()]
    scores = [one["scores"] for one in results if isinstance(one, dict) and "scores" in one]
    assert any("text_to_video_recall_at_1" in own for own in scores), found


def test_the_export_opens(root):
    from vlsuite.models.opening import open_model
    from vlsuite.models.video_text.model import VideoText

    model = open_model(str(root / "my-video-model"))
    assert isinstance(model, VideoText)
    assert model.clip_frames == 4
