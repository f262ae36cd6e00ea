"""Averages over groups of data sets, and the metrics of sets with groups of images."""

import dataclasses
import io
import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from eval.data.dataset_names import canonical_name
from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.errors import EvaluationError
from eval.metrics.groups import macro_f1, worst_group_accuracy
from eval.report.published_averages import DATACOMP_METRICS, group_averages
from eval.results import EvalResult, Score
from eval.task_choices import TaskChoices
from eval.zero_shot.worst_group import GROUPED_SETS, WorstGroup
from tests.support.embedding_model import SmallClip
from tests.support.eval_results import example_result
from tests.support.evaluation_data import labelled, write_evaluation_folder

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=16, workers=2))


def _result(dataset: str, benchmark: str = "zero_shot", split: str = "test", **values: float):
    scores = {name: Score(v, v - 0.02, v + 0.03, 100) for name, v in values.items()}
    result = dataclasses.replace(example_result(dataset=dataset), scores=scores, split=split)
    return dataclasses.replace(result, benchmark=benchmark)


def _complete() -> list[EvalResult]:
    results = []
    for number, (name, metric) in enumerate(DATACOMP_METRICS.items()):
        value = number / 100
        if metric == "mean_recall_at_1":
            ways = {
                "image_to_text_recall_at_1": value + 0.1,
                "text_to_image_recall_at_1": value - 0.1,
            }
            results.append(_result(name, "retrieval", **ways))
        else:
            results.append(
                _result(
                    name,
                    "worst_group" if name == "fmow" else "zero_shot",
                    **{metric: value, "top5": 0.9},
                )
            )
    return results


def test_the_38_average_of_all_sets() -> None:
    found = {average.name: average for average in group_averages(_complete())}
    average = found["DataComp average of 38 sets"]
    assert average.is_complete
    assert average.value == pytest.approx(np.mean([i / 100 for i in range(38)]))
    # Equal distances to the limits: those of the mean are smaller by the root of the count.
    assert average.value - average.low == pytest.approx(0.02 / math.sqrt(38))
    assert average.high - average.value == pytest.approx(0.03 / math.sqrt(38))
    assert found["DataComp ImageNet shifts average of 6 sets"].is_complete
    assert found["DataComp retrieval average of 3 sets"].is_complete


def test_an_average_that_lacks_sets_is_not_called_the_average() -> None:
    without = ("winogavil", "imagenet-o", "dtd")
    results = [result for result in _complete() if result.dataset not in without]
    found = {average.name: average for average in group_averages(results)}
    average = found["DataComp, 35 of 38 sets"]
    assert not average.is_complete
    assert set(average.missing) == {"winogavil", "imagenet-o/legacy", "dtd"}
    natural = found["VTAB natural, 3 of 7 sets"]
    # Caltech-101, flowers and pets have only their mean per class here.
    assert set(natural.missing) == {"caltech101", "dtd", "flowers", "pets"}
    numbers = [list(DATACOMP_METRICS).index(name) for name in ("cifar100", "sun397", "svhn")]
    assert natural.value == pytest.approx(np.mean(numbers) / 100)


def test_splits_models_and_other_benchmarks() -> None:
    mixed = [
        _result("wds_vtab-dtd", split="val", top1=0.9),
        _result("wds_vtab-dtd_test", top1=0.5),
        _result("dtd", benchmark="shift", top1=0.1),
    ]
    (average,) = [a for a in group_averages(mixed) if a.name.startswith("VTAB natural")]
    assert average.value == 0.5
    other = dataclasses.replace(mixed[0], model="another")
    with pytest.raises(EvaluationError, match="averages are of one model"):
        group_averages([mixed[1], other])
    assert group_averages([_result("emoji", top1=0.5)]) == []


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("wds_vtab-cifar10", "cifar10"),
        ("wds_wilds-fmow_test", "fmow"),
        ("wds_dollar_street_test", "dollar_street"),
        ("vtab/caltech101", "caltech101"),
        ("retrieval/flickr_1k_test_image_text_retrieval", "flickr30k"),
        ("mscoco_2014_5k_test_image_text_retrieval", "mscoco_captions"),
        ("wds_imagenet-r", "imagenet-r"),
        ("wds_imagenet_sketch_test", "imagenet_sketch"),
    ],
)
def test_names_without_the_publisher(name: str, plain: str) -> None:
    assert canonical_name(name) == plain


def test_every_grouped_set_has_its_metric_in_datacomp() -> None:
    for name, own in GROUPED_SETS.items():
        metric = f"worst_{own.group}_top{own.top_k}"
        assert DATACOMP_METRICS[name] in (metric, "macro_f1")


def _npy(values: list[int]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array(values))
    return stream.getvalue()


def test_worst_group_of_published_folders(tmp_path: Path) -> None:
    names = ("cat", "dog", "boat", "tree", "lamp", "house", "car")
    regions = np.random.default_rng(0).integers(3, size=60)
    samples = [
        sample | {"npy": _npy([int(region), 2020])}
        for sample, region in zip(labelled(60, num_classes=7), regions, strict=True)
    ]
    model = SmallClip(seed=2)
    for folder, score, k in (
        ("wds_geode_test", "worst_region_top1", 1),
        ("wds_dollar_street_test", "worst_income_top5", 5),
    ):
        dataset = open_dataset(
            str(write_evaluation_folder(tmp_path / folder, samples, class_names=names))
        )
        task = WorstGroup.build(dataset, TaskChoices(templates=("a {c}",)))
        result = task.run(model, EMBEDDER)
        classes = EMBEDDER.class_embeds(model, names, ("a {c}",)).double().numpy()
        scores = EMBEDDER.images(model, dataset).embeds.double().numpy() @ classes.T
        order = np.argsort(-scores, axis=1)
        labels = np.arange(60) % 7
        hits = (order[:, :k] == labels[:, None]).any(axis=1)
        assert result.scores[score].value == min(hits[regions == r].mean() for r in range(3))
        expected = f1_score(labels, order[:, 0], labels=np.unique(labels), average="macro")
        assert result.scores["macro_f1"].value == pytest.approx(expected)


def test_macro_f1_leaves_out_classes_that_are_only_predicted() -> None:
    labels, predictions = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    # F1 of class 0 is 2/3, of class 1 it is 1.
    score = macro_f1(labels, predictions, seed=0)
    assert score.value == pytest.approx(5 / 6)
    assert score.low < score.value <= score.high


def test_interval_of_the_worst_group_lies_below_that_of_a_fixed_one() -> None:
    hits = np.tile([True, False], 100)
    alone = worst_group_accuracy(hits, np.zeros(200, dtype=np.int64), seed=0)
    among = worst_group_accuracy(hits, np.repeat(np.arange(10), 20), seed=0)
    assert alone.value == among.value == 0.5
    assert among.low < alone.low


def test_what_the_task_lacks(tmp_path: Path) -> None:
    plain = write_evaluation_folder(
        tmp_path / "geode", labelled(4, num_classes=2), class_names="ab"
    )
    lack = WorstGroup.missing(open_dataset(str(plain)), TaskChoices())
    assert lack is not None
    assert "no npy members" in lack
    other = write_evaluation_folder(tmp_path / "pets", labelled(4, num_classes=2), class_names="ab")
    lack = WorstGroup.missing(open_dataset(str(other)), TaskChoices())
    assert lack is not None
    assert "not one of the grouped sets" in lack
