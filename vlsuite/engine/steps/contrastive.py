"""One optimizer step over one full contrastive batch, however it is split.

The objective sees the embeddings of the whole global batch at once; the towers see one
micro-batch at a time (Gao et al. 2021, arXiv 2101.06983, "gradient cache"):

1. embed every micro-batch; with one of them keep its graph, with several keep nothing;
2. the loss and its gradients with respect to the embeddings and the logit scale, once;
3. backpropagate the embedding gradients through the towers, re-embedding each micro-batch where
   its graph was not kept, with the same dropout masks.

So accumulation changes memory and time but neither the loss nor any gradient, except through
batch norm, whose statistics are those of one micro-batch. The logit scale gets its gradient once,
not once a micro-batch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vlsuite.batches.batch import Batch
from vlsuite.batches.captioned import CaptionedBatch
from vlsuite.engine.steps import steps
from vlsuite.engine.steps.dropout import seed_dropout
from vlsuite.objectives.contrastive import ContrastiveObjective
from vlsuite.objectives.objective import Losses
from vlsuite.objectives.pair_keys import pair_keys

#: What comes out begins with both embeddings: ``Embeddings``, or a tuple of a family's own.
Encode = Callable[[Batch], Any]


@steps.register("contrastive")
def contrastive_step(
    engine: Any,
    objective: ContrastiveObjective,
    micro_batches: Sequence[CaptionedBatch],
    *,
    encode: Encode,
    world_size: int,
    step_seed: int,
) -> Losses:
    """Loss of the global batch, whose pairs are all compared with each other; see ``Step``."""
    kept, image_embeds, text_embeds = embed(micro_batches, engine, encode, step_seed)
    image_leaf, text_leaf = image_embeds.requires_grad_(), text_embeds.requires_grad_()
    keys = pair_keys(micro_batches).to(image_leaf.device)
    losses = objective(image_leaf, text_leaf, keys)
    losses.total.backward()
    sizes = [len(batch) for batch in micro_batches]
    # The engine averages over processes, and a sum is wanted: hence the factor.
    # A frozen tower's rows have gradients too; they end in surrogate, which drops them.
    image_gradients = (gradient_of(image_leaf) * world_size).split(sizes)
    text_gradients = (gradient_of(text_leaf) * world_size).split(sizes)
    for number, batch in enumerate(micro_batches):
        embeddings = kept
        if embeddings is None:
            seed_dropout(step_seed, number)
            embeddings = encode(batch)
        pulled = surrogate(embeddings, image_gradients[number], text_gradients[number])
        assert isinstance(pulled, Tensor), "nothing to train; build_optimizer refuses this earlier"
        engine.backward(pulled, scale_wrt_gas=False)
        engine.step()
    return Losses(
        losses.total.detach(), {name: term.detach() for name, term in losses.terms.items()}
    )


def embed(
    micro_batches: Sequence[Batch], engine: Any, encode: Encode, step_seed: int
) -> tuple[Any, Tensor, Tensor]:
    """(output with its graph, or None with several micro-batches; all image rows; all text rows).

    Rows are copies without a graph.
    """
    if len(micro_batches) == 1:
        seed_dropout(step_seed, 0)
        kept = encode(micro_batches[0])
        return kept, _rows([kept.image_embeds]), _rows([kept.text_embeds])
    parts = []
    with torch.no_grad(), frozen_batch_norm(engine.module):
        for number, batch in enumerate(micro_batches):
            seed_dropout(step_seed, number)
            parts.append(encode(batch))
    return None, _rows([p.image_embeds for p in parts]), _rows([p.text_embeds for p in parts])


def surrogate(
    embeddings: tuple[Tensor | None, Tensor | None], image_gradient: Tensor, text_gradient: Tensor
) -> Tensor | float:
    """A scalar whose gradient for each embedding is the given one; 0.0 where both are frozen."""
    total: Tensor | float = 0.0
    for embeds, gradient in zip(embeddings, (image_gradient, text_gradient), strict=True):
        if embeds is not None and embeds.requires_grad:
            total = total + (embeds * gradient).sum()
    return total


@contextmanager
def frozen_batch_norm(module: nn.Module) -> Iterator[None]:
    """Keep running statistics still, so that embedding a batch twice counts it once."""
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    previous = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, previous, strict=True):
            norm.momentum = momentum


def _rows(parts: Sequence[Tensor | None]) -> Tensor:
    return torch.cat([part.detach() for part in parts if part is not None])


def gradient_of(leaf: Tensor) -> Tensor:
    """The gradient that the objective left."""
    assert leaf.grad is not None, "the objective gave no gradient for its input"
    return leaf.grad
