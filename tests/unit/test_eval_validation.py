from pathlib import Path

import torch

from eval.running.validation import make_evaluators
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, labelled, write_evaluation_folder


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
