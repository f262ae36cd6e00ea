"""Prompt ensembles: one vector a class.

Radford et al. 2021, arXiv 2103.00020, section 3.1.4: a class is the mean of its prompts.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from data_pipelines.texts import listed

#: Prompts embedded in one call; with 80 templates this is about a hundred classes.
PROMPTS_AT_A_TIME = 8192


def class_embeds(
    embed_texts: Callable[[Sequence[str]], Float[Tensor, "texts embed_dim"]],
    class_names: Sequence[str],
    templates: Sequence[str],
) -> Float[Tensor, "classes embed_dim"]:
    """One unit vector a class: embed, normalise each prompt, average, normalise.

    Prompts of many classes go into each call; equal names are embedded once, so that their
    vectors are the same to the last bit.

    Args:
        embed_texts: unit-norm embeddings of texts, in order.
        class_names: at least one.
        templates: at least one, with ``{c}``.
    """
    class_names, templates = listed(class_names), listed(templates)
    distinct = {name: i for i, name in enumerate(dict.fromkeys(class_names))}
    names = list(distinct)
    step = max(1, PROMPTS_AT_A_TIME // len(templates))
    prototypes: list[Tensor] = []
    for start in range(0, len(names), step):
        group = names[start : start + step]
        prompts = [template.replace("{c}", name) for name in group for template in templates]
        by_prompt = F.normalize(embed_texts(prompts), dim=-1)
        by_class = by_prompt.split(len(templates))
        prototypes += [F.normalize(prompt_embeds.mean(dim=0), dim=-1) for prompt_embeds in by_class]
    return torch.stack(prototypes)[[distinct[name] for name in class_names]]
