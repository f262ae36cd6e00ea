"""Named sets of prompt templates; ``{c}`` stands for the class name."""

from collections.abc import Callable, Sequence
from pathlib import Path

from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES, SIMPLE_IMAGENET_TEMPLATES

from eval.data.dataset import EvalDataset
from eval.data.word_lists import read_templates
from eval.errors import EvaluationError
from eval.task_choices import TaskChoices

_SIMPLE = (
    "a photo of a {c}.",
    "a photo of the {c}.",
    "a picture of a {c}.",
    "a close-up photo of a {c}.",
    "a {c}.",
)

# The 18 prompts published for CIFAR-10 and CIFAR-100 (openai/CLIP, data/prompts.md): nine
# kinds of photo, each with either article.
_CIFAR = tuple(
    kind.replace("ART", article)
    for article in ("a", "the")
    for kind in (
        "a photo of ART {c}.",
        "a blurry photo of ART {c}.",
        "a black and white photo of ART {c}.",
        "a low contrast photo of ART {c}.",
        "a high contrast photo of ART {c}.",
        "a bad photo of ART {c}.",
        "a good photo of ART {c}.",
        "a photo of ART small {c}.",
        "a photo of ART big {c}.",
    )
)


def _with_placeholder(templates: Sequence[Callable[[str], str]]) -> tuple[str, ...]:
    return tuple(template("{c}") for template in templates)


TEMPLATE_SETS: dict[str, tuple[str, ...]] = {
    "simple": _SIMPLE,
    "cifar10": _CIFAR,
    "imagenet": _with_placeholder(OPENAI_IMAGENET_TEMPLATES),
    "imagenet-simple": _with_placeholder(SIMPLE_IMAGENET_TEMPLATES),
}


def templates_from(source: str) -> tuple[str, ...]:
    """A named set, or the lines of a file.

    Raises:
        EvaluationError: neither a known name nor a file, or a broken file.
    """
    if source in TEMPLATE_SETS:
        return TEMPLATE_SETS[source]
    if Path(source).is_file():
        return read_templates(Path(source))
    raise EvaluationError(
        f"unknown template set '{source}', and no such file; known sets: "
        f"{', '.join(sorted(TEMPLATE_SETS))}, or give a file with one template a line"
    )


def no_classes(dataset: EvalDataset) -> str | None:
    """What a data set lacks for classification, None where nothing."""
    if dataset.labels is not None and dataset.layout.classes is not None:
        return None
    return (
        f"{dataset.title} has no class labels (cls members) or no class names (--class-names); "
        "use --task retrieval"
    )


def templates_for(dataset: EvalDataset, choices: TaskChoices) -> tuple[str, ...]:
    """The user's templates, else the data set's own, else the set "simple"."""
    classes = dataset.layout.classes
    own = classes.templates if classes else None
    return choices.templates or own or TEMPLATE_SETS["simple"]
