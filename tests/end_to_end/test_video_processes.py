"""Clips and pictures in one run, by one process and by two; killed, continued, written, opened."""

import math
import re
import shutil
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from data_pipelines.video.process import shared_process
from eval.contract import ClipEmbeddingModel
from tests.support.clip_shards import write_clips, write_pictures
from tests.support.runs import logged, run_to_end, small_config, train_stages
from tests.support.shards import write_tar
from tests.support.warm_processes import exit_codes, start_ranks
from tests.support.words import CONTEXT_LENGTH, word_tokenizer_folder
from vlsuite.api.evaluation import evaluate
from vlsuite.cli.main import main
from vlsuite.engine.checkpoint import list_checkpoints
from vlsuite.engine.config import TrainConfig
from vlsuite.errors import ConfigError, DataError
from vlsuite.models.opening import open_model
from vlsuite.models.storm.model import Storm
from vlsuite.models.video_text.model import VideoText

FAMILIES = ("frozen_in_time", "storm")
FROZEN, STORM = (pytest.mark.parametrize("root", [name], indirect=True) for name in FAMILIES)
STAGES = (1, 2, 3)
#: fp32 sums over 16 pairs in another order, after four steps of AdamW.
LOSS, WEIGHT = 2e-5, 2e-4


def config(root: Path, *overrides: str) -> TrainConfig:
    """Clips and pictures 1:1; one frame for two steps, then four; the folder names the family."""
    return small_config(
        root,
        f"model={root.name}",
        "model.image_text.name=vlsuite-micro-32",
        f"model.image_text.context_length={CONTEXT_LENGTH}",
        f"model.image_text.tokenizer={word_tokenizer_folder()}",
        "model.frames=1x32,4",
        f"data.train={root / 'clips'},{root / 'pictures'}",
        "data.weights=1,1",
        "checkpoint.every=2steps",
        *overrides,
    )


def worker(root: Path) -> None:
    train_stages(partial(config, root), root, STAGES, micro=4)


@pytest.fixture(scope="module", params=FAMILIES)
def root(request, tmp_path_factory) -> Path:
    """Folder of both shards, of the runs of two processes, and of one process ("one")."""
    root = tmp_path_factory.mktemp("video") / request.param
    write_clips(root / "clips", 40)
    write_pictures(root / "pictures", 24)
    log = root / "log"
    codes = exit_codes(start_ranks(2, worker, root, log=log))
    assert codes == [0, 0], log.read_text()[-3000:]
    run_to_end(config(root), root / "one")
    return root


def own_weights(run: Path) -> dict[str, torch.Tensor]:
    """Of the export, what image towers have none of."""
    (path,) = (run / "export").glob("*.safetensors")
    return load_file(path)


def assert_same_run(ours: Path, reference: Path) -> None:
    for a, b in zip(logged(ours), logged(reference), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=LOSS)
    weights = own_weights(ours)
    for name, value in own_weights(reference).items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=WEIGHT, msg=name)


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_equal_one(root, stage):
    """Under ZeRO 3 too, though the processes' clips differ in length."""
    assert_same_run(root / f"zero{stage}", root / "one")


def test_micro_batches_equal_one_batch(root, tmp_path):
    run_to_end(config(root, "micro_batch_size=4"), tmp_path / "parts")
    assert_same_run(tmp_path / "parts", root / "one")


def test_a_run_goes_on_where_it_stopped(root, tmp_path):
    _, losses = run_to_end(config(root), tmp_path / "run")
    before = own_weights(tmp_path / "run")
    shutil.rmtree(list_checkpoints(tmp_path / "run" / "checkpoints")[-1])
    _, all_losses = run_to_end(config(root), tmp_path / "run")
    assert all_losses[-2:] == losses[-2:]
    after = own_weights(tmp_path / "run")
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@FROZEN
def test_time_is_learned_once_clips_have_frames(root):
    """The embeddings of later frames leave zero in the second stage of the curriculum."""
    times = own_weights(root / "one")["visual.times"]
    assert (times.abs().max(dim=1).values > 0).tolist() == [True] * 4


@FROZEN
def test_every_uid_once_an_epoch(root, tmp_path):
    """One pool of clips and pictures: 64 samples, 4 steps of 16."""
    settings = ["data.weights=", "logging.uids=true", "data.num_workers=1"]
    run_to_end(config(root, *settings), tmp_path / "run")
    lines = [re.findall(r"[0-9a-f]{32}", p.read_text()) for p in (tmp_path / "run/uids").iterdir()]
    uids = Counter(uid for found in lines for uid in found)
    assert len(uids) == 64
    assert set(uids.values()) == {1}


def test_export_is_the_same_model_and_embeds(root, tmp_path, capsys):
    out = tmp_path / "exported"
    assert main(["export", str(root / "one"), "--out", str(out)]) == 0
    assert "loaded again" in capsys.readouterr().out
    model, run = open_model(str(out)), open_model(str(root / "one"))
    assert isinstance(model, VideoText)
    assert isinstance(model, ClipEmbeddingModel)
    assert model.clip_frames == 4
    assert model.fingerprint == run.fingerprint
    clips = torch.randint(0, 256, (3, 4, 3, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(model.embed_clips(clips), run.embed_clips(clips), rtol=0, atol=0)
    one = model.embed_clips(clips[:, :1])
    torch.testing.assert_close(one, model.embed_images(clips[:, 0]), rtol=1e-6, atol=1e-6)
    (result,) = evaluate(model, root / "pictures", tasks=["retrieval"])
    assert result.scores


def test_the_image_part_opens_in_plain_open_clip(root):
    import open_clip

    folder = root / "one" / "export" / "image_text"
    plain = open_clip.create_model(f"local-dir:{folder}").eval()
    ours = open_model(f"local-dir:{folder}")
    pictures = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        theirs = plain.encode_image((pictures / 255 - ours._mean) / ours._std, normalize=True)
    torch.testing.assert_close(ours.embed_images(pictures), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("option", ["image_text.lock_image", "image_text.grad_checkpointing"])
def test_training_options(root, tmp_path, option):
    settings = config(root, f"model.{option}=true", "micro_batch_size=8")
    _, losses = run_to_end(settings, tmp_path / "run")
    if option.endswith("grad_checkpointing"):
        assert losses == pytest.approx([line["loss"] for line in logged(root / "one")], abs=LOSS)
    else:
        assert losses[-1] < losses[0]


@FROZEN
def test_the_baseline_trains_alike(root, tmp_path):
    settings = config(root, "model.over_time=mean", "duration=24steps", "optim.lr=3e-3")
    _, losses = run_to_end(settings, tmp_path / "run")
    assert sum(losses[-4:]) < sum(losses[:4])
    assert isinstance(open_model(str(tmp_path / "run")), VideoText)


@FROZEN
def test_a_machine_that_cannot_read_videos_stops_the_run_in_one_line(root, tmp_path, monkeypatch):
    """And counts no video as bad."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "av.py").write_text("raise ImportError('libavcodec.so.62 is missing')\n")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    shared_process.cache_clear()
    shard = tmp_path / "videos" / "videos-00000.tar"
    members = [
        (f"v{n:05d}.{suffix}", data)
        for n in range(64)
        for suffix, data in (("mp4", b"no matter"), ("txt", b"a red circle"))
    ]
    write_tar(shard, members)
    settings = [f"data.train={shard.parent}", "data.weights=", "data.num_workers=1"]
    with pytest.raises((ConfigError, DataError), match=r"cannot read videos.*libavcodec") as error:
        run_to_end(config(root, *settings), tmp_path / "run")
    assert "\n" not in str(error.value)
    shared_process.cache_clear()


@STORM
def test_fewer_tokens_without_another_training(root):
    """A run of four frames, asked with other reductions and longer clips than it was trained on."""
    model = open_model(str(root / "one"))
    assert isinstance(model, Storm)
    assert [model.tokens_of(n) for n in (4, 32)] == [16, 128]
    clips = torch.randint(0, 256, (2, 32, 3, 32, 32), dtype=torch.uint8)
    view = model.reduced(temporal_pool=4, sample_every=2)
    assert view.tokens_of(32) == 16
    assert view.embed_clips(clips).shape == model.embed_clips(clips).shape


@STORM
def test_bf16_stays_finite_for_200_steps(root, tmp_path):
    settings = ["precision=bf16", "duration=200steps", "model.frames=8", "optim.lr=3e-3"]
    smaller = ["global_batch_size=2", "data.num_workers=1", "logging.every=10steps"]
    _, losses = run_to_end(config(root, *settings, *smaller), tmp_path / "run")
    assert len(losses) == 20
    assert all(math.isfinite(loss) for loss in losses)
    for name, value in own_weights(tmp_path / "run").items():
        assert value.isfinite().all(), name
