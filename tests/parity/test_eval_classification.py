"""Zero-shot classification against open_clip's classifier and against float64 loops."""

from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip import build_zero_shot_classifier
from open_clip.zero_shot_metadata import SIMPLE_IMAGENET_TEMPLATES

from eval.data.folders import open_dataset
from eval.embedding import prompts
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.task_choices import TaskChoices
from eval.zero_shot.classification import ZeroShotClassification
from eval.zero_shot.templates import TEMPLATE_SETS
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import labelled, write_evaluation_folder
from vlsuite.batches.decode import decode_image

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=16, workers=2))

NAMES = ("cat", "dog", "missile", "boat", "tree", "missile", "lamp")
TEMPLATES = ("a photo of a {c}.", "the {c}", "a drawing of {c}")


@pytest.mark.parametrize("prompts_at_a_time", [1, 20, 8192])
def test_prompt_ensemble_equals_open_clip(
    monkeypatch: pytest.MonkeyPatch, prompts_at_a_time: int
) -> None:
    monkeypatch.setattr(prompts, "PROMPTS_AT_A_TIME", prompts_at_a_time)
    model = SmallClip()

    ours = EMBEDDER.class_embeds(model, NAMES, TEMPLATE_SETS["imagenet-simple"])

    theirs = build_zero_shot_classifier(
        model.model, model.tokenizer, NAMES, SIMPLE_IMAGENET_TEMPLATES, num_classes_per_batch=None
    ).T
    # fp32 sums of 7 unit vectors in another order.
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    assert torch.equal(ours[2], ours[5])


def _hits_by_loop(model: SmallClip, samples: list[dict[str, bytes]]) -> list[int]:
    """Place of the right class for each sample; sums in float64, ties by lower index."""
    prototypes = []
    for name in NAMES:
        total = np.zeros(model.embed_dim)
        for template in TEMPLATES:
            prompt = model.embed_texts([template.replace("{c}", name)])[0].double().numpy()
            total += prompt / np.linalg.norm(prompt)
        mean = total / len(TEMPLATES)
        prototypes.append(mean / np.linalg.norm(mean))
    places = []
    for sample in samples:
        pixels = model.image_transform(decode_image(sample["png"]))
        image = model.embed_images(pixels[None])[0].double().numpy()
        scores = [round(float(image @ prototype), 6) for prototype in prototypes]
        order = sorted(range(len(NAMES)), key=lambda c: (-scores[c], c))
        places.append(order.index(int(sample["cls"])))
    return places


def test_scores_equal_the_definition_with_a_repeated_class_name(tmp_path: Path) -> None:
    samples = labelled(50, num_classes=len(NAMES))
    folder = write_evaluation_folder(
        tmp_path / "classes", samples, class_names=NAMES, templates=TEMPLATES, num_shards=2
    )
    model = SmallClip(seed=3)

    result = ZeroShotClassification.build(open_dataset(str(folder)), TaskChoices()).run(
        model, EMBEDDER
    )

    places = np.array(_hits_by_loop(model, samples))
    labels = np.array([int(sample["cls"]) for sample in samples])
    recalls = [np.mean(places[labels == label] < 1) for label in range(len(NAMES))]
    assert result.scores["top1"].value == np.mean(places < 1)
    assert result.scores["top5"].value == np.mean(places < 5)
    assert result.scores["mean_per_class_recall"].value == pytest.approx(np.mean(recalls))
    assert list(result.per_unit) == ["mean_per_class_recall"]
    values, images = result.per_unit["mean_per_class_recall"].unpack()
    assert values.mean() == pytest.approx(np.mean(recalls))
    assert images.tolist() == list(range(50))
    assert result.details["repeated_class_names"] == ["missile"]
    # The second "missile" can never win against the first.
    assert (places[labels == 5] >= 1).all()


def test_no_top5_below_five_classes(tmp_path: Path) -> None:
    folder = write_evaluation_folder(
        tmp_path / "few", labelled(9, num_classes=3), class_names=("cat", "dog", "boat")
    )
    result = ZeroShotClassification.build(open_dataset(str(folder)), TaskChoices()).run(
        SmallClip(), EMBEDDER
    )
    assert set(result.scores) == {"top1", "mean_per_class_recall"}
    assert result.chance == {"top1": 1 / 3, "mean_per_class_recall": 1 / 3}
