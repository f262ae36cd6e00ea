"""ViLD's losses and scores against float64 loops over the published equations.

Gu et al. 2022, arXiv 2104.13921. Tolerance 1e-5: the losses are computed in fp32, with logits of up
to 100.
"""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.models.detection.roi_heads import RoIHeads

from vlsuite.models.vild.postprocess import best_detections
from vlsuite.models.vild.scoring import (
    ensembled,
    image_probabilities,
    name_logits,
    text_probabilities,
)
from vlsuite.models.vild.settings import ClassifierSettings
from vlsuite.models.vild.text_classifier import TextClassifier
from vlsuite.objectives.region_terms import Term, row_weights
from vlsuite.objectives.vild import (
    class_loss,
    distillation_weight,
    huber_loss,
    image_loss,
    mask_loss,
)

REGIONS, NAMES, DIM = 7, 5, 12
TAU = 0.01
PICTURES = torch.tensor([0, 0, 0, 0, 2, 2, 2])  # the second of three has no region


def drawn(seed: int):
    generator = torch.Generator().manual_seed(seed)

    def unit(*shape: int) -> torch.Tensor:
        return F.normalize(torch.randn(*shape, generator=generator), dim=-1)

    return unit(REGIONS, DIM), unit(NAMES, DIM), unit(REGIONS, DIM)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
    length = [math.sqrt(sum(float(x) ** 2 for x in v)) for v in (a, b)]
    return dot / (length[0] * length[1])


def mean_over_pictures(losses: list[float]) -> float:
    total = 0.0
    for picture in range(3):
        own = [loss for loss, p in zip(losses, PICTURES.tolist(), strict=True) if p == picture]
        total += sum(own) / len(own) if own else 0.0
    return total / 3


@pytest.mark.parametrize("unlabelled", ["neg_inf", "zero"])
def test_text_loss_is_equation_2(unlabelled):
    """z(r) = [sim(r, e_bg), sim(r, t_1), ...]; the cross-entropy of softmax(z / tau)."""
    regions, names, _ = drawn(0)
    is_labelled = torch.tensor([True, True, False, True, True])
    settings = ClassifierSettings(temperature=TAU, unlabelled=unlabelled)
    torch.manual_seed(3)
    classifier = TextClassifier(names, is_labelled, settings)
    labels = torch.tensor([0, 1, 2, 0, 4, 5, 0])  # 0: background; 3 has no labels
    weights = row_weights(PICTURES, num_pictures=3)
    found = class_loss(classifier(regions), labels, weights)

    background = classifier.background.detach().double().numpy()
    losses = []
    for region, label in zip(regions.double().numpy(), labels.tolist(), strict=True):
        logits = [cosine(region, background) / TAU]
        for name, has_labels in zip(names.double().numpy(), is_labelled.tolist(), strict=True):
            value = cosine(region, name) / TAU
            logits.append(value if has_labels else 0.0 if unlabelled == "zero" else -math.inf)
        largest = max(logits)
        total = sum(math.exp(value - largest) for value in logits)
        losses.append(-(logits[label] - largest - math.log(total)))
    assert float(found.detach()) == pytest.approx(mean_over_pictures(losses), rel=1e-5)


def test_image_loss_is_equation_3():
    """The L1 distance of v to r, summed over D, averaged over the regions of a picture."""
    regions, _, taught = drawn(1)
    found = image_loss(regions, taught, row_weights(PICTURES, num_pictures=3))
    losses = [
        sum(abs(float(a) - float(b)) for a, b in zip(one, other, strict=True))
        for one, other in zip(regions.double().numpy(), taught.double().numpy(), strict=True)
    ]
    assert float(found.detach()) == pytest.approx(mean_over_pictures(losses), rel=1e-5)


def test_the_weight_of_the_distillation_follows_the_length_of_embeddings():
    """Two unit vectors at one angle: w x L1 is the same at D = 512 and at 2,048, within noise."""
    assert distillation_weight(0.5, 512, rescale=True) == 0.5
    assert distillation_weight(0.5, 128, rescale=True) == pytest.approx(1.0)
    assert distillation_weight(0.5, 128, rescale=False) == 0.5
    weighted = []
    for dim in (512, 2048):
        torch.manual_seed(0)
        first, other = F.normalize(torch.randn(2, 200, dim, dtype=torch.float64), dim=2)
        mixed = F.normalize(0.8 * first + 0.6 * other, dim=1)
        distance = (first - mixed).abs().sum(dim=1).mean()
        weighted.append(distillation_weight(0.5, dim, rescale=True) * float(distance))
    assert weighted[0] == pytest.approx(weighted[1], rel=0.02)


def test_ensemble_scores_are_equations_5_and_6():
    """p_text^(2/3) p_img^(1/3) for base names, the other way round for novel ones."""
    text_regions, names, image_regions = drawn(2)
    is_base = torch.tensor([True, False, True, False, True])
    background = F.normalize(torch.randn(DIM, generator=torch.Generator().manual_seed(9)), dim=0)
    text = text_probabilities(
        name_logits(text_regions, names, temperature=TAU), text_regions @ background / TAU
    )
    image = image_probabilities(name_logits(image_regions, names, temperature=TAU))
    found = ensembled(text, image, is_base, base_exponent=2 / 3, novel_exponent=1 / 3)
    for row in range(REGIONS):
        r_text, r_image = (v[row].double().numpy() for v in (text_regions, image_regions))
        z = [float(text_regions[row].double() @ background.double()) / TAU]
        z += [float(r_text @ name) / TAU for name in names.double().numpy()]
        y = [float(r_image @ name) / TAU for name in names.double().numpy()]
        p_text = np.exp(np.array(z) - max(z)) / np.exp(np.array(z) - max(z)).sum()
        p_image = np.exp(np.array(y) - max(y)) / np.exp(np.array(y) - max(y)).sum()
        for column in range(NAMES):
            share = 2 / 3 if is_base[column] else 1 / 3
            wanted = p_text[1 + column] ** share * p_image[column] ** (1 - share)
            # the background's logit is made in fp32 here
            assert float(found[row, column]) == pytest.approx(wanted, rel=1e-4, abs=1e-12)


def test_box_and_mask_losses():
    generator = torch.Generator().manual_seed(4)
    found = torch.randn(REGIONS, 4, generator=generator)
    wanted = torch.randn(REGIONS, 4, generator=generator)
    weights = row_weights(PICTURES, num_pictures=3)
    for delta in (1.0, 1 / 9):
        losses = [
            sum(0.5 * d * d / delta if d < delta else d - 0.5 * delta for d in row)
            for row in (found.double() - wanted.double()).abs().tolist()
        ]
        result = huber_loss(Term(found, wanted, weights), delta=delta)
        assert float(result) == pytest.approx(mean_over_pictures(losses), rel=1e-5)
    logits = torch.randn(REGIONS, 3, 3, generator=generator)
    target = (torch.randn(REGIONS, 3, 3, generator=generator) > 0).float()
    losses = []
    for one, aim in zip(logits.double(), target, strict=True):
        pairs = zip(one.flatten().tolist(), aim.flatten().tolist(), strict=True)
        losses.append(sum(math.log1p(math.exp(-v if t else v)) for v, t in pairs) / 9)
    result = mask_loss(Term(logits, target, weights))
    assert float(result) == pytest.approx(mean_over_pictures(losses), rel=1e-5)


@pytest.mark.parametrize("max_detections", [5, 40, 1000])
def test_detections_equal_torchvision_where_both_apply(max_detections):
    """torchvision with the one box of a region repeated for every class."""
    generator = torch.Generator().manual_seed(5)
    corners = torch.rand(60, 2, generator=generator) * 60
    proposals = torch.cat([corners, corners + 10 + 25 * torch.rand(60, 2, generator=generator)], 1)
    logits = 3 * torch.randn(60, 1 + NAMES, generator=generator)
    theirs = RoIHeads(
        None, None, None, 0.5, 0.5, 8, 0.25, None, 0.01, 0.5, max_detections
    ).postprocess_detections(logits, torch.zeros(60, 4 * (1 + NAMES)), [proposals], [(64, 80)])
    found = best_detections(
        proposals,
        text_probabilities(logits[:, 1:], logits[:, 0]),
        size=(64, 80),
        score_threshold=0.01,
        nms=0.5,
        max_detections=max_detections,
    )
    boxes, scores, labels = (part[0] for part in theirs)
    torch.testing.assert_close(found.scores, scores, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(found.boxes, boxes, rtol=1e-5, atol=1e-4)
    assert torch.equal(found.labels + 1, labels)


def test_the_best_scores_suffice():
    """Looking at the best scores first gives what NMS over all gives."""
    from torchvision.ops import batched_nms

    generator = torch.Generator().manual_seed(6)
    corners = torch.rand(300, 2, generator=generator) * 100
    boxes = torch.cat([corners, corners + 5 + 40 * torch.rand(300, 2, generator=generator)], dim=1)
    boxes = boxes.clamp(max=120)
    scores = torch.rand(300, 30, generator=generator).double()
    found = best_detections(
        boxes, scores, size=(120, 120), score_threshold=0.0, nms=0.3, max_detections=20
    )
    rows = torch.arange(300 * 30)
    kept = batched_nms(boxes[rows // 30], scores.flatten().float(), rows % 30, 0.3)[:20]
    assert torch.equal(found.regions, kept // 30)
    assert torch.equal(found.labels, kept % 30)
