"""Named sets of prompt templates; ``{c}`` stands for the class name."""

from collections.abc import Callable, Sequence
from pathlib import Path

from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES, SIMPLE_IMAGENET_TEMPLATES

from data_pipelines.prompts import SIMPLE_TEMPLATES, default_templates
from eval.contract import Benchmark
from eval.data.dataset import EvalDataset
from eval.data.word_lists import read_templates
from eval.errors import EvaluationError
from eval.task_choices import TaskChoices

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


#: Name of the file that holds the prompts of a data set.
TEMPLATES_NAME = "zeroshot_classification_templates.txt"


def _with_placeholder(templates: Sequence[Callable[[str], str]]) -> tuple[str, ...]:
    return tuple(template("{c}") for template in templates)


TEMPLATE_SETS: dict[str, tuple[str, ...]] = {
    "simple": SIMPLE_TEMPLATES,
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
    """The user's templates, else the data set's own, else those that its class names get.

    The last are "imagenet" where all names are among ImageNet's, else "simple", whatever the form
    of the data.
    """
    classes = dataset.layout.classes
    own = classes.templates if classes else None
    return choices.templates or own or default_templates(classes.names if classes else ())


def prompt_lines(
    benchmarks: Sequence[Benchmark], chosen: tuple[str, ...] | None = None
) -> list[str]:
    """Which prompts each data set is measured with and where they come from, one line each.

    Args:
        chosen: by the user; None where nothing was chosen.
    """
    lines: dict[str, None] = {}
    for benchmark in benchmarks:
        templates = benchmark.settings().get("templates")
        if isinstance(templates, list) and templates:
            source = _source_of(tuple(map(str, templates)), benchmark.dataset, chosen)
            count = f"{len(templates)} prompt{'s' if len(templates) > 1 else ''} a class"
            first = f"'{templates[0]}'" + (", ..." if len(templates) > 1 else "")
            lines[f"{benchmark.dataset.title}: {count}, {source} ({first})"] = None
    return list(lines)


def _source_of(
    templates: tuple[str, ...], dataset: EvalDataset, chosen: tuple[str, ...] | None
) -> str:
    classes = dataset.layout.classes
    if chosen == templates:
        return "as chosen (--templates)"
    pictures = dataset.layout.pictures
    if pictures is not None and pictures.templates == templates:
        return "those published with the data set"
    if classes is not None and classes.templates == templates:
        return f"of the data set's own {TEMPLATES_NAME}"
    names = [name for name, known in TEMPLATE_SETS.items() if known == templates]
    return f"the default set '{names[0]}'" if names else "those of the task"
