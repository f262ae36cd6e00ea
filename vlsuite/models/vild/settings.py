"""What can be set of the network of a detector, and what each mode of it trains."""

from dataclasses import dataclass, field
from typing import Literal

from data_pipelines.detection.jitter import LargeScaleJitter
from vlsuite.errors import ConfigError

#: How regions are named; see ``VildConfig.mode``.
Mode = Literal["supervised", "text", "image", "vild", "ensemble", "crop"]

#: Modes whose regions have an embedding that is compared with those of names.
EMBEDDING_MODES: frozenset[str] = frozenset({"text", "image", "vild", "ensemble"})
#: Modes that learn names from labels.
LABELLED_MODES: frozenset[str] = frozenset({"supervised", "text", "vild", "ensemble"})
#: Modes that learn from the teacher's embeddings of regions.
DISTILLED_MODES: frozenset[str] = frozenset({"image", "vild", "ensemble"})


@dataclass(frozen=True, kw_only=True, slots=True)
class TrunkSettings:
    """What turns a picture into maps of features.

    Attributes:
        kind: "small": GroupNorm convolutions, one map of stride 8, for two CPU cores;
            "resnet50_fpn": torchvision's ResNet-50 with a feature pyramid as in its
            maskrcnn_resnet50_fpn_v2.
        norm: of the ResNet and its heads: "batch" (with sync_batch_norm=true as published) or
            "group". The small trunk has "group".
        width: channels of the small trunk's map.
    """

    kind: Literal["small", "resnet50_fpn"] = "resnet50_fpn"
    norm: Literal["batch", "group"] = "batch"
    width: int = 128

    def __post_init__(self) -> None:
        if self.kind == "small" and self.norm != "group":
            raise ConfigError("model.trunk.norm must be group for model.trunk.kind=small; set it")
        if self.width < 32 or self.width % 32:
            raise ConfigError(f"model.trunk.width={self.width} must be a multiple of 32")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProposalSettings:
    """The proposal network, and which regions train the heads.

    Attributes:
        anchor_sizes: sides of anchors in pixels; one a level of a pyramid, all on one map of the
            small trunk.
        train, test: proposals kept of a picture in training and in detection.
        before_nms: the best of each level that NMS looks at.
        nms: IoU above which the worse of two proposals goes.
        anchors_per_picture: that the loss of the proposal network is taken from.
        regions_per_picture: that train the heads; a quarter of them positive where there are as
            many.
        iou: with a marked box from which a region is positive.
    """

    anchor_sizes: tuple[float, ...] = (32.0, 64.0, 128.0, 256.0, 512.0)
    train: int = 1000
    test: int = 1000
    before_nms: int = 2000
    nms: float = 0.7
    anchors_per_picture: int = 256
    regions_per_picture: int = 512
    iou: float = 0.5

    def __post_init__(self) -> None:
        counts = ("train", "test", "before_nms", "anchors_per_picture", "regions_per_picture")
        for name in counts:
            if getattr(self, name) < 1:
                raise ConfigError(f"model.proposals.{name}={getattr(self, name)}; take 1 or more")
        if not self.anchor_sizes or min(self.anchor_sizes) <= 0:
            raise ConfigError("model.proposals.anchor_sizes: give sides in pixels, all positive")
        if not (0 < self.nms <= 1 and 0 < self.iou <= 1):
            raise ConfigError("model.proposals.nms and iou must lie in (0, 1]")


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadSettings:
    """The heads that look at one region.

    Attributes:
        cells: rows and columns that a region is cut into for boxes and names; 7 published.
        convs: 3 x 3 convolutions of 256 channels before the fully connected layers; 4 published.
        layers: fully connected layers; 2 published.
        width: of them; 1024 published.
        separate: names come from a head of their own beside that of the boxes, so that a trained
            localizer can be frozen; published is one head for both.
        masks: predict masks, for which the training data must have some.
        mask_convs: 3 x 3 convolutions of the mask head; 4 in Mask R-CNN.
        mask_width: their channels; 256.
    """

    cells: int = 7
    convs: int = 4
    layers: int = 2
    width: int = 1024
    separate: bool = False
    masks: bool = True
    mask_convs: int = 4
    mask_width: int = 256

    def __post_init__(self) -> None:
        if self.convs < 0 or min(self.cells, self.layers, self.mask_convs) < 1:
            raise ConfigError(
                "model.heads: convs >= 0, cells >= 1, layers >= 1 and mask_convs >= 1 are needed"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifierSettings:
    """How embeddings of regions become scores of names.

    Attributes:
        temperature: tau that cosines are divided by in training; 0.01 published.
        test_temperature: in detection; None as in training. (DetPro and OADP test at 0.007.)
        unlabelled: what names without labels are in training: "neg_inf" leaves them out of the
            softmax; "zero" gives them logit 0, as the released code does, so that each adds
            exp(0) to the denominator.
        base_exponent: of the text head's probability for names that were trained on, in the
            ensemble; the image head has the rest to 1. 2/3 published.
        novel_exponent: likewise for other names; 1/3. Equal ones need no list of base names.
        objectness: exponent of the proposal's objectness in modes whose probabilities know no
            background ("image", "crop"); the rest to 1 is the probability's.
    """

    temperature: float = 0.01
    test_temperature: float | None = None
    unlabelled: Literal["neg_inf", "zero"] = "neg_inf"
    base_exponent: float = 2.0 / 3.0
    novel_exponent: float = 1.0 / 3.0
    objectness: float = 0.5

    def __post_init__(self) -> None:
        if self.temperature <= 0 or (self.test_temperature or 1.0) <= 0:
            raise ConfigError("model.classifier: temperatures must be positive")
        for name in ("base_exponent", "novel_exponent", "objectness"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"model.classifier.{name} must lie in [0, 1]")


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionSettings:
    """What becomes of scores.

    Attributes:
        score_threshold: detections must score more; 0 published.
        nms: IoU above which the worse of two detections of one name goes; 0.5 published.
    """

    score_threshold: float = 0.0
    nms: float = 0.5

    def __post_init__(self) -> None:
        if self.score_threshold < 0 or not 0 < self.nms <= 1:
            raise ConfigError("model.detection: score_threshold >= 0 and nms in (0, 1] are needed")


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewSettings:
    """How pictures are changed in training: large-scale jitter.

    Attributes:
        scale: range of sizes as multiples of what fits into the view; 0.1 to 2 published.
        flip_probability: of a mirrored view.
    """

    scale: tuple[float, ...] = (0.1, 2.0)
    flip_probability: float = 0.5

    def __post_init__(self) -> None:
        if len(self.scale) != 2:
            raise ConfigError(f"model.view.scale={self.scale} must be two numbers")
        self.jitter(32)

    def jitter(self, side: int) -> LargeScaleJitter:
        """What draws a view.

        Args:
            side: of the square in pixels.
        Raises:
            ConfigError: a number is out of its range.
        """
        smallest, largest = self.scale
        return LargeScaleJitter(
            side=side, smallest=smallest, largest=largest, flip_share=self.flip_probability
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSettings:
    """All of the network; see the parts."""

    trunk: TrunkSettings = field(default_factory=TrunkSettings)
    proposals: ProposalSettings = field(default_factory=ProposalSettings)
    heads: HeadSettings = field(default_factory=HeadSettings)
    classifier: ClassifierSettings = field(default_factory=ClassifierSettings)


def lacks_regions(mode: Mode) -> ConfigError:
    """Of a mode that learns from regions which nothing names."""
    return ConfigError(
        f"model.mode={mode} learns from the teacher's embeddings of regions; make them with "
        "'vlsuite data region-embeddings', then set model.regions=FOLDER"
    )
