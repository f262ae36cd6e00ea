import shutil
from pathlib import Path

import pytest
from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

from data_pipelines.sources.image_folder import ImageFolder
from data_pipelines.sources.source import Target
from eval.data.folders import open_dataset
from eval.errors import EvaluationError
from eval.task_choices import TaskChoices
from eval.zero_shot.classification import ZeroShotClassification
from eval.zero_shot.templates import (
    TEMPLATE_SETS,
    TEMPLATES_NAME,
    prompt_lines,
    templates_for,
    templates_from,
)
from tests.support.shards import picture


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


def _class_folders(root, names):
    for label, name in enumerate(names):
        for number in range(3):
            path = root / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture(10 * label + number))
    return root


@pytest.mark.parametrize(
    ("folders", "count"),
    [
        (["race_car", "zebra-fish"], 5),
        (["goldfish", "tiger_shark"], 80),
        (["n01440764", "n01443537"], 80),
    ],
)
def test_the_same_data_gets_the_same_prompts_whatever_its_form(tmp_path, folders, count):
    """Class folders, a built set, a set built without templates, and plain shards with names."""
    root = _class_folders(tmp_path / "photos", folders)
    source = ImageFolder(folder=root, captions="folder")
    source.build(Target(out_dir=tmp_path / "built", layout="benchmark"))
    source.build(Target(out_dir=tmp_path / "plain"))
    bare = shutil.copytree(tmp_path / "built", tmp_path / "bare")
    (bare / TEMPLATES_NAME).unlink()
    names = str(tmp_path / "built" / "classnames.txt")
    datasets = [
        open_dataset(str(root)),
        open_dataset(str(tmp_path / "built")),
        open_dataset(str(bare)),
        open_dataset(str(tmp_path / "plain"), class_names=names),
    ]
    choices = TaskChoices()
    assert len({dataset.layout.classes.names for dataset in datasets}) == 1
    assert [dataset.labels.tolist() for dataset in datasets] == [[0, 0, 0, 1, 1, 1]] * 4
    found = {templates_for(dataset, choices) for dataset in datasets}
    assert [len(templates) for templates in found] == [count]


def test_prompts_are_named_with_their_source(tmp_path):
    root = _class_folders(tmp_path / "photos", ["cat", "dog"])
    dataset = open_dataset(str(root))

    def line(choices):
        (told,) = prompt_lines([ZeroShotClassification.build(dataset, choices)], choices.templates)
        return told

    assert line(TaskChoices()) == (
        "photos (all): 5 prompts a class, the default set 'simple' ('a photo of a {c}.', ...)"
    )
    assert "1 prompt a class, as chosen" in line(TaskChoices(templates=("a {c}",)))
    (root / TEMPLATES_NAME).write_text("one {c}\n")
    dataset = open_dataset(str(root))
    assert f"1 prompt a class, of the data set's own {TEMPLATES_NAME}" in line(TaskChoices())
