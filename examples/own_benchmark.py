"""A benchmark outside the package: does a model see the same class when the light goes down?

    vlsuite eval runs/demo/run --data runs/demo/data/line_art --import examples/own_benchmark.py \
        --task dimmed --set dimmed.brightness=0.3

From Python: import this file, then ``vlsuite.evaluate(model, data, tasks="dimmed")``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from eval.contract import Embedder, EmbeddingModel, Need
from eval.data.dataset import EvalDataset
from eval.data.views import PLAIN, ModelFrame
from eval.errors import EvaluationError
from eval.metrics.intervals import wilson_score
from eval.results import EvalResult, Origin, Settings
from eval.task_choices import TaskChoices, task_options
from eval.tasks import TaskFacts, registry
from eval.zero_shot.templates import no_classes, templates_for


@task_options.register("dimmed")
@dataclass(frozen=True, kw_only=True, slots=True)
class DimmedOptions:
    """What ``--set dimmed.KEY=VALUE`` may say: the share of the light that stays."""

    brightness: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.brightness <= 1:
            raise EvaluationError(f"dimmed.brightness={self.brightness} must lie in (0, 1]")


@dataclass(frozen=True, slots=True)
class DimmedView:
    """What a model is shown: its own view of the picture with less light."""

    brightness: float
    frame = ModelFrame()
    needs_transform = False

    @property
    def key(self) -> str:
        """Embeddings are kept under it, so it names all that the pixels depend on."""
        return f"dimmed-{self.brightness}"

    def apply(self, frames: Tensor, image_ids: Sequence[int]) -> Tensor:
        """Pictures in [0, 255] to pictures in [0, 255]."""
        return (frames.float() * self.brightness).round().to(frames.dtype)


@registry.register("dimmed")
@dataclass(frozen=True, kw_only=True, slots=True)
class Dimmed:
    """Share of pictures whose nearest class stays when they are dimmed; 1 is best."""

    facts: ClassVar[TaskFacts] = TaskFacts(
        uses=("classes",), options=DimmedOptions, title="Dimmed pictures"
    )
    name = "dimmed"

    dataset: EvalDataset
    templates: tuple[str, ...]
    brightness: float

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """What the data lacks for it."""
        return no_classes(dataset)

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "Dimmed":
        """On this data, with what the user chose."""
        brightness = choices.of(DimmedOptions).brightness
        templates = templates_for(dataset, choices)
        return cls(dataset=dataset, templates=templates, brightness=brightness)

    def settings(self) -> Settings:
        """All that the result depends on besides model and data."""
        return {"templates": list(self.templates), "brightness": self.brightness}

    def needs(self) -> tuple[Need, ...]:
        """Both views, so that each picture is read and decoded once."""
        return (Need(self.dataset, (PLAIN, DimmedView(self.brightness))),)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """The nearest class of each picture, in both lights."""
        assert self.dataset.layout.classes is not None
        names = self.dataset.layout.classes.names
        classes = embedder.class_embeds(model, names, self.templates)
        light = embedder.images(model, self.dataset)
        dark = embedder.images(model, self.dataset, DimmedView(self.brightness))
        nearest = [(images.embeds @ classes.T).argmax(dim=1) for images in (light, dark)]
        return EvalResult(
            benchmark=self.name,
            family="own",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores={"same_class": wilson_score((nearest[0] == nearest[1]).numpy())},
            chance={},
            num_samples=len(light.rows),
            num_skipped=light.num_skipped,
            origin=Origin(seed=0, data_revision=self.dataset.revision, interval="Wilson, 95%"),
            details=self.settings(),
        )
