"""The commands under "Pictures with boxes" in README.md, on a miniature of COCO as distributed."""

import json
import re
import shlex
from pathlib import Path

from data_pipelines.detection.detection_set import open_detection_set
from data_pipelines.detection.splits import COCO_BASE, COCO_NOVEL
from data_pipelines.skips import Skips
from tests.support.detection_files import annotation, coco, jpeg, write_coco
from tests.support.shards import write_tar
from vlsuite.cli.main import main

README = Path(__file__).parents[2] / "README.md"

#: Sizes of the scenes that fit into a test.
_SMALL = ["--train", "20", "--validation", "3", "--test", "5", "--teacher-pairs", "6"]


def _commands() -> list[list[str]]:
    section = README.read_text(encoding="utf-8").partition("\n## Pictures with boxes\n")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    lines = block[1].replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines]


def test_the_commands_work_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = (*COCO_NOVEL, "stop sign", *COCO_BASE)
    content = coco(
        categories=[{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    )
    content["annotations"].append(annotation(4, 9, 18, [1, 1, 5, 5]))
    content["annotations"][1:3] = [content["annotations"][1] | {"category_id": 1}]
    write_coco(tmp_path, content).rename(tmp_path / "instances_val2017.json")
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(jpeg(200, 170, seed=number))
    for command in _commands():
        is_scenes = "detection-scenes" in command
        assert main(command + (_SMALL if is_scenes else [])) == 0
    told = capsys.readouterr().out
    assert "skipped 1: category outside the split" in told
    assert "novel" not in told.splitlines()[-1]
    assert (tmp_path / "boxes.png").stat().st_size > 10_000
    for path, count in (("data/coco-val", 3), ("data/scenes/test", 5), ("data/scenes/train", 20)):
        assert len(list(open_detection_set(Path(path), skips=Skips()).samples())) == count
    assert main(["data", "validate", "data/coco-val", "data/scenes"]) == 0


def test_a_held_out_set_is_a_json_beside_a_tar(tmp_path):
    categories = [
        {"id": 1, "name": "owl", "group": "novel"},
        {"id": 2, "name": "cat", "group": "base"},
    ]
    size = {"width": 40, "height": 30}
    content = {
        "images": [{"id": n, "file_name": f"00000{n}.jpg", **size} for n in (1, 2)],
        "categories": categories,
        "annotations": [annotation(1, 2, 1, [1, 2, 10, 10])],
    }
    folder = tmp_path / "held_out"
    folder.mkdir()
    (folder / "instances.json").write_text(json.dumps(content))
    write_tar(folder / "pictures.tar", [(f"00000{n}.jpg", jpeg(40, 30)) for n in (1, 2)])
    opened = open_detection_set(folder, skips=Skips())
    assert opened.vocabulary.rows_of_group("novel") == (0,)
    assert [one.annotations.num_objects for one in opened.samples()] == [0, 1]
