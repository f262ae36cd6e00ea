"""The adversarial task: what survives is right, clean accuracy is that of zero-shot, and more."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.errors import EvaluationError
from eval.robustness import adversarial
from eval.robustness.adversarial import Adversarial, AttackOptions
from eval.task_choices import TaskChoices
from eval.zero_shot.classification import ZeroShotClassification
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import labelled, write_evaluation_folder
from vlsuite.batches.decode import decode_image

pytest.importorskip("pyautoattack", reason="the attacks are an extra: pip install .[adversarial]")

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=16, workers=2))
NAMES = ("cat", "dog", "boat", "tree", "lamp", "cat")


def _dataset(root: Path, model: SmallClip, *, order: np.ndarray | None = None) -> EvalDataset:
    """Three of four labels are what the model says."""
    samples = labelled(24, num_classes=len(NAMES))
    classes = EMBEDDER.class_embeds(model, NAMES, ("{c}",))
    for number, sample in enumerate(samples):
        if number % 4:
            pixels = model.image_transform(decode_image(sample["png"]))
            scores = classes @ model.embed_images(pixels[None])[0]
            sample["cls"] = str(int(scores.argmax())).encode()
    samples[5]["png"] = b"broken"
    if order is not None:
        samples = [samples[i] for i in order]
    folder = write_evaluation_folder(root, samples, class_names=NAMES, templates=("{c}",))
    return open_dataset(str(folder))


def _task(dataset: EvalDataset, **options) -> Adversarial:
    options = {"kind": "apgd", "steps": 4, "max_images": 0} | options
    task = Adversarial.build(dataset, TaskChoices(options=(AttackOptions(**options),)))
    assert isinstance(task, Adversarial)
    return task


def test_clean_accuracy_and_what_is_left_at_every_eps(tmp_path: Path) -> None:
    model = SmallClip(seed=5)
    dataset = _dataset(tmp_path / "d", model)
    task = _task(dataset, eps=(2.0, 1e-4, 64.0, 8.0))

    result = task.run(model, EMBEDDER)

    zero_shot = ZeroShotClassification.build(dataset, TaskChoices()).run(model, EMBEDDER)
    assert result.scores["top1"] == zero_shot.scores["top1"]
    assert result.per_image["top1"] == zero_shot.per_image["top1"]
    names = [f"robust_top1_eps_{eps}_255" for eps in ("0.0001", "2", "8", "64")]
    values = [result.scores[name].value for name in names]
    assert values == sorted(values, reverse=True)
    assert result.scores["top1"].value - values[0] <= 1 / 23
    assert values[-1] < values[0] - 0.3
    kept = [result.per_image["top1"].unpack()[0]]
    kept += [result.per_image[name].unpack()[0] for name in names]
    for smaller, larger in pairwise(kept):
        assert not (larger & ~smaller).any()
    assert (result.num_samples, result.num_skipped) == (23, 1)
    assert not result.per_image["top1"].unpack()[1][5]
    assert task.run(model, EMBEDDER) == result
    stored = StoredEmbedder(EMBEDDER, tmp_path / "store", batch_size=16)
    assert task.run(model, stored) == result
    assert all(parameter.grad is None for parameter in model.model.parameters())


def test_one_step_of_gradient_never_beats_the_attack(tmp_path: Path) -> None:
    """A sign-gradient step at half of eps and at eps, by hand: what it fools is not robust."""
    model = SmallClip(seed=5)
    dataset = _dataset(tmp_path / "d", model)
    result = _task(dataset, eps=(8.0,), steps=20).run(model, EMBEDDER)
    robust = result.per_image["robust_top1_eps_8_255"].unpack()[0]
    classes = EMBEDDER.class_embeds(model, NAMES, ("{c}",))
    assert dataset.labels is not None
    for row in [row for row in range(24) if row != 5]:
        label = int(dataset.labels[row])
        pixels = model.image_transform(decode_image(dataset.images.read(row)))[None].float() / 255
        pixels.requires_grad_()
        logits = 100 * model.embed_pixels(pixels) @ classes.T
        torch.nn.functional.cross_entropy(logits, torch.tensor([label])).backward()
        assert pixels.grad is not None
        model.model.zero_grad(set_to_none=True)
        for share in (0.5, 1.0):
            moved = (pixels + share * 8 / 255 * pixels.grad.sign()).clamp(0, 1)
            scores = (model.embed_pixels(moved) @ classes.T)[0]
            margin = scores[label] - scores[[c for c in range(6) if NAMES[c] != NAMES[label]]].max()
            if margin < -1e-4:
                assert not robust[row]


def test_batches_split_in_parts_are_all_attacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = SmallClip(seed=5)
    dataset = _dataset(tmp_path / "d", model)
    whole = _task(dataset, eps=(64.0,)).run(model, EMBEDDER)
    monkeypatch.setattr(adversarial, "_IMAGES_AT_A_TIME", 5)
    split = _task(dataset, eps=(64.0,)).run(model, EMBEDDER)
    assert split.per_image["top1"] == whole.per_image["top1"]
    assert split.num_samples == whole.num_samples


def test_a_choice_of_images_does_not_depend_on_their_order(tmp_path: Path) -> None:
    model = SmallClip(seed=5)
    order = np.random.default_rng(1).permutation(24)
    here, there = (
        _task(_dataset(tmp_path / name, model, order=own), max_images=10)
        for name, own in (("a", None), ("b", order))
    )
    assert len(here.dataset) == 10
    ids = [set(task.dataset.images.image_ids.tolist()) for task in (here, there)]
    assert ids[0] == ids[1]


def test_mistakes_are_one_line_each(tmp_path: Path) -> None:
    model = SmallClip(seed=5)
    dataset = _dataset(tmp_path / "d", model)
    few = write_evaluation_folder(tmp_path / "f", labelled(6, num_classes=3), class_names=NAMES[:3])
    three = open_dataset(str(few))
    for data, options, said in (
        (dataset, {"kind": "pgd"}, "choose apgd-ce, apgd, autoattack"),
        (dataset, {"eps": ()}, "between 0 and 255"),
        (dataset, {"eps": (0.0, 1.0)}, "between 0 and 255"),
        (dataset, {"eps": (255.0,)}, "between 0 and 255"),
        (dataset, {"steps": 0}, "at least 1"),
        (three, {"kind": "apgd"}, "attack.kind=apgd-ce"),
    ):
        lack = Adversarial.missing(data, TaskChoices(options=(AttackOptions(**options),)))
        assert lack is not None
        assert said in lack
        assert "\n" not in lack
    assert Adversarial.missing(dataset, TaskChoices()) is None
    assert Adversarial.missing(three, TaskChoices(options=(AttackOptions(kind="apgd-ce"),))) is None
    result = _task(three, kind="apgd-ce", eps=(254.0,), steps=2).run(model, EMBEDDER)
    assert set(result.scores) == {"top1", "robust_top1_eps_254_255"}


def test_models_without_gradients_are_refused(tmp_path: Path) -> None:
    class NoGradients(SmallClip):
        embed_pixels = None

    model = SmallClip(seed=5)
    task = _task(_dataset(tmp_path / "d", model))
    with pytest.raises(EvaluationError, match="gives no gradients"):
        task.run(NoGradients(), EMBEDDER)
