"""STORM with a language model: one process, two, killed, continued, exported, asked."""

import io
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from eval.contract import Captioner, ClipAnswerer
from tests.support.clip_shards import moving_square, write_pictures
from tests.support.runs import logged, run_to_end, small_config, train_stages
from tests.support.storm_writers import (
    OPTIONS,
    QUESTION,
    WAYS,
    language_model,
    write_asked_clips,
)
from tests.support.warm_processes import exit_codes, start_ranks
from tests.support.words import CONTEXT_LENGTH, word_tokenizer_folder
from vlsuite.api.evaluation import evaluate
from vlsuite.batches.worded_questions import lettered, plain
from vlsuite.cli.main import main
from vlsuite.engine.checkpoint import list_checkpoints
from vlsuite.engine.config import TrainConfig
from vlsuite.models.opening import open_model
from vlsuite.models.storm.answering import StormAnswerer

STAGES = (1, 2)
#: fp32 sums over 16 samples in another order, after four steps of AdamW.
LOSS, WEIGHT = 2e-5, 2e-4


def config(root: Path, *overrides: str) -> TrainConfig:
    """Four frames of each clip, the language model frozen."""
    return small_config(
        root,
        "model=storm",
        "objective=answers",
        "model.image_text.name=vlsuite-micro-32",
        f"model.image_text.context_length={CONTEXT_LENGTH}",
        f"model.image_text.tokenizer={word_tokenizer_folder()}",
        f"model.language_model={root / 'gpt2'}",
        "model.writing.answer_length=12",
        "model.writing.question_length=32",
        "model.frames=4",
        f"data.train={root / 'clips'}",
        "checkpoint.every=2steps",
        *overrides,
    )


def worker(root: Path) -> None:
    train_stages(partial(config, root), root, STAGES, micro=4)


def losses_of(run: Path) -> list[float]:
    return [line["loss"] for line in logged(run)]


def weights(run: Path) -> dict[str, torch.Tensor]:
    """All that a run has written."""
    found = {}
    for path in sorted((run / "export").rglob("*.safetensors")):
        found |= {f"{path.parent.name}/{k}": v for k, v in load_file(path).items()}
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Folder of the shard, of the language model, and of the runs of one process and of two."""
    root = tmp_path_factory.mktemp("storm-writer")
    write_asked_clips(root / "clips", 48)
    language_model(root / "gpt2")
    log = root / "log"
    codes = exit_codes(start_ranks(2, worker, root, log=log))
    assert codes == [0, 0], log.read_text()[-3000:]
    run_to_end(config(root), root / "one")
    return root


def assert_same_run(ours: Path, reference: Path) -> None:
    assert losses_of(ours) == pytest.approx(losses_of(reference), abs=LOSS)
    own = weights(ours)
    for name, value in weights(reference).items():
        torch.testing.assert_close(own[name], value, rtol=0, atol=WEIGHT, msg=name)


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_equal_one(root, stage):
    """Under ZeRO 2 with two micro-batches a process besides."""
    assert_same_run(root / f"zero{stage}", root / "one")


def test_micro_batches_equal_one_batch(root, tmp_path):
    run_to_end(config(root, "micro_batch_size=4"), tmp_path / "parts")
    assert_same_run(tmp_path / "parts", root / "one")


@pytest.mark.parametrize("learns", ["false", "true"])
def test_a_run_goes_on_where_it_stopped(root, tmp_path, learns):
    """Dropout of a language model that learns included."""
    settings = config(root, f"model.train_language_model={learns}")
    _, losses = run_to_end(settings, tmp_path / "run")
    before = weights(tmp_path / "run")
    shutil.rmtree(list_checkpoints(tmp_path / "run" / "checkpoints")[-1])
    _, all_losses = run_to_end(settings, tmp_path / "run")
    assert all_losses[-2:] == losses[-2:]
    after = weights(tmp_path / "run")
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    same = (root / "gpt2" / "model.safetensors", "language_model/")
    given = load_file(same[0])
    kept = [torch.equal(after[f"{same[1]}{k}"], v) for k, v in given.items()]
    assert all(kept) is (learns == "false")


def test_export_is_the_same_model_and_answers(root, tmp_path, capsys):
    out = tmp_path / "exported"
    assert main(["export", str(root / "one"), "--out", str(out)]) == 0
    assert "loaded again" in capsys.readouterr().out
    assert not list(out.rglob("*.bin"))
    model, run = open_model(str(out)), open_model(str(root / "one"))
    assert isinstance(model, StormAnswerer)
    assert isinstance(model, ClipAnswerer)
    assert isinstance(model, Captioner)
    assert model.fingerprint == run.fingerprint
    clips = torch.randint(0, 256, (2, 4, 3, 32, 32), dtype=torch.uint8)
    asked = [lettered(QUESTION, OPTIONS)] * 2
    told = model.answer_clips(clips, asked, max_tokens=4)
    assert told == run.answer_clips(clips, asked, max_tokens=4)


def test_a_handful_of_clips_is_learned(root, tmp_path):
    """Questions and captions alike; the language model learns too."""
    write_asked_clips(tmp_path / "clips", 6)
    settings = config(
        root,
        f"data.train={tmp_path / 'clips'}",
        "model.train_language_model=true",
        "global_batch_size=6",
        "duration=100steps",
        "optim.lr=3e-3",
        "optim.weight_decay=0",
        "logging.every=10steps",
        "checkpoint.every=1000steps",
        "data.augment.crop_scale=1,1",
        "data.augment.crop_ratio=1,1",
    )
    _, losses = run_to_end(settings, tmp_path / "run")
    assert losses[-1] < 0.1 * losses[0]
    model = open_model(str(tmp_path / "run"))
    assert isinstance(model, StormAnswerer)
    shown = []
    for number in range(6):
        frames = [model.image_transform(_picture(png)) for png in moving_square(number, 4)]
        shown.append(torch.stack(frames))
    clips = torch.stack(shown)
    asked = [lettered(QUESTION, OPTIONS)] * 2
    told = model.answer_clips(clips[[0, 3]], asked, max_tokens=4)
    assert [text.upper() for text in told] == ["B", "A"]  # of the tests' vocabulary: lower case
    polar = [plain("Does it move left?")] * 2
    assert model.answer_clips(clips[[1, 4]], polar, max_tokens=4) == ["yes", "no"]
    assert model.caption_clips(clips, max_tokens=8) == [WAYS[n % 2] for n in range(6)]


def _picture(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def test_bf16_stays_finite(root, tmp_path):
    settings = config(root, "precision=bf16", "duration=8steps", "optim.lr=3e-3")
    _, losses = run_to_end(settings, tmp_path / "run")
    assert len(losses) == 8
    for name, value in weights(tmp_path / "run").items():
        assert value.isfinite().all(), name


def test_captions_of_pictures_are_evaluated(root, tmp_path):
    write_pictures(tmp_path / "pictures", 4)
    (found,) = evaluate(
        open_model(str(root / "one")),
        tmp_path / "pictures",
        tasks=["captioning"],
        options={"captioning.max_images": 2, "captioning.num_beams": 1},
    )
    assert found.num_samples == 2
