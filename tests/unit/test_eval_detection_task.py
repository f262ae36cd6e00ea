"""The task on detectors: how sets are given, what is counted, pairs, pictures of errors."""

import base64
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_pipelines.errors import UserError
from eval.capabilities import DETECTS, lack_of
from eval.contract import Detector
from eval.detection import evaluators
from eval.detection.options import DetectionOptions
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.report.build import build_report
from eval.report.sides import Side, compare
from eval.results import EvalResult, load_result, save_result
from eval.running.runner import run_benchmarks
from eval.running.selection import benchmarks_for
from eval.task_choices import TaskChoices
from tests.support.noisy_detector import NAMES, SIDE, NoisyDetector, scene, write_scenes

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1))


def _choices(*, examples: int = 0, **settings) -> TaskChoices:
    return TaskChoices(options=(DetectionOptions(**settings),), num_examples=examples)


def _run(path: Path, model: NoisyDetector | None = None, **settings) -> EvalResult:
    examples = settings.pop("examples", 0)
    choices = _choices(examples=examples, **settings)
    benchmark = benchmarks_for([str(path)], tasks=["detection"], choices=choices)[0]
    return benchmark.run(model or NoisyDetector(), EMBEDDER)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("sets") / "scenes", 16)


def test_a_detector_is_one_of_the_contract() -> None:
    assert isinstance(NoisyDetector(), Detector)
    assert lack_of(NoisyDetector(), (DETECTS,)) is None


def test_perfect_boxes_have_ap_1(scenes: Path) -> None:
    result = _run(scenes, NoisyDetector(masks=True))
    for name in ("box_ap", "box_ap50", "mask_ap", "box_ar_100", "box_ar_300"):
        assert result.scores[name].value == pytest.approx(1.0)
    assert result.num_samples == 16
    assert result.details["protocol"] == "coco"
    assert result.details["evaluator"] != "vlsuite"
    assert all(value < 1e-9 for value in result.details["evaluators_differ_by"].values())


@pytest.mark.parametrize("form", ["tar", "folder", "json", "elsewhere", "shards"])
def test_every_form_of_the_same_set_has_the_same_figures(tmp_path: Path, form: str) -> None:
    expected = _run(write_scenes(tmp_path / "a", 9), NoisyDetector(noise=1.0, false=2))
    folder = write_scenes(tmp_path / "b", 9, in_tar=form in ("tar", "elsewhere"))
    path = str(folder)
    if form == "json":
        path = str(folder / "instances.json")
    if form == "elsewhere":
        (tmp_path / "pictures").mkdir()
        (folder / "pictures.tar").rename(tmp_path / "pictures" / "all.tar")
        path = f"{folder / 'instances.json'}@{tmp_path / 'pictures'}"
    if form == "shards":
        path = str(_as_shards(folder, tmp_path / "shards"))
    result = _run(Path(path), NoisyDetector(noise=1.0, false=2))
    for name, score in expected.scores.items():
        assert result.scores[name].value == pytest.approx(score.value, abs=1e-12)


def _as_shards(folder: Path, out: Path) -> Path:
    from data_pipelines.detection.detection_set import open_detection_set
    from data_pipelines.detection.stored import to_fields
    from data_pipelines.skips import Skips
    from tests.support.evaluation_data import write_tar

    source = open_detection_set(folder / "instances.json", skips=Skips())
    samples = [
        {
            "png": sample.image.data,
            "json": json.dumps(to_fields(sample.annotations, source.vocabulary)).encode(),
        }
        for sample in source.samples()
    ]
    write_tar(out / "000000.tar", samples)
    (out / "categories.json").write_bytes(source.vocabulary.to_bytes())
    return out


def test_groups_of_a_split_have_figures_of_their_own(scenes: Path, tmp_path: Path) -> None:
    novel = tmp_path / "novel.txt"
    novel.write_text("green_tree\n")
    result = _run(scenes, NoisyDetector(wrong=0.5), split=str(novel))
    rows = {row["name"]: row for row in result.details["classes"]["box"]}
    base = [rows[name]["ap50"] for name in NAMES[:2]]
    assert result.scores["box_ap50_base"].value == pytest.approx(np.mean(base), abs=1e-6)
    assert result.scores["box_ap50_novel"].value == pytest.approx(
        rows["green_tree"]["ap50"], abs=1e-6
    )
    assert rows["green_tree"]["group"] == "novel"
    assert set(result.details["curves"]["box"]) == {"all", "base", "novel"}
    for name in ("split", "ap", "names_per_pass", "max_detections", "regions"):
        assert name in result.details


def test_names_per_pass_reach_the_detector_and_the_result(scenes: Path) -> None:
    model = NoisyDetector()
    result = _run(scenes, model, names_per_pass=2, batch_size=5)
    assert result.details["names_per_pass"] == 2
    assert set(model.calls) == {(5, 3, 2), (1, 3, 2)}


def test_fixed_ap_is_a_benchmark_of_its_own(scenes: Path) -> None:
    result = _run(scenes, ap="fixed")
    assert result.benchmark == "detection:fixed_ap"
    assert result.scores["box_fixed_ap"].value == pytest.approx(1.0)
    assert "box_ap" not in result.scores


def test_broken_pictures_and_annotations_are_counted(tmp_path: Path) -> None:
    def mark(**changes) -> dict:
        plain = {"id": 900, "image_id": 1, "category_id": 5, "bbox": [1, 1, 5, 5], "iscrowd": 0}
        return plain | changes

    more = [
        mark(category_id=999),
        mark(bbox=[3, 3, 0, 9]),
        mark(bbox=[200, 200, 5, 5]),
        mark(image_id=4444),
    ]
    other, _ = scene(77)
    large = io.BytesIO()
    Image.open(io.BytesIO(other)).resize((80, 80)).save(large, format="PNG")
    files = {"scene_002.png": b"no picture", "scene_003.png": large.getvalue()}
    folder = write_scenes(tmp_path / "set", 8, more_annotations=more, files=files)
    listed = json.loads((folder / "instances.json").read_text())
    listed["images"].append({"id": 99, "file_name": "gone.png", "width": 9, "height": 9})
    (folder / "instances.json").write_text(json.dumps(listed))
    result = _run(folder)
    assert result.num_samples == 6
    assert result.num_skipped == 3
    assert result.details["left_out"] == {
        "missing picture": 1,
        "picture cannot be decoded": 1,
        "picture of another size than its annotations say": 1,
    }
    problems = " ".join(result.details["problems"])
    for reason in (
        "1 annotation: unknown category id",
        "1 annotation: box without area",
        "1 annotation: box outside its picture",
        "1 annotation: annotation of a picture that is not listed",
    ):
        assert reason in problems
    assert result.scores["box_ap"].value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"categories": []}, "has no list 'categories' with an entry"),
        ({"annotations": []}, "has a marked region"),
        ({"images": []}, "lists no usable picture"),
        ({"categories": [{"id": 1, "name": "other"}]}, "has a marked region"),
    ],
)
def test_sets_that_say_nothing_are_one_line(tmp_path: Path, changes: dict, words: str) -> None:
    folder = write_scenes(tmp_path / "set", 3, **changes)
    with pytest.raises(UserError, match=words) as caught:
        _run(folder)
    assert "\n" not in str(caught.value)


def test_a_detector_that_breaks_the_contract_is_one_line(scenes: Path) -> None:
    class Wrong(NoisyDetector):
        def detect(self, images, vocabulary, **settings):
            found = super().detect(images, vocabulary, **settings)
            return [one._replace(labels=one.labels + 7) for one in found]

    class NotFinite(NoisyDetector):
        def detect(self, images, vocabulary, **settings):
            found = super().detect(images, vocabulary, **settings)
            return [one._replace(scores=one.scores * float("nan")) for one in found]

    for model, words in ((Wrong(), "beyond the vocabulary"), (NotFinite(), "NaN")):
        with pytest.raises(UserError, match=words):
            _run(scenes, model)


def test_two_detectors_are_compared_in_the_same_resamples(scenes: Path, tmp_path: Path) -> None:
    results = []
    for name, wrong in (("good", 0.0), ("same", 0.0), ("bad", 0.7)):
        benchmark = benchmarks_for([str(scenes)], tasks=["detection"])
        model = NoisyDetector(name, noise=0.6, wrong=wrong)
        finished = run_benchmarks(model, benchmark, embedder=EMBEDDER, out_dir=tmp_path / name)
        results.append(load_result(finished[0].path))
    sides = [Side(r.model, (r,), ()) for r in results]
    found = {one.subject.score: one for one in compare(sides)}
    _, same, bad = found["box_ap50"].against_first
    assert same is not None
    assert bad is not None
    assert same.difference.value == 0
    assert same.p_value == 1.0
    assert bad.difference.high < 0
    assert bad.p_value < 0.05
    assert bad.difference.value == pytest.approx(
        results[2].scores["box_ap50"].value - results[0].scores["box_ap50"].value
    )
    assert "paired bootstrap over images" in bad.difference.method
    alone = results[0].scores["box_ap50"], results[2].scores["box_ap50"]
    assert bad.difference.n == alone[0].n == 16
    other_draws = {
        name: dataclasses.replace(one, draws="another seed")
        for name, one in results[2].resampled.items()
    }
    other = dataclasses.replace(results[2], resampled=other_draws)
    unpaired = compare([sides[0], Side("bad", (other,), ())])[0].against_first[1]
    assert unpaired is None


def test_detections_are_kept_between_commands(scenes: Path, tmp_path: Path) -> None:
    store = StoredEmbedder(EMBEDDER, tmp_path, batch_size=4)
    model = NoisyDetector(masks=True, noise=0.5)
    benchmark = benchmarks_for([str(scenes)], tasks=["detection"])[0]
    first = benchmark.run(model, store)
    calls = len(model.calls)
    again = benchmarks_for([str(scenes)], tasks=["detection"], choices=_choices(regions="box"))[
        0
    ].run(model, store)
    assert len(model.calls) == calls
    assert again.scores["box_ap"] == first.scores["box_ap"]
    assert "mask_ap" not in again.scores


def test_errors_are_drawn_and_reported(scenes: Path, tmp_path: Path) -> None:
    model = NoisyDetector(wrong=0.4, missed=0.3, false=3, noise=0.5)
    result = _run(scenes, model, examples=2)
    kinds = [example.direction for example in result.examples]
    assert kinds == [
        *["detection_missed"] * 2, *["detection_misnamed"] * 2, *["detection_made_up"] * 2
    ]  # fmt: skip
    for example in result.examples:
        address = example.query.image
        assert address is not None
        drawn = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
        assert min(drawn.size) >= 480 > SIDE
    assert "marked" in result.examples[0].query.text
    assert "found" in result.examples[2].query.text
    save_result(result, tmp_path / "noisy__scenes__all__detection.json")
    page = build_report(tmp_path).read_text()
    for words in ("Missed", "Misnamed", "Made up", "Precision and recall", "green_tree"):
        assert words in page


def test_without_hotcoco_our_own_evaluator_counts(
    scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = NoisyDetector(noise=1.0, wrong=0.2)
    expected = _run(scenes, model)
    monkeypatch.setattr("eval.detection.detection.has_hotcoco", lambda: False)
    result = _run(scenes, model)
    assert result.details["evaluator"] == "vlsuite"
    for name, score in expected.scores.items():
        assert result.scores[name].value == pytest.approx(score.value, abs=1e-12)
    assert evaluators.has_hotcoco()


def test_a_set_is_recognised_by_the_usual_names(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "set", 4)
    for name in ("instances.json", "instances_val.json", "lvis_v1_val.json"):
        next(folder.glob("*.json")).rename(folder / name)
        benchmarks = benchmarks_for([str(folder)])
        assert [one.name for one in benchmarks] == ["detection"]
