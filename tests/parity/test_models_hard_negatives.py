"""Hard negatives: never the own pair, drawn as often as the published softmax says.

Li et al. 2021, arXiv 2107.07651, section 3.1. The share drawn is compared with the float64 softmax
at 5 standard errors.
"""

import math
from collections import Counter

import torch

from tests.support.embeddings import random_pairs
from vlsuite.models.nevlp.hard_negatives import Contents, hard_negatives

SCALE = 3.0


def contents(count: int, *, identities: list[int] | None = None) -> Contents:
    """Pairs whose picture and text can be recognised by number."""
    numbers = torch.arange(count)
    return Contents(
        image_tokens=numbers[:, None, None].float(),
        concept_ids=numbers[:, None],
        token_ids=numbers[:, None] + 100,
        identities=torch.tensor(identities) if identities else numbers,
    )


def drawn(given: Contents, times: int = 1, *, queries: int = 2):
    count = len(given.identities)
    images = random_pairs(count * queries, 6, seed=1).images.detach()
    texts = random_pairs(count, 6, seed=2).texts.detach()
    images = images.reshape(count, queries, 6)
    torch.manual_seed(0)
    found = [
        hard_negatives(given, images, texts, scale=SCALE, everywhere=True) for _ in range(times)
    ]
    return images, texts, found


def test_negatives_are_drawn_from_the_softmax():
    times = 4000
    images, texts, found = drawn(contents(5), times)
    chosen = Counter(int(negatives.token_ids[0]) - 100 for negatives in found)
    cosines = [
        max(float(q.double() @ texts[j].double()) for q in images[0]) * SCALE for j in range(1, 5)
    ]
    total = sum(math.exp(c) for c in cosines)
    for j, cosine in enumerate(cosines, start=1):
        share = math.exp(cosine) / total
        error = math.sqrt(share * (1 - share) / times)
        assert abs(chosen[j] / times - share) < 5 * error
    pictures = Counter(int(negatives.image_tokens[0, 0, 0]) for negatives in found)
    cosines = [
        max(float(q.double() @ texts[0].double()) for q in images[j]) * SCALE for j in range(1, 5)
    ]
    total = sum(math.exp(c) for c in cosines)
    for j, cosine in enumerate(cosines, start=1):
        share = math.exp(cosine) / total
        error = math.sqrt(share * (1 - share) / times)
        assert abs(pictures[j] / times - share) < 5 * error


def test_a_picture_brings_its_concepts():
    _, _, found = drawn(contents(5), 20)
    for negatives in found:
        assert torch.equal(negatives.image_tokens[:, 0, 0].long(), negatives.concept_ids[:, 0])


def test_same_identity_and_same_caption_are_no_negatives():
    given = contents(5, identities=[0, 0, 1, 2, 3])
    given.token_ids[3] = given.token_ids[2]
    _, _, found = drawn(given, 200)
    for negatives in found:
        images, texts = negatives.image_tokens[:, 0, 0].tolist(), negatives.token_ids[:, 0] - 100
        assert negatives.has_one.all()
        assert set(images[:2]) <= {2, 3, 4}
        assert set(texts[:2].tolist()) <= {2, 4}
        assert images[2] in {0, 1, 4}
        assert images[3] in {0, 1, 4}


def test_a_batch_of_one_identity_has_none():
    _, _, found = drawn(contents(3, identities=[7, 7, 7]))
    assert not found[0].has_one.any()
    _, _, found = drawn(contents(1))
    assert not found[0].has_one.any()
