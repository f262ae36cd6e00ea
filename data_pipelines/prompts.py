"""The prompts that a set of classes gets where nobody chose any: they follow from its class names.

So the same data gets the same prompts as class folders, as plain shards and as a built set. Shards
that are built with classes carry them as text, for readers that have no default of their own.
"""

import re
from collections.abc import Sequence
from functools import cache

#: For classes of any kind.
SIMPLE_TEMPLATES = (
    "a photo of a {c}.",
    "a photo of the {c}.",
    "a picture of a {c}.",
    "a close-up photo of a {c}.",
    "a {c}.",
)

#: Names of the sets of prompts that can be chosen; ``eval.zero_shot.templates`` has their texts.
TEMPLATE_SETS = ("simple", "cifar10", "imagenet", "imagenet-simple")

_WORDNET_ID = re.compile(r"n\d{8}")


def default_templates(class_names: Sequence[str]) -> tuple[str, ...]:
    """The 80 prompts of ImageNet where all classes are among its 1,000, else ``SIMPLE_TEMPLATES``.

    Args:
        class_names: open_clip's names of ImageNet's classes, WordNet ids, or any others.
    """
    if not class_names:
        return SIMPLE_TEMPLATES
    if all(_WORDNET_ID.fullmatch(name) for name in class_names):
        return _imagenet().templates
    return _imagenet().templates if _imagenet().names.issuperset(class_names) else SIMPLE_TEMPLATES


class _ImageNet:
    """Names of the classes and prompts, as open_clip has them."""

    def __init__(self) -> None:
        # Imported here because it brings torch along, which takes seconds.
        from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES

        self.names = frozenset(IMAGENET_CLASSNAMES)
        self.templates = tuple(template("{c}") for template in OPENAI_IMAGENET_TEMPLATES)


@cache
def _imagenet() -> _ImageNet:
    return _ImageNet()
