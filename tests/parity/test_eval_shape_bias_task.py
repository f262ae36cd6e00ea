"""Shape bias of cue-conflict pictures against a float64 loop over the definition."""

from pathlib import Path

import numpy as np
import pytest

from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.data.imagenet_layouts import CLASS_NAMES
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.metrics.shape_bias import CATEGORIES, CATEGORY_CLASSES
from eval.robustness.shape_bias import ShapeBiasTask
from eval.task_choices import TaskChoices
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import noise_png, write_tar
from tests.support.picture_folders import write_pictures

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=16, workers=2))
TEMPLATES = ("a photo of a {c}.", "the {c}")


def _cue_conflict(root: Path) -> EvalDataset:
    rng = np.random.default_rng(0)
    files = [
        f"{shape}/{shape}{number}-{CATEGORIES[int(rng.integers(16))]}{number}.png"
        for shape in CATEGORIES
        for number in range(4)
    ]
    return open_dataset(str(write_pictures(root / "cue-conflict", files)))


def test_decisions_and_bias_equal_a_loop(tmp_path: Path) -> None:
    dataset = _cue_conflict(tmp_path)
    model = SmallClip(seed=5)
    task = ShapeBiasTask.build(dataset, TaskChoices(templates=TEMPLATES))

    result = task.run(model, EMBEDDER)

    classes = EMBEDDER.class_embeds(model, CLASS_NAMES, TEMPLATES).double().numpy()
    prompts = EMBEDDER.class_embeds(model, CATEGORIES, TEMPLATES).double().numpy()
    count = {"": [0, 0, 0], "_16_prompts": [0, 0, 0]}
    for i, embed in enumerate(EMBEDDER.images(model, dataset).embeds.double().numpy()):
        shape, texture = (part.rstrip("0123456789.png") for part in _parts(dataset, i))
        if shape == texture:
            continue
        logits = 100 * classes @ embed
        share = np.exp(logits - logits.max())
        share /= share.sum()
        means = [np.mean([share[c] for c in own]) for own in CATEGORY_CLASSES.values()]
        named = {"": CATEGORIES[int(np.argmax(means))]}
        named["_16_prompts"] = CATEGORIES[int(np.argmax(prompts @ embed))]
        for ending, category in named.items():
            count[ending][0] += category == shape
            count[ending][1] += category == texture
            count[ending][2] += 1
    for ending, (shapes, textures, total) in count.items():
        assert result.scores[f"shape_share{ending}"].value == shapes / total
        assert result.scores[f"texture_share{ending}"].value == textures / total
        if shapes + textures:
            bias = result.scores[f"shape_bias{ending}"].value
            assert bias == pytest.approx(shapes / (shapes + textures))
    assert count[""][0] + count[""][1] > 0
    assert result.num_samples == count[""][2] < 64
    stored = StoredEmbedder(EMBEDDER, tmp_path / "store", batch_size=16)
    assert task.run(model, stored).scores == result.scores


def _parts(dataset: EvalDataset, i: int) -> list[str]:
    return [part.removesuffix(".png") for part in dataset.images.key(i).split("-")]


def test_other_pictures_are_no_cue_conflicts(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "x.tar", [{"png": noise_png(1), "txt": b"cat"}])
    lack = ShapeBiasTask.missing(open_dataset(str(tar)), TaskChoices())
    assert lack is not None
    assert "shows no cue conflicts" in lack
    assert ShapeBiasTask.missing(_cue_conflict(tmp_path), TaskChoices()) is None
