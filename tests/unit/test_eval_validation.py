from pathlib import Path

import torch

from data_pipelines.shards.index import ShardIndex
from data_pipelines.subsets.making import make_subset
from data_pipelines.subsets.pool import open_pool
from data_pipelines.subsets.subset_file import write_subset
from data_pipelines.subsets.uid_column import uid_column
from eval.running.validation import make_evaluators
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, labelled, write_evaluation_folder
from tests.support.subsets import kept_table


def test_evaluators_follow_the_weights_without_decoding_again(tmp_path: Path) -> None:
    pairs = write_evaluation_folder(tmp_path / "pairs", captioned([[f"t {i}"] for i in range(20)]))
    classes = write_evaluation_folder(
        tmp_path / "classes", labelled(10, num_classes=3), class_names=("cat", "dog", "boat")
    )
    evaluators = make_evaluators([str(pairs), str(classes)], batch_size=8, workers=1)
    model = SmallClip()
    first = [result for evaluate in evaluators for result in evaluate(model)]
    assert [result.benchmark for result in first] == ["retrieval", "zero_shot"]
    assert not any(result.examples for result in first)

    (pairs / "test" / "0.tar").unlink()
    (classes / "test" / "0.tar").unlink()
    again = [result for evaluate in evaluators for result in evaluate(model)]
    assert again == first

    with torch.no_grad():
        model.model.visual.proj.copy_(torch.randn_like(model.model.visual.proj))
    changed = [result for evaluate in evaluators for result in evaluate(model)]
    assert changed != first


def test_only_the_samples_of_a_subset_count(tmp_path: Path) -> None:
    pairs = write_evaluation_folder(tmp_path / "pairs", captioned([[f"t {i}"] for i in range(20)]))
    shard = pairs / "test" / "0.tar"
    uids = uid_column(ShardIndex.open(shard))
    table = kept_table(tmp_path / "kept.parquet", [(uids.uid(i), "0.tar", i) for i in range(12)])
    write_subset(make_subset(open_pool([str(shard)]), table).subset, tmp_path / "some.subset")
    chosen = (str(tmp_path / "some.subset"),)
    (evaluate,) = make_evaluators([str(pairs)], subsets=chosen, batch_size=8, workers=1)
    assert len(evaluate.dataset) == 12
    assert evaluate.dataset.name.endswith("-some")
