"""NEVLP's losses in float64 loops: contrast over queries, matching, their sum.

BLIP-2 (arXiv 2301.12597, section 3.1): a picture's similarity is that of its best query; one pair
against one hard negative picture and one text. Tolerance 1e-6: short fp32 sums.
"""

import math

import pytest
import torch

from tests.support.embeddings import random_pairs
from tests.support.nevlp_models import output_of, tiny_batch, tiny_nevlp
from vlsuite.errors import ConfigError
from vlsuite.models.nevlp.encoder import NevlpOutput
from vlsuite.objectives.clip import ClipConfig
from vlsuite.objectives.label_smoothing import LabelSmoothingConfig
from vlsuite.objectives.nevlp import (
    NevlpObjective,
    NevlpObjectiveConfig,
    matching_losses,
    query_similarities,
)
from vlsuite.objectives.nitc import NitcConfig
from vlsuite.objectives.pair_keys import PairKeys, pair_keys

BATCH, QUERIES = 4, 3


def output() -> NevlpOutput:
    generator = torch.Generator().manual_seed(0)
    images = random_pairs(BATCH * QUERIES, 6, seed=1).images.detach()
    return NevlpOutput(
        image_embeds=images.reshape(BATCH, QUERIES, 6).clone().requires_grad_(),
        text_embeds=random_pairs(BATCH, 6, seed=2).texts.detach().clone().requires_grad_(),
        match_logits=torch.randn(BATCH, 3, 2, generator=generator, requires_grad=True),
        has_negative=torch.tensor([True, True, False, True]),
        caption_losses=torch.rand(BATCH, generator=generator, requires_grad=True),
    )


KEYS = PairKeys(torch.arange(BATCH), torch.arange(BATCH))


def built(**changes) -> NevlpObjective:
    settings = {"itc": LabelSmoothingConfig(smoothing=0.1), **changes}
    return NevlpObjectiveConfig(**settings).build()


def contrast_loops(found: NevlpOutput, smoothing: float, scale: float) -> float:
    images, texts = found.image_embeds.detach().double(), found.text_embeds.detach().double()
    cosines = [
        [max(float(q @ texts[j]) for q in images[i]) for j in range(BATCH)] for i in range(BATCH)
    ]
    total = 0.0
    for i in range(BATCH):
        for row in (cosines[i], [cosines[j][i] for j in range(BATCH)]):
            normaliser = math.log(sum(math.exp(scale * c) for c in row))
            for j, cosine in enumerate(row):
                target = 1 - smoothing if i == j else smoothing / (BATCH - 1)
                total += target * (normaliser - scale * cosine)
    return total / (2 * BATCH)


def matching_loops(found: NevlpOutput) -> float:
    means = []
    for i, logits in enumerate(found.match_logits.double().tolist()):
        kinds = [0] if not found.has_negative[i] else [0, 1, 2]
        losses = []
        for kind in kinds:
            no, yes = logits[kind]
            chosen = yes if kind == 0 else no
            losses.append(math.log(math.exp(no) + math.exp(yes)) - chosen)
        means.append(sum(losses) / len(losses))
    return sum(means) / len(means)


def test_total_is_the_weighted_sum_of_loops():
    objective, found = built(itc_weight=2.0, itm_weight=0.5, itg_weight=3.0), output()
    losses = objective(found, KEYS)
    contrast = contrast_loops(found, 0.1, objective.logit_scale)
    captions = sum(found.caption_losses.tolist()) / BATCH
    expected = 2.0 * contrast + 0.5 * matching_loops(found) + 3.0 * captions
    assert abs(losses.total.item() - expected) < 1e-5
    assert abs(float(losses.terms["itc"]) - contrast) < 1e-5
    assert abs(float(losses.terms["itm"]) - matching_loops(found)) < 1e-6


def test_all_parts_get_gradients():
    objective, found = built(), output()
    objective(found, KEYS).total.backward()
    for value in (found.image_embeds, found.text_embeds, found.match_logits, found.caption_losses):
        assert value.grad is not None
        assert value.grad.abs().sum() > 0
    assert all(p.grad is not None for p in objective.parameters())


def test_one_vector_a_picture_is_plain_cosine():
    found = output()
    scores = query_similarities(found.image_embeds[:, :1], found.text_embeds, KEYS)
    torch.testing.assert_close(scores.images, found.image_embeds[:, 0] @ found.text_embeds.T)


def test_a_head_that_knows_only_the_prior_has_the_known_loss():
    """H(1/3) = 0.6365 nats: the floor of a matching head that cannot compare."""
    logits = torch.tensor([math.log(2 / 3), math.log(1 / 3)]).repeat(5, 3, 1)
    losses, correct = matching_losses(logits, torch.ones(5, dtype=torch.bool))
    assert losses.mean().item() == pytest.approx(0.6365, abs=5e-5)
    assert correct.mean().item() == pytest.approx(2 / 3)


def test_adaptive_contrast_remembers_pairs_and_is_restored():
    objective = built(itc=NitcConfig())
    objective.begin_step(0.0)
    losses = objective(output(), KEYS)
    assert {"itc", "itm", "itg", "itm_correct"} < set(losses.terms)
    stored = objective.memory()
    other = built(itc=NitcConfig())
    other.load_memory(stored)
    for name, value in other.memory().items():
        torch.testing.assert_close(value, stored[name], equal_nan=True)
    assert stored["keys"].tolist() == [0, 1, 2, 3]
    assert objective.noise_probabilities() == objective.itc.noise_probabilities()


def test_it_takes_what_the_model_gives():
    model = tiny_nevlp()
    batch = tiny_batch(model)
    losses = built()(output_of(model, batch), pair_keys([batch]))
    losses.total.backward()
    assert torch.isfinite(losses.total)


def test_an_objective_of_another_kind_is_refused():
    with pytest.raises(ConfigError, match="nitc or label_smoothing"):
        NevlpObjectiveConfig(itc=ClipConfig()).build()
    with pytest.raises(ConfigError, match="weights"):
        NevlpObjectiveConfig(itc=LabelSmoothingConfig(), itm_weight=-1.0)
