"""One optimizer step of a model that embeds pairs and writes captions (see ``objectives.coca``).

The contrast is computed as in the contrastive step: over the whole global batch at once, with the
embeddings' gradients replayed through each micro-batch. Each micro-batch adds its part of the
captioning loss on the way, divided by the tokens of the global batch. So accumulation, like more
processes, changes neither the loss nor any gradient.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from vlsuite.batches.batch import Batch
from vlsuite.batches.pairs import PairBatch
from vlsuite.engine.steps import steps
from vlsuite.engine.steps.contrastive import (
    contrastive_step,
    embed,
    gradient_of,
    surrogate,
)
from vlsuite.engine.steps.dropout import seed_dropout
from vlsuite.models.coca.encoder import CocaOutput
from vlsuite.objectives import gather
from vlsuite.objectives.coca import CocaObjective, global_tokens
from vlsuite.objectives.contrastive import ContrastiveObjective
from vlsuite.objectives.objective import Losses
from vlsuite.objectives.pair_keys import pair_keys


@steps.register("coca")
def coca_step(
    engine: Any,
    objective: CocaObjective | ContrastiveObjective,
    micro_batches: Sequence[PairBatch],
    *,
    encode: Callable[[Batch], Any],
    world_size: int,
    step_seed: int,
) -> Losses:
    """Contrast and captions of the global batch; the contrast alone where that is all; ``Step``."""
    if isinstance(objective, ContrastiveObjective):
        return contrastive_step(
            engine,
            objective,
            micro_batches,
            encode=encode,
            world_size=world_size,
            step_seed=step_seed,
        )
    kept, image_embeds, text_embeds = embed(micro_batches, engine, encode, step_seed)
    image_leaf, text_leaf = image_embeds.requires_grad_(), text_embeds.requires_grad_()
    keys = pair_keys(micro_batches).to(image_leaf.device)
    contrast = objective.contrast_losses(image_leaf, text_leaf, keys)
    contrast.total.backward()
    num_tokens = global_tokens(_labels(micro_batches, engine.module.pad_id, image_leaf.device))
    sizes = [len(batch) for batch in micro_batches]
    # The engine averages over processes, and a sum is wanted: hence the factor.
    image_gradients = (gradient_of(image_leaf) * world_size).split(sizes)
    text_gradients = (gradient_of(text_leaf) * world_size).split(sizes)
    written = image_leaf.new_zeros(())
    for number, batch in enumerate(micro_batches):
        output: CocaOutput | None = kept
        if output is None:
            seed_dropout(step_seed, number)
            output = encode(batch)
        assert output is not None
        assert output.caption_nats is not None
        captions = objective.caption_loss(output.caption_nats, num_tokens)
        pulled = surrogate(output[:2], image_gradients[number], text_gradients[number])
        engine.backward(captions * world_size + pulled, scale_wrt_gas=False)
        engine.step()
        written += output.caption_nats.detach().sum()
    caption = gather.all_reduce_sum_(written) / num_tokens
    total = contrast.total.detach() + objective.caption_weight * caption
    terms = {name: term.detach() for name, term in contrast.terms.items()}
    return Losses(total, terms | {"caption": caption})


def _labels(micro_batches: Sequence[PairBatch], pad_id: int, device: torch.device) -> Tensor:
    """Tokens that are predicted: all but the first of a caption, without padding."""
    count = sum(int((batch.token_ids[:, 1:] != pad_id).sum()) for batch in micro_batches)
    return torch.tensor(float(count), device=device)
