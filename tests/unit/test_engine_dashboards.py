"""Validation on dashboards: every score by data set with its interval, and pictures of examples."""

import io
import json
import sys
import types

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from eval.running.validation import make_evaluators
from eval.task_choices import TaskChoices
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, labelled, write_evaluation_folder
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.dashboards import StoredIds
from vlsuite.engine.metrics_log import MetricsLog
from vlsuite.engine.mlflow_board import MlflowBoard
from vlsuite.engine.tensorboard_board import TensorBoard
from vlsuite.engine.validation_scores import examples_of, scores_of
from vlsuite.engine.wandb_board import WandbBoard
from vlsuite.errors import ConfigError

EXAMPLES = 2


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """One round of validation on pictures with captions and on pictures with classes."""
    folder = tmp_path_factory.mktemp("validation")
    pairs = write_evaluation_folder(folder / "pairs", captioned([[f"t {i}"] for i in range(8)]))
    classes = write_evaluation_folder(
        folder / "classes", labelled(9, num_classes=3), class_names=("cat", "dog", "boat")
    )
    choices = TaskChoices(num_examples=EXAMPLES)
    evaluators = make_evaluators(
        [str(pairs), str(classes)], choices=choices, batch_size=8, workers=1
    )
    model = SmallClip()
    return [result.to_dict() for evaluate in evaluators for result in evaluate(model)]


@pytest.fixture(scope="module")
def run(tmp_path_factory, results):
    """A run folder with two rounds of validation."""
    folder = tmp_path_factory.mktemp("run")
    log = MetricsLog(
        folder / "metrics.jsonl", [TensorBoard(folder / "board", purge_step=1)], step=0
    )
    for step in (5, 10):
        log.evaluation({"step": step, "samples_seen": 16 * step}, results)
    log.close()
    return folder


@pytest.fixture(scope="module")
def board(run):
    shown = EventAccumulator(str(run / "board"))
    shown.Reload()
    return shown


def test_every_score_is_a_curve_with_its_interval(board, results):
    scores = {(r["dataset"], r["benchmark"], k): s for r in results for k, s in r["scores"].items()}
    assert {dataset for dataset, _, _ in scores} == {"pairs", "classes"}
    for (dataset, benchmark, name), score in scores.items():
        path = f"{dataset}/{benchmark}/{name}"
        for group, told in (("eval", "value"), ("eval_low", "low"), ("eval_high", "high")):
            if score[told] is not None:
                curve = board.Scalars(f"{group}/{path}")
                assert [event.step for event in curve] == [5, 10]
                assert curve[0].value == pytest.approx(score[told], rel=1e-6)
    assert [event.value for event in board.Scalars("eval/samples_seen")] == [80, 160]


def test_intervals_are_bands_of_custom_scalars(board, results):
    (event, *_) = board.Tensors("custom_scalars__config__")
    layout = Layout.FromString(event.tensor_proto.string_val[0])
    assert [category.title for category in layout.category] == ["pairs", "classes"]
    known = set(board.Tags()["scalars"])
    charts = [chart for category in layout.category for chart in category.chart]
    assert len(charts) == sum(s["low"] is not None for r in results for s in r["scores"].values())
    for chart in charts:
        (series,) = chart.margin.series
        assert {series.value, series.lower, series.upper} <= known


def test_examples_are_pictures(board):
    tags = board.Tags()["images"]
    wanted = {
        f"examples/{path}/{number}"
        for path in ("pairs/retrieval/image_to_text", "pairs/retrieval/text_to_image",
                     "classes/zero_shot/image_to_class")
        for number in range(1, EXAMPLES + 1)
    }  # fmt: skip
    assert set(tags) == wanted
    for tag in tags:
        events = board.Images(tag)
        assert [event.step for event in events] == [5, 10]
        with Image.open(io.BytesIO(events[0].encoded_image_string)) as picture:
            picture.load()
            assert picture.size == (events[0].width, events[0].height)
            assert len(picture.getcolors(maxcolors=1 << 24)) > 10


def test_lines_of_the_log_have_scores_and_no_pictures(run, results):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10]
    assert lines[0]["results"][0]["scores"] == results[0]["scores"]
    assert "data:image" not in (run / "metrics.jsonl").read_text()


def test_data_sets_of_one_name_are_told_apart():
    def result(split, value):
        score = {"value": value, "low": None, "high": None}
        return {"dataset": "a/b", "split": split, "benchmark": "zero_shot", "scores": {"t": score}}

    tags = [score.tag for score in scores_of([result("x", 1.0), result("y", 2.0)])]
    assert tags == ["a-b x/zero_shot/t", "a-b y/zero_shot/t"]
    tags = [score.tag for score in scores_of([result("x", 1.0), result("x", 2.0)])]
    assert tags == ["a-b/zero_shot/t", "a-b (2)/zero_shot/t"]


class _Wandb(types.ModuleType):
    """Keeps what is logged; as wandb 0.31, where no account is needed."""

    class Error(Exception):
        """As its errors are called."""

    def __init__(self):
        super().__init__("wandb")
        self.begun, self.logged = [], []
        self.id = "w1"

    def init(self, **given):
        if given["project"] == "closed":
            raise self.Error("no API key\nconfigured")
        self.begun.append(given)
        return self

    def Image(self, picture, *, caption):  # noqa: N802
        return (picture.size, caption)

    def log(self, values, *, step):
        self.logged.append((step, values))

    def finish(self):
        self.logged.append("finished")


def test_wandb_gets_scores_and_pictures_and_goes_on_in_the_same_run(results, tmp_path, monkeypatch):
    wandb = _Wandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    ids = StoredIds(tmp_path / "dashboards.json")
    scores, examples = scores_of(results), examples_of(results)
    for _ in range(2):
        board = WandbBoard("project", {"key": 1}, tmp_path, ids)
        board.evaluation(scores, examples, step=7)
        board.close()
    with pytest.raises(ConfigError, match="refuses: no API key configured; run 'wandb login'"):
        WandbBoard("closed", {}, tmp_path, ids)
    assert [given["id"] for given in wandb.begun] == [None, "w1"]
    step, values = wandb.logged[0]
    assert step == 7
    assert values[f"eval/{scores[0].tag}"] == scores[0].value
    assert values[f"eval_low/{scores[0].tag}"] == scores[0].low
    pictures = {name: shown for name, shown in values.items() if name.startswith("examples/")}
    assert len(pictures) == 3
    assert all(len(shown) == EXAMPLES for shown in pictures.values())


def test_mlflow_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", None)
    with pytest.raises(ConfigError, match="pip install vlsuite\\[mlflow\\]"):
        MlflowBoard("experiment", {}, tmp_path, StoredIds(tmp_path / "dashboards.json"))


def test_no_examples_is_a_setting_and_less_is_refused():
    assert TrainConfig().validation.examples > 0
    with pytest.raises(ConfigError, match=r"validation\.examples=-1"):
        TrainConfig().validation.__class__(examples=-1)
