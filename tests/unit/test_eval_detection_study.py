"""Detection study: figures by hand, seeds and pictures in intervals, what a cell is called."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from eval.detection.regions import Found
from eval.errors import EvaluationError
from eval.studies.detection.detecting import pictures_in
from eval.studies.detection.folders import StudyFolders
from eval.studies.detection.measures import (
    Measures,
    measured,
    read_measures,
    write_measures,
)
from eval.studies.detection.records import load_heads
from eval.studies.detection.run import refuse_other_study
from eval.studies.detection.settings import Cell, DetectionStudyConfig, cells_of
from eval.studies.detection.statistics import Statistics
from tests.support.detection_shards import write_squares
from vlsuite.engine.run_folder import write_json


def perfect(pictures, *, move: float = 0.0) -> Found:
    """What is marked, found again."""
    images, labels, boxes = [], [], []
    for number, one in enumerate(pictures.annotations):
        for box, label in zip(one.boxes, one.labels, strict=True):
            images.append(number)
            labels.append(label)
            boxes.append([box[0] + move, box[1], box[2] - box[0], box[3] - box[1]])
    count = len(images)
    return Found(
        np.array(images), np.array(labels), np.array(boxes, np.float64), np.linspace(1, 0.5, count)
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return pictures_in(write_squares(tmp_path_factory.mktemp("squares"), 12))


class TestMeasures:
    def test_all_found_is_one(self, pictures):
        found = measured(perfect(pictures), pictures, num_drawn=20)
        assert found.ap50 == {"base": 1.0, "novel": 1.0}
        assert found.ap == {"base": 1.0, "novel": 1.0}
        np.testing.assert_allclose(found.drawn["base"], 1.0)

    def test_moved_boxes_lose_the_strict_overlaps_alone(self, pictures):
        found = measured(perfect(pictures, move=3.0), pictures, num_drawn=5)
        assert found.ap50["base"] == 1.0
        assert found.ap["base"] < 1.0

    def test_kept_and_read_again(self, pictures, tmp_path: Path):
        found = measured(perfect(pictures), pictures, num_drawn=5)
        write_measures(tmp_path / "m.npz", found)
        again = read_measures(tmp_path / "m.npz")
        assert again.ap50 == found.ap50
        np.testing.assert_array_equal(again.drawn["novel"], found.drawn["novel"])


def measures(novel: float, base: float = 0.5, *, wave: float = 0.0) -> Measures:
    drawn = {
        name: value + wave * np.sin(np.arange(1000)) for name, value in
        (("base", base), ("novel", novel))
    }  # fmt: skip
    return Measures({"base": base, "novel": novel}, {"base": 0.0, "novel": 0.0}, 0.0, drawn,
                    np.zeros(4))  # fmt: skip


class TestStatistics:
    def test_differences_are_paired_by_picture(self):
        cells = {Cell("text", s): measures(0.1, wave=0.05) for s in range(3)}
        cells |= {Cell("vild", s): measures(0.3, wave=0.05) for s in range(3)}
        found = Statistics(cells, num_pictures=100)
        one, gap = found.ap50("vild", "novel"), found.difference("vild", "text", "novel")
        assert one is not None
        assert gap is not None
        assert one.value == pytest.approx(0.3)
        assert one.high - one.low > 0.1
        assert gap.value == pytest.approx(0.2)
        assert gap.num_seeds == 3

    def test_seeds_widen_the_interval(self):
        same = {Cell("vild", s): measures(0.3, wave=0.01) for s in range(3)}
        other = {Cell("vild", s): measures(0.2 + 0.1 * s, wave=0.01) for s in range(3)}
        narrow, wide = (
            Statistics(one, num_pictures=100).ap50("vild", "novel") for one in (same, other)
        )
        assert narrow is not None
        assert wide is not None
        assert narrow.value == pytest.approx(wide.value)
        assert wide.high - wide.low > 3 * (narrow.high - narrow.low)

    def test_only_common_seeds_are_compared(self):
        cells = {Cell("text", 0): measures(0.1), Cell("vild", 0): measures(0.2)}
        cells[Cell("vild", 1)] = measures(0.9)
        found = Statistics(cells, num_pictures=10).difference("vild", "text", "novel")
        assert found is not None
        assert found.value == pytest.approx(0.1)
        assert found.num_seeds == 1

    def test_crop_has_no_seeds(self):
        cells = {Cell("crop"): measures(0.4)} | {Cell("vild", s): measures(0.3) for s in (4, 5)}
        found = Statistics(cells, num_pictures=10).difference("vild", "crop", "novel")
        assert found is not None
        assert found.value == pytest.approx(-0.1)

    def test_what_is_missing_is_none(self):
        found = Statistics({Cell("text", 0): measures(0.1)}, num_pictures=10)
        assert found.difference("vild", "text", "novel") is None
        assert found.permuted("vild") is None


class TestSettings:
    def test_cells_and_their_folders(self):
        names = [cell.name for cell in cells_of(("text", "image", "crop"), 2, first_seed=3)]
        assert names == [
            "text-seed3", "image-seed3", "text-seed4", "image-seed4", "crop",
            "image-shuffled-seed3",
        ]  # fmt: skip
        assert Cell("vild", 1, "fp32").name == "vild-fp32-seed1"

    def test_mistakes(self):
        with pytest.raises(EvaluationError, match="no mode 'magic'"):
            cells_of(("magic",), 1)
        with pytest.raises(EvaluationError, match="multiple of 32"):
            DetectionStudyConfig(side=100)

    def test_settings_of_heads_leave_the_base_alone(self):
        one = DetectionStudyConfig()
        two, three = dataclasses.replace(one, steps=7), dataclasses.replace(one, train=7)
        assert one.base_digest == two.base_digest != three.base_digest
        assert one.digest != two.digest
        assert one.digest == dataclasses.replace(one, judged="validation").digest

    def test_another_study_in_the_folder_is_kept(self, tmp_path: Path):
        folders, config = StudyFolders(tmp_path), DetectionStudyConfig()
        stored = dataclasses.asdict(config)
        write_json(folders.settings, {"base_digest": config.base_digest, "settings": stored})
        refuse_other_study(folders, dataclasses.replace(config, lr=0.5))
        with pytest.raises(EvaluationError, match=r"other settings \(train\)"):
            refuse_other_study(folders, dataclasses.replace(config, train=7))


def test_heads_are_read_back_and_damaged_ones_refused(tmp_path: Path) -> None:
    folders = StudyFolders(tmp_path)
    cell = Cell("image", 3)
    folder = folders.cell(cell)
    folder.mkdir(parents=True)
    result = {**cell._asdict(), "digest": "d"}
    with pytest.raises(EvaluationError, match="no finished head of a detection study"):
        load_heads(folders)
    write_json(folder / "test.json", result)
    with pytest.raises(EvaluationError, match=r"is damaged .* which repeats this head only"):
        load_heads(folders)
    (folder / "test.npz").write_bytes(b"PK")
    with pytest.raises(EvaluationError, match="is damaged"):
        load_heads(folders)
    write_json(folder / "test.json", cell._asdict())
    with pytest.raises(EvaluationError, match="no result of a detection study"):
        load_heads(folders)
    (folder / "test.json").write_text("{")
    with pytest.raises(EvaluationError, match="cannot be read"):
        load_heads(folders)
