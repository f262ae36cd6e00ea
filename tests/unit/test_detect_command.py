"""``vlsuite detect``: boxes in pictures, files, and mistakes in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vlsuite
from data_pipelines.detection.detection_set import open_detection_set
from data_pipelines.skips import Skips
from eval.contract import Detections, Detector, KeepsNames, KnowsNames, TakesExamples, WordsNames
from tests.support.detectors import NAMES, SIDE, squares, tiny_detector
from vlsuite.cli.main import main
from vlsuite.errors import ConfigError
from vlsuite.models.vild.folder import write_vild_folder
from vlsuite.models.vild.model import Vild


@pytest.fixture(scope="module")
def export(tmp_path_factory) -> str:
    """A detector of random weights, as ``vlsuite export`` writes one."""
    folder = tmp_path_factory.mktemp("detector") / "export"
    folder.mkdir()
    built = tiny_detector("vild")
    write_vild_folder(folder, built, dict(built.network.state_dict()), name="tiny")
    return str(folder)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Two pictures, one of them below a folder."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    for name, seed in (("a.png", 0), ("more/b.webp", 1)):
        Image.fromarray(squares(seed)[0]).save(folder / name, lossless=True)
    return folder


def _run(*arguments: object) -> int:
    return main(["detect", *map(str, arguments)])


def _found(out: Path) -> dict:
    return json.loads((out / "detections.json").read_text())


def test_boxes_are_drawn_and_written_as_coco(export, photos, tmp_path, capsys):
    out = tmp_path / "found"
    told = ("--model", export, "--out", out, "--threshold", 0, "--max-detections", 7, "--no-cache")
    assert _run(photos, "a red car", "a dog", *told) == 0
    content = _found(out)
    assert [one["file_name"] for one in content["images"]] == ["a.png", "more/b.webp"]
    assert [one["name"] for one in content["categories"]] == ["a red car", "a dog"]
    assert len(content["annotations"]) == 14
    scores = [one["score"] for one in content["annotations"] if one["image_id"] == 1]
    assert scores == sorted(scores, reverse=True)
    for name in ("a.png", "more/b.webp.png"):
        with Image.open(out / "pictures" / name) as drawn:
            assert max(drawn.size) == 480
    table = capsys.readouterr().out
    assert "14 found in 2 pictures" in table
    assert "a red car" in table


def test_the_json_is_an_annotation_file_of_the_same_pictures(export, photos, tmp_path):
    out = tmp_path / "found"
    found = vlsuite.detect(export, photos, NAMES, out=out, threshold=0.0, max_detections=5)
    opened = open_detection_set(found.file, skips=Skips(), images=photos)
    for sample, one in zip(opened.samples(), found.pictures, strict=True):
        np.testing.assert_allclose(sample.annotations.boxes, one.found.boxes, atol=2e-3)
        assert sample.annotations.labels.tolist() == one.found.labels.tolist()


def test_the_model_is_the_one_of_evaluation(export, photos):
    found = vlsuite.detect(export, photos / "a.png", NAMES, threshold=0.0, max_detections=9)
    pixels = torch.from_numpy(squares(0)[0]).permute(2, 0, 1)
    (wanted,) = vlsuite.load_model(export).detect([pixels], NAMES, max_detections=9)
    assert torch.equal(found.pictures[0].found.boxes, wanted.boxes)
    assert torch.equal(found.pictures[0].found.scores, wanted.scores)
    assert max(found.best.values()) == pytest.approx(float(wanted.scores.max()))


def test_boxes_are_of_the_upright_picture(export, tmp_path):
    """A picture that lies on its side, and the same stored upright, have equal finds."""
    picture = Image.fromarray(np.concatenate([squares(3)[0], squares(4)[0]], axis=1))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "lying.png", exif=exif)
    picture.save(tmp_path / "upright.png")
    found = [
        vlsuite.detect(export, tmp_path / name, NAMES, threshold=0.0).pictures[0]
        for name in ("lying.png", "upright.png")
    ]
    assert found[0].size == found[1].size == (SIDE, 2 * SIDE)
    assert torch.equal(found[0].found.boxes, found[1].found.boxes)


def test_what_scores_too_little_is_told_but_not_kept(export, photos, tmp_path, capsys):
    assert _run(photos, *NAMES, "--model", export, "--out", tmp_path, "--threshold", 2) == 0
    assert _found(tmp_path)["annotations"] == []
    assert "(below 2)" in capsys.readouterr().out


def test_names_of_a_file_and_of_the_model(export, photos, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("a cup\n\na plate\n", encoding="utf-8")
    told = ("--model", export, "--out", tmp_path / "out", "--no-cache", "--json")
    assert _run(photos, "a fork", "--names-from", tmp_path / "names.txt", "--own-names", *told) == 0
    printed = json.loads(capsys.readouterr().out)
    assert list(printed["found"]) == ["a fork", "a cup", "a plate", *NAMES]
    assert printed["pictures"] == 2


def test_drawn_pictures_are_not_looked_at_again(export, photos, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    Image.fromarray(squares(0)[0]).save(folder / "a.png")
    for _ in range(2):
        assert _run(folder, "red", "--model", export, "--out", folder, "--threshold", 0) == 0
    assert len(_found(folder)["images"]) == 1


def test_broken_pictures_of_a_folder_are_counted(export, photos, tmp_path, capsys):
    folder = tmp_path / "own"
    folder.mkdir()
    Image.fromarray(squares(0)[0]).save(folder / "a.png")
    (folder / "b.png").write_bytes(b"no picture")
    assert _run(folder, "red", "--model", export, "--out", tmp_path / "out") == 0
    told = capsys.readouterr().out
    assert "1 could not be read" in told
    assert "      b.png: " in told
    assert len(_found(tmp_path / "out")["info"]["left_out"]) == 1
    (folder / "a.png").unlink()
    assert _run(folder, "red", "--model", export, "--out", tmp_path / "out") == 2
    assert _run(folder / "b.png", "red", "--model", export, "--out", tmp_path / "out") == 2


def _mistakes(folder: Path) -> dict[str, tuple[list[str], str]]:
    (folder / "empty").mkdir()
    (folder / "file").write_text("")
    (folder / "blank.txt").write_text("\n\n")
    Image.fromarray(squares(0)[0]).save(folder / "a.png")
    a = str(folder / "a.png")
    return {
        "no names": ([a], "nothing to look for"),
        "an empty name": ([a, "dog", " "], "name 2 of 2 is empty"),
        "a name twice": ([a, "dog", "a  cat", "a cat"], "'a cat' is asked for 2 times"),
        "word and picture": ([a, "a", "--like", a], "'a' is asked for 2 times"),
        "no such picture": ([str(folder / "none"), "dog"], "does not exist"),
        "no pictures": ([str(folder / "empty"), "dog"], "holds no picture"),
        "file as out": ([a, "dog", "--out", str(folder / "file")], "is a file; give a folder"),
        "no such example": ([a, "--like", "none.png=mug"], "none.png"),
        "broken example": ([a, "--like", f"{folder / 'file'}=mug"], "example"),
        "no names in file": ([a, "--names-from", str(folder / "blank.txt")], "no name in it"),
        "no such file": ([a, "--names-from", "none.txt"], "cannot read names"),
        "no such model": ([a, "dog", "--model", str(folder / "empty")], "no model in"),
        "prompts": ([a, "dog", "--prompts", "none"], "prompts 'none' are neither a file"),
        "settings": ([a, "dog", "--set", "x=1", "--set", "y=2"], "no settings; leave x=1, y=2 out"),
        "two caches": ([a, "dog", "--cache", "x", "--no-cache"], "exclude each other"),
        "threshold": ([a, "dog", "--threshold", "-1"], "give 0 or more"),
    }


@pytest.mark.parametrize("mistake", [
    "no names", "an empty name", "a name twice", "word and picture", "no such picture",
    "no pictures", "file as out", "no such example", "broken example", "no names in file",
    "no such file", "no such model", "prompts", "settings", "two caches",
    "threshold",
])  # fmt: skip
def test_mistakes_are_one_line(mistake, export, tmp_path, capsys):
    given, words = _mistakes(tmp_path)[mistake]
    usual = ["--model", export, "--out", str(tmp_path / "out")]
    assert _run(*usual, *given) == 2
    told = capsys.readouterr().err.strip()
    assert words in told
    assert len(told.splitlines()) == 1


def test_a_model_that_cannot_detect_is_one_line(photos, tmp_path, capsys):
    from tests.support.detectors import teacher_folder

    assert _run(photos, "dog", "--model", f"local-dir:{teacher_folder()}", "--out", tmp_path) == 2
    assert "detects nothing in pictures" in capsys.readouterr().err


class Plugin:
    """A detector of one's own: the whole picture, named first."""

    name, fingerprint = "plugin", "0"

    def detect(self, images, vocabulary, *, max_detections, names_per_pass=None):
        boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [1.0, 1.0, 5.0, 5.0]])
        found = Detections(boxes, torch.tensor([0.4, 0.9]), torch.tensor([0, 0]))
        return [found for _ in images]


def test_any_detector_will_do_and_its_best_comes_first(photos):
    assert isinstance(Plugin(), Detector)
    found = vlsuite.detect(Plugin(), photos, "thing", max_detections=1)
    assert [one.found.scores.tolist() for one in found.pictures] == [[pytest.approx(0.9)]] * 2
    for wrong in ({"like": {"mug": photos / "a.png"}}, {"prompts": "plain"}):
        with pytest.raises(ConfigError, match="plugin"):
            vlsuite.detect(Plugin(), photos, "thing", **wrong)


def test_vild_can_do_all_of_it():
    model = Vild("x", tiny_detector("text"), device=torch.device("cpu"))
    for protocol in (KnowsNames, WordsNames, TakesExamples, KeepsNames):
        assert isinstance(model, protocol)


def test_prompts_change_scores_and_fingerprint(export, photos):
    plain = vlsuite.detect(export, photos, NAMES, threshold=0.0)
    worded = vlsuite.detect(export, photos, NAMES, threshold=0.0, prompts="a drawing of a {c}")
    assert plain.best != worded.best
    model = vlsuite.load_model(export)
    assert model.with_prompts(["a drawing of a {c}"]).fingerprint != model.fingerprint
    with pytest.raises(ConfigError, match="for the name"):
        vlsuite.detect(export, photos, NAMES, prompts=["a drawing"])


def test_names_too_many_for_a_table(photos, tmp_path, export, capsys):
    (tmp_path / "many.txt").write_text("\n".join(f"thing {n}" for n in range(30)))
    told = ("--model", export, "--out", tmp_path / "out")
    assert _run(photos, "--names-from", tmp_path / "many.txt", *told) == 0
    assert "... and 10 more names" in capsys.readouterr().out


def test_masks_are_written_and_drawn(photos, tmp_path):
    from tests.support.detectors import tiny_network

    model = Vild(
        "m", tiny_detector("vild", network=tiny_network(masks=True)), device=torch.device("cpu")
    )
    vlsuite.detect(model, photos / "a.png", NAMES, out=tmp_path, threshold=0.0, max_detections=3)
    assert all(
        one["segmentation"]["size"] == [SIDE, SIDE] for one in _found(tmp_path)["annotations"]
    )
