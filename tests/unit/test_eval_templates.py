from pathlib import Path

import pytest
from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

from eval.errors import EvaluationError
from eval.zero_shot.templates import TEMPLATE_SETS, templates_from


def test_published_sets_have_their_published_sizes() -> None:
    """Counts of the evaluation spec: ImageNet 80, its simple set 7, CIFAR 18."""
    sizes = {name: len(set(templates)) for name, templates in TEMPLATE_SETS.items()}
    assert sizes["imagenet"] == 80
    assert sizes["imagenet-simple"] == 7
    assert sizes["cifar10"] == 18
    assert all("{c}" in t for templates in TEMPLATE_SETS.values() for t in templates)


def test_placeholder_stands_where_open_clip_puts_the_name() -> None:
    ours = [template.replace("{c}", "hen") for template in TEMPLATE_SETS["imagenet"]]
    assert ours == [template("hen") for template in OPENAI_IMAGENET_TEMPLATES]


def test_file_or_named_set(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("a sketch of {c}\n\nthe {c}\n")
    assert templates_from(str(path)) == ("a sketch of {c}", "the {c}")
    with pytest.raises(EvaluationError, match="known sets: cifar10, imagenet"):
        templates_from("imagnet")
