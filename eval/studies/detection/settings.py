"""What a detection study is made of, and everything that decides its outcome."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

from eval.errors import EvaluationError
from eval.studies.digest import digest_of

#: Modes with a head that is trained, in the order of tables.
TRAINED = ("supervised", "text", "image", "vild", "ensemble")
#: All of them; "crop" has no head: the teacher looks at crops of the proposals.
MODES = (*TRAINED, "crop")

#: What the teacher's vectors are in training: its own, those of other regions, or never quantised.
Vectors = Literal["own", "shuffled", "fp32"]


class Cell(NamedTuple):
    """One head: how regions are named, from one seed."""

    mode: str
    seed: int = 0
    vectors: Vectors = "own"

    @property
    def name(self) -> str:
        """Of its folder."""
        if self.mode == "crop":
            return "crop"
        kind = "" if self.vectors == "own" else f"-{self.vectors}"
        return f"{self.mode}{kind}-seed{self.seed}"


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionStudyConfig:
    """Settings of scenes, teacher, localizer, regions and heads; one set for all modes.

    Attributes:
        backgrounds: folders, tars or shards of photographs to draw on; none draws textures.
        sprites: shards or folders of cut-out pictures; none takes the emoji of Twemoji.
        categories, novel_share: names, and the share of them without labels in training.
        train, validation, test: pictures; hyperparameters are chosen on validation.
        unlabelled_novel: share of the training pictures that show a novel thing unmarked.
        side: of the pictures in pixels.
        sprite_sizes: smallest and largest longer side of a thing in pixels.
        sprites_a_picture: fewest and most.
        teacher_pairs: single things with captions, of all names, that the teacher learns from.
        teacher_architecture, teacher_epochs, teacher_lr: of the teacher.
        least_top1: share of the novel crops that the teacher must name, or the study stops.
        width, cells, head_width: of trunk, regions and heads; see the family ``vild``.
        localizer_steps, localizer_lr: of trunk, proposals and boxes, on base names.
        batch_size: pictures of a step, of localizer and heads.
        regions, region_nms: proposals of a training picture that the teacher embeds.
        views: draws of the random view of each training picture whose maps are kept; the heads
            see these over and over.
        steps, lr, weight_decay: of the heads.
        image_weight: of the distillation in "vild" and "ensemble".
        temperature: of the classifier, training and test.
        objectness: exponent of the objectness in "image" and "crop".
        regions_per_picture, head_regions: sampled regions that the localizer and the heads learn
            labels from.
        proposals: of a picture in training and test.
        seed: of scenes, teacher and localizer; heads have their own.
        judged: "test", or "validation" while hyperparameters are chosen.
    """

    backgrounds: tuple[str, ...] = ()
    sprites: tuple[str, ...] = ()
    categories: int = 120
    novel_share: float = 0.25
    train: int = 6000
    validation: int = 200
    test: int = 500
    unlabelled_novel: float = 0.3
    side: int = 128
    sprite_sizes: tuple[int, ...] = (20, 56)
    sprites_a_picture: tuple[int, ...] = (2, 4)
    teacher_pairs: int = 8000
    teacher_architecture: str = "vlsuite-conv-32"
    teacher_epochs: float = 10.0
    teacher_lr: float = 2e-3
    least_top1: float = 0.6
    width: int = 128
    cells: int = 4
    head_width: int = 384
    localizer_steps: int = 1200
    localizer_lr: float = 1.5e-3
    batch_size: int = 16
    regions: int = 12
    region_nms: float = 0.6
    views: int = 2
    steps: int = 2400
    lr: float = 3e-3
    weight_decay: float = 0.05
    image_weight: float = 3.0
    temperature: float = 0.05
    objectness: float = 0.5
    regions_per_picture: int = 32
    head_regions: int = 20
    proposals: int = 100
    seed: int = 0
    judged: Literal["test", "validation"] = "test"

    def __post_init__(self) -> None:
        if len(self.sprite_sizes) != 2 or len(self.sprites_a_picture) != 2:
            raise EvaluationError("sprite_sizes and sprites_a_picture are two numbers each")
        if self.side < 32 or self.side % 32:
            raise EvaluationError(f"side={self.side}: give a multiple of 32 pixels")
        counts = (
            "train", "validation", "test", "teacher_pairs", "localizer_steps", "batch_size",
            "regions", "views", "steps", "regions_per_picture", "head_regions", "proposals",
        )  # fmt: skip
        for name in counts:
            if getattr(self, name) < 1:
                raise EvaluationError(f"{name}={getattr(self, name)}: take 1 at least")
        if not 0 < self.novel_share < 1:
            raise EvaluationError(f"novel_share={self.novel_share} must lie in (0, 1)")
        if not 0 <= self.least_top1 <= 1:
            raise EvaluationError(f"least_top1={self.least_top1} must lie in [0, 1]")

    @property
    def digest(self) -> str:
        """Of all settings that the heads depend on."""
        return digest_of(_without(asdict(self), ("judged",)))

    @property
    def base_digest(self) -> str:
        """Of those that scenes, teacher, localizer and regions depend on."""
        return digest_of(_without(asdict(self), ("judged", *_OF_HEADS)))


#: Settings that nothing before the heads depends on.
_OF_HEADS = (
    "views", "steps", "lr", "weight_decay", "image_weight", "temperature", "objectness",
    "least_top1", "head_regions",
)  # fmt: skip


def cells_of(modes: Sequence[str], num_seeds: int, *, first_seed: int = 0) -> list[Cell]:
    """All heads, and the control with shuffled vectors where "image" is among the modes.

    Seeds are outermost, so that a stopped study has whole tables of few seeds.

    Raises:
        EvaluationError: an unknown mode, or no seed.
    """
    for mode in modes:
        if mode not in MODES:
            raise EvaluationError(f"there is no mode '{mode}'; known: {', '.join(MODES)}")
    if num_seeds < 1 or not modes:
        raise EvaluationError("there must be one mode and one seed at least")
    seeds = range(first_seed, first_seed + num_seeds)
    cells = [Cell(mode, seed) for seed in seeds for mode in TRAINED if mode in modes]
    if "crop" in modes:
        cells.append(Cell("crop"))
    if "image" in modes:
        cells.append(Cell("image", first_seed, "shuffled"))
    return cells


def _without(settings: dict, left_out: Sequence[str]) -> dict:
    return {key: value for key, value in settings.items() if key not in left_out}
