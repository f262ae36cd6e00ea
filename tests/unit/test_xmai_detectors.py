"""Detectors of both libraries with random weights, and the way from boxes to detections."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eval.errors import EvaluationError
from eval.xmai.detecting import Thing, tagged
from eval.xmai.detectors import (
    TorchvisionDetector,
    TransformersDetector,
    coco_names,
    load_detector,
)
from eval.xmai.tagger import Tag
from tests.support.pictures import noise


def _are_sound(boxes: list, picture: Image.Image) -> None:
    assert len(boxes) <= 4
    assert [b.score for b in boxes] == sorted((b.score for b in boxes), reverse=True)
    for box in boxes:
        left, top, right, bottom = box.corners
        assert 0 <= left <= right <= picture.width + 1
        assert 0 <= top <= bottom <= picture.height + 1


def test_torchvision_detector_from_a_local_file(tmp_path: Path) -> None:
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

    torch.manual_seed(0)
    model = fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None)
    dog = coco_names().index("dog")
    with torch.no_grad():  # random weights are sure of nothing
        model.roi_heads.box_predictor.cls_score.bias[dog] = 20.0
    file = tmp_path / "weights.pth"
    torch.save(model.state_dict(), file)
    detector = load_detector(
        f"torchvision:fasterrcnn_mobilenet_v3_large_320_fpn:{file}",
        min_score=0.0,
        max_boxes=4,
        device="cpu",
    )
    assert isinstance(detector, TorchvisionDetector)
    picture = noise(64, 48)
    boxes = detector(picture)
    _are_sound(boxes, picture)
    assert {box.name for box in boxes} == {"dog"}


def test_transformers_detector_from_a_local_folder(tmp_path: Path) -> None:
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessor

    torch.manual_seed(0)
    size = {"height": 32, "width": 32}
    config = YolosConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=[32, 32],
        patch_size=16,
        num_detection_tokens=5,
        use_mid_position_embeddings=False,
        id2label={0: "dog", 1: "N/A"},
    )
    YolosForObjectDetection(config).save_pretrained(tmp_path)
    YolosImageProcessor(size=size, do_pad=False).save_pretrained(tmp_path)
    detector = load_detector(str(tmp_path), min_score=0.0, max_boxes=4, device="cpu")
    assert isinstance(detector, TransformersDetector)
    picture = noise(64, 48)
    boxes = detector(picture)
    assert {box.name for box in boxes} <= {"dog"}
    assert len(boxes) <= 4


def test_missing_detectors_are_one_line(tmp_path: Path) -> None:
    settings = {"min_score": 0.4, "max_boxes": 50, "device": "cpu"}
    with pytest.raises(EvaluationError, match="torchvision has no detector 'yolo'"):
        load_detector("torchvision:yolo", **settings)
    with pytest.raises(EvaluationError, match="no object detector that transformers"):
        load_detector(str(tmp_path), **settings)
    wrong = tmp_path / "wrong.pth"
    torch.save({"a": torch.zeros(1)}, wrong)
    with pytest.raises(EvaluationError, match="does not hold the weights"):
        load_detector(f"torchvision:fasterrcnn_mobilenet_v3_large_320_fpn:{wrong}", **settings)


def test_likely_attributes_become_detections() -> None:
    thing = Thing("u", "dog", np.zeros(2), 0.7, (0.0, 0.0, 4.0, 4.0))
    tags = [Tag("red", 0.8), Tag("small", 0.05)]
    found = tagged(thing, tags, min_attribute=0.1)
    assert [(one.attribute, one.attribute_score, one.score) for one in found] == [("red", 0.8, 0.7)]
    nothing = tagged(thing, tags, min_attribute=0.9)
    assert [(one.name, one.attribute, one.box) for one in nothing] == [("dog", "", thing.box)]
