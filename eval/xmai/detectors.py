"""Object detectors of torchvision and transformers behind one interface; others by name."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

from data_pipelines.component_names import is_known, named
from data_pipelines.registry import Registry
from eval.errors import EvaluationError


class Box(NamedTuple):
    """A named object.

    Attributes:
        name: in plain words.
        score: confidence, 0 to 1.
        corners: left, top, right, bottom in pixels.
    """

    name: str
    score: float
    corners: tuple[float, float, float, float]


@runtime_checkable
class Detector(Protocol):
    """Finds named objects in pictures."""

    def __call__(self, picture: Image.Image) -> list[Box]:
        """Most confident first."""
        ...


class BoxLimits(NamedTuple):
    """What a detector is to give, and where.

    Attributes:
        min_score: of a box, 0 to 1.
        max_boxes: of a picture.
        device: where it computes.
    """

    min_score: float
    max_boxes: int
    device: str


#: Detectors by name, each made from what stands behind the colon of its name, if it takes that.
detectors: Registry[Callable[[str, BoxLimits], Detector]] = Registry(
    "detector", package="eval.xmai", variable="detectors"
)


class TorchvisionDetector:
    """Faster R-CNN and its like, as torchvision builds them.

    Args:
        model: gives boxes, labels and scores for a list of pictures in [0, 1].
        names: of the labels; "__background__" and "N/A" are left out.
        min_score: of a box, 0 to 1.
        max_boxes: of a picture.
    """

    def __init__(
        self, model: Any, names: Sequence[str], *, min_score: float, max_boxes: int
    ) -> None:
        self._model = model
        self._names = names
        self._min_score = min_score
        self._max_boxes = max_boxes

    @torch.no_grad()
    def __call__(self, picture: Image.Image) -> list[Box]:
        """See ``Detector``."""
        device = next(self._model.parameters()).device
        pixels = pil_to_tensor(picture).to(device).float() / 255
        found = self._model([pixels])[0]
        return _boxes(found, lambda label: self._names[label], self._min_score, self._max_boxes)


class TransformersDetector:
    """DETR, YOLOS and whatever else ``AutoModelForObjectDetection`` loads.

    Args:
        processor: prepares pictures and reads the model's output.
        model: with the names of its labels in ``config.id2label``.
        min_score: of a box, 0 to 1.
        max_boxes: of a picture.
    """

    def __init__(self, processor: Any, model: Any, *, min_score: float, max_boxes: int) -> None:
        self._processor = processor
        self._model = model
        self._min_score = min_score
        self._max_boxes = max_boxes

    @torch.no_grad()
    def __call__(self, picture: Image.Image) -> list[Box]:
        """See ``Detector``."""
        inputs = self._processor(images=picture, return_tensors="pt").to(self._model.device)
        outputs = self._model(**inputs)
        sizes = [(picture.height, picture.width)]
        found = self._processor.post_process_object_detection(
            outputs, threshold=self._min_score, target_sizes=sizes
        )[0]
        names = self._model.config.id2label
        return _boxes(found, lambda label: names[label], self._min_score, self._max_boxes)


def load_detector(spec: str, *, min_score: float, max_boxes: int, device: str) -> Detector:
    """A detector by name.

    Args:
        spec: "torchvision:NAME" with its published COCO weights,
            "torchvision:NAME:FILE" with a state_dict of your own (safetensors, or a .pth that
            holds tensors alone), another registered name, or a folder or hub id that transformers
            can load.
        min_score: of a box, 0 to 1.
        max_boxes: of a picture.
        device: where it computes.
    Raises:
        EvaluationError: unknown, or its weights are missing.
    """
    if is_known(spec, detectors):
        build, rest = named(spec, detectors)
        return build(rest, BoxLimits(min_score, max_boxes, device))
    from eval.hub.loading import load_object_detector

    processor, model = load_object_detector(spec, device=device)
    return TransformersDetector(processor, model, min_score=min_score, max_boxes=max_boxes)


@detectors.register("torchvision:")
def _torchvision_detector(rest: str, limits: BoxLimits) -> Detector:
    name, _, file = rest.partition(":")
    model, names = _torchvision(name, Path(file) if file else None)
    return TorchvisionDetector(
        model.to(limits.device).eval(),
        names,
        min_score=limits.min_score,
        max_boxes=limits.max_boxes,
    )


def coco_names() -> list[str]:
    """The names of the labels of torchvision's detectors, by number."""
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_V2_Weights

    return list(FasterRCNN_ResNet50_FPN_V2_Weights.DEFAULT.meta["categories"])


def _torchvision(name: str, file: Path | None) -> tuple[Any, list[str]]:
    from torchvision import models
    from torchvision.models import detection

    known = models.list_models(module=detection)
    if name not in known:
        raise EvaluationError(
            f"torchvision has no detector '{name}'; it has: {', '.join(sorted(known))}"
        )
    names = coco_names()
    if file is None:
        return _with_published_weights(name), names
    model = models.get_model(name, weights=None, weights_backbone=None, num_classes=len(names))
    try:
        model.load_state_dict(_state(file))
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise EvaluationError(
            f"{file} does not hold the weights of {name} ({reason}); give a state_dict of it with "
            f"{len(names)} classes"
        ) from error
    return model, names


def _with_published_weights(name: str) -> Any:
    from torchvision import models

    try:
        weights = models.get_model_weights(name)["DEFAULT"]
        return models.get_model(name, weights=weights)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        url = models.get_model_weights(name)["DEFAULT"].url
        raise EvaluationError(
            f"the weights of {name} are not here and cannot be downloaded ({error}); fetch {url} "
            f"where there is a network and give torchvision:{name}:FILE"
        ) from error


def _state(file: Path) -> dict[str, torch.Tensor]:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    return torch.load(io.BytesIO(file.read_bytes()), map_location="cpu", weights_only=True)


def _boxes(found: Any, name_of: Any, min_score: float, max_boxes: int) -> list[Box]:
    boxes = [
        Box(str(name_of(int(label))), float(score), tuple(corners))
        for label, score, corners in zip(
            found["labels"].tolist(), found["scores"].tolist(), found["boxes"].tolist(), strict=True
        )
    ]
    named = [b for b in boxes if b.score >= min_score and b.name not in ("__background__", "N/A")]
    return sorted(named, key=lambda box: (-box.score, box.name, box.corners))[:max_boxes]
