"""CoCa's loss: float64 loops over the published equation, and open_clip's own model and loss.

Yu et al. 2022, arXiv 2205.01917, section 3; ``open_clip.CoCa`` and ``open_clip.CoCaLoss``.
Tolerance: fp32 sums over a few dozen tokens and four layers.
"""

import math

import open_clip
import pytest
import torch

from tests.support.coca_models import plain_coca, tiny_batch, tiny_coca
from vlsuite.errors import ConfigError
from vlsuite.models.coca.encoder import caption_nats
from vlsuite.models.coca.trainable import caption_length
from vlsuite.objectives.clip import ClipConfig
from vlsuite.objectives.coca import CocaObjectiveConfig, global_tokens
from vlsuite.objectives.nevlp import NevlpObjectiveConfig

PAD = 0
#: Of the contrast and of the captions.
WEIGHTS = [(1.0, 2.0), (0.5, 1.5), (0.0, 1.0)]


def nats_in_loops(logits: list, labels: list) -> list[float]:
    """-sum_t log softmax(logits_t)[y_t] of each row, over labels that are no padding."""
    found = []
    for row, own in zip(logits, labels, strict=True):
        total = 0.0
        for values, label in zip(row, own, strict=True):
            if label != PAD:
                largest = max(values)
                total += largest + math.log(sum(math.exp(v - largest) for v in values))
                total -= values[label]
        found.append(total)
    return found


def test_captions_equal_the_equation():
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(3, 4, 6, generator=generator)).requires_grad_()
    labels = torch.tensor([[1, 2, 5, PAD], [5, PAD, PAD, PAD], [3, PAD, 4, 5]])
    found = caption_nats(logits, labels, pad_id=PAD)
    expected = nats_in_loops(logits.double().tolist(), labels.tolist())
    torch.testing.assert_close(found.double(), torch.tensor(expected, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    slopes = logits.detach().double().softmax(dim=2)
    slopes -= torch.nn.functional.one_hot(labels, 6)
    slopes *= (labels != PAD)[..., None]
    torch.testing.assert_close(gradient.double(), slopes, rtol=0, atol=1e-6)


def ours(built, batch, objective):
    """Total loss in one process, as the step adds it up."""
    pixels = batch.pixels(built.preprocess, device=torch.device("cpu"), dtype=torch.float32)
    length = caption_length(batch.token_ids, pad_id=built.writer.pad_id)
    output = built.encoder(pixels, batch.token_ids, caption_length=length)
    contrast = objective.contrast_losses(output.image_embeds, output.text_embeds)
    count = (batch.token_ids[:, 1:] != PAD).sum().float()
    return contrast.total + objective.caption_loss(output.caption_nats, global_tokens(count))


def theirs(plain, built, batch, *, contrast_weight: float, caption_weight: float):
    """open_clip's, as its training computes it."""
    pixels = batch.pixels(built.preprocess, device=torch.device("cpu"), dtype=torch.float32)
    output = plain(pixels, batch.token_ids)
    loss = open_clip.CoCaLoss(
        caption_loss_weight=caption_weight, clip_loss_weight=contrast_weight, pad_id=PAD
    )
    return sum(loss(**output))


@pytest.mark.parametrize(
    ("contrast_weight", "caption_weight"), [(1.0, 2.0), (0.5, 1.5), (0.0, 1.0)]
)
def test_loss_and_gradients_equal_open_clip(contrast_weight, caption_weight):
    built = tiny_coca(spread=0.05)
    batch = tiny_batch(built)
    objective = CocaObjectiveConfig(
        contrast=ClipConfig(init_logit_scale=9.0),
        contrast_weight=contrast_weight,
        caption_weight=caption_weight,
    ).build()
    plain = plain_coca(built, logit_scale=9.0)
    total = ours(built, batch, objective)
    reference = theirs(
        plain, built, batch, contrast_weight=contrast_weight, caption_weight=caption_weight
    )
    torch.testing.assert_close(total, reference, rtol=1e-6, atol=0)
    total.backward()
    reference.backward()
    expected = dict(plain.named_parameters())
    for name, parameter in built.encoder.named_parameters():
        # open_clip leaves a contrast of weight 0 out, here its gradients are 0
        grads = [
            torch.zeros_like(parameter) if p.grad is None else p.grad
            for p in (parameter, expected[name])
        ]
        torch.testing.assert_close(*grads, rtol=1e-3, atol=2e-6, msg=name)


def test_default_weights_are_those_of_open_clip():
    config = CocaObjectiveConfig()
    assert (config.contrast_weight, config.caption_weight) == (1.0, 2.0)
    assert isinstance(config.contrast, ClipConfig)


def test_a_mean_of_means_would_weigh_tokens_by_their_neighbours():
    """Why captions are divided by the tokens of the global batch: halves do not average to it."""
    built = tiny_coca()
    batch = tiny_batch(built)
    pixels = batch.pixels(built.preprocess, device=torch.device("cpu"), dtype=torch.float32)
    with torch.no_grad():
        nats = built.encoder(pixels, batch.token_ids, caption_length=24).caption_nats
    counts = (batch.token_ids[:, 1:] != PAD).sum(dim=1)
    whole = nats.sum() / counts.sum()
    of_ranks = (nats[0] / counts[0] + nats[1:].sum() / counts[1:].sum()) / 2
    assert abs(whole - of_ranks) > 1e-3


def test_what_comes_after_the_longest_caption_changes_nothing():
    built = tiny_coca()
    batch = tiny_batch(built)
    length = caption_length(batch.token_ids, pad_id=PAD)
    assert length < batch.token_ids.shape[1]
    pixels = batch.pixels(built.preprocess, device=torch.device("cpu"), dtype=torch.float32)
    with torch.no_grad():
        cut, whole = (
            built.encoder(pixels, batch.token_ids, caption_length=n)
            for n in (length, batch.token_ids.shape[1])
        )
    for a, b in zip(cut, whole, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_settings_that_cannot_work_are_one_line():
    for wrong in (
        {"caption_weight": -1.0},
        {"contrast_weight": math.nan},
        {"contrast_weight": 0.0, "caption_weight": 0.0},
    ):
        with pytest.raises(ConfigError, match="caption_weight"):
            CocaObjectiveConfig(**wrong)
    with pytest.raises(ConfigError, match="choose clip or siglip"):
        CocaObjectiveConfig(contrast=NevlpObjectiveConfig()).build()
