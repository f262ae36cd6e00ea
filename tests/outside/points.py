"""A stranger's model family, objective, recipe and task, for ``--import``: how many points?

Samples list points in their json, as many as they like. A set network predicts their number from
batches of lists of tensors, trained by a plain loss that knows no logit scale; the trained model
can do one thing, ``count``, and one task needs just that.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from data_pipelines.errors import BadSampleError
from data_pipelines.shards.stored_sample import StoredSample
from eval.capabilities import Capability
from eval.contract import Embedder, Model, Need
from eval.data.dataset import EvalDataset
from eval.data.rows import PICTURES, Annotation
from eval.results import EvalResult, Origin, Score, Settings
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts
from eval.tasks import registry as tasks
from vlsuite.batches.batch import Batch
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.sample_reader import BatchFacts, Read
from vlsuite.engine.config import CheckpointConfig, LoggingConfig, TrainConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.export.form import Exported, Form
from vlsuite.export.new_file import write_json, write_weights
from vlsuite.export.run_history import RunHistory
from vlsuite.models import registry as families
from vlsuite.models.family import ModelFamily, TrainableModel, refuse_objective
from vlsuite.objectives import registry as objectives
from vlsuite.objectives.objective import Losses, Objective
from vlsuite.objectives.plain import PlainObjective
from vlsuite.recipes import registry as recipes

WEIGHTS, DESCRIPTION = "points.safetensors", "points_config.json"


def points_of(sample: StoredSample) -> list[list[float]] | None:
    """The points of a sample; None where it lists none."""
    found = sample.fields.get("points")
    return found if isinstance(found, list) and found else None


@dataclass(frozen=True, kw_only=True, slots=True)
class PointsBatch(Batch):
    """Sets of different sizes, and their sizes with noise.

    Attributes:
        points: one [n, 2] tensor a sample.
        targets: one number a sample.
    """

    points: tuple[Tensor, ...]
    targets: Tensor


class PointsReader:
    """Satisfies ``SampleReader``; the targets carry noise from the generator of the place."""

    def read(self, sample: StoredSample, rng: np.random.Generator) -> Read:
        points = points_of(sample)
        if points is None:
            raise BadSampleError("no points", "the json lists none")
        return Read((torch.tensor(points), len(points) + 0.1 * float(rng.standard_normal())))

    def collate(self, contents: Sequence[Any], facts: BatchFacts) -> PointsBatch:
        points, targets = zip(*contents, strict=True)
        return PointsBatch(points=points, targets=torch.tensor(targets), **facts._asdict())


class SetNetwork(nn.Module):
    """A sum over points between two layers, with dropout, so that masks matter."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, width), nn.GELU(), nn.Dropout(dropout))
        self.outer = nn.Linear(width, 1)

    def forward(self, points: Sequence[Tensor]) -> Tensor:
        return torch.cat([self.outer(self.inner(own).sum(dim=0)) for own in points])


class Counter:
    """What evaluations see: it counts, and neither embeds nor writes."""

    def __init__(self, name: str, network: SetNetwork, device: torch.device) -> None:
        self.name, self.device, self._network = name, device, network

    @property
    def fingerprint(self) -> str:
        """Its weights, told by their sum."""
        return str(sum(float(p.detach().double().sum()) for p in self._network.parameters()))

    @torch.no_grad()
    def count(self, points: Sequence[Tensor]) -> Tensor:
        """A number a set."""
        return self._network([own.to(self.device) for own in points])


@runtime_checkable
class Counts(Protocol):
    """The capability."""

    def count(self, points: Sequence[Tensor]) -> Tensor: ...


class TrainablePoints(TrainableModel):
    step: ClassVar[str] = "plain"

    def __init__(self, config: "PointsConfig") -> None:
        self.config, self.network = config, SetNetwork(config.width, config.dropout)

    @property
    def module(self) -> nn.Module:
        return self.network

    def prepare(self, objective: Objective) -> None:
        if not isinstance(objective, PlainObjective):
            raise refuse_objective(objective, family="points", takes="squared_error")

    def reader(self, data: DataConfig) -> PointsReader:
        return PointsReader()

    def forward(
        self, engine: Any, batch: Batch, *, device: torch.device, dtype: torch.dtype
    ) -> Tensor:
        assert isinstance(batch, PointsBatch)
        return engine([own.to(device, dtype) for own in batch.points])

    def evaluated(
        self,
        name: str,
        *,
        scalars: Mapping[str, float],
        device: torch.device,
        run: Any = None,
        dtype: torch.dtype = torch.float32,
    ) -> Counter:
        return Counter(name, self.network, device)

    def write(
        self,
        folder: Path,
        weights: Mapping[str, Tensor],
        *,
        scalars: Mapping[str, float],
        name: str,
        history: RunHistory | None,
    ) -> None:
        write_weights(folder / WEIGHTS, dict(weights))
        write_json(folder / DESCRIPTION, {"width": self.config.width})

    def forms(self) -> Mapping[str, Form]:
        def write(folder: Path, exported: Exported) -> None:
            self.write(folder, exported.weights, scalars={}, name=exported.name, history=None)

        def verify(folder: Path, exported: Exported) -> list[str]:
            same = PointsConfig.open_folder(folder).evaluated("", scalars={}, device=CPU)
            assert same.fingerprint == exported.model.fingerprint
            return ["loaded again: the same sum of weights"]

        return {
            "points": Form(name="points", write=write, verify=verify, files=(WEIGHTS, DESCRIPTION))
        }


CPU = torch.device("cpu")


@families.register("points")
@dataclass(frozen=True, kw_only=True, slots=True)
class PointsConfig(ModelFamily):
    """How large it is.

    Attributes:
        width: of the inner layer.
        dropout: share of its outputs that training drops.
    """

    width: int = 16
    dropout: float = 0.1

    def build(self) -> TrainablePoints:
        return TrainablePoints(self)

    @classmethod
    def open_folder(cls, folder: Path) -> TrainablePoints:
        built = cls(**json.loads((folder / DESCRIPTION).read_text())).build()
        built.network.load_state_dict(load_file(folder / WEIGHTS))
        return built


class SquaredError(PlainObjective):
    def forward(self, output: Tensor, batch: Batch) -> Losses:
        assert isinstance(batch, PointsBatch)
        errors = (output.float() - batch.targets.to(output.device)) ** 2
        return Losses(errors.mean(), {"worst": errors.detach().max()})


@objectives.register("squared_error")
@dataclass(frozen=True, kw_only=True, slots=True)
class SquaredErrorConfig:
    def build(self) -> SquaredError:
        return SquaredError()


@recipes.register("points")
def points() -> TrainConfig:
    """Count points."""
    return TrainConfig(
        model=PointsConfig(),
        data=DataConfig(num_workers=0),
        objective=SquaredErrorConfig(),
        optim=OptimConfig(lr=1e-2, warmup_steps=1),
        duration=Duration("5steps"),
        global_batch_size=8,
        deepspeed="zero1",
        threads=1,
        logging=LoggingConfig(every=Duration("1steps")),
        checkpoint=CheckpointConfig(every=Duration("2steps"), keep=9),
    )


@tasks.register("point_count")
@dataclass(frozen=True, kw_only=True, slots=True)
class PointCount:
    """Mean absolute error of the number of points."""

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=PICTURES,
        demands=(Capability((Counts,), "counts no points"),),
        annotation=Annotation(points_of, missing="no points"),
    )

    dataset: EvalDataset

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        return None if dataset.annotations else f"{dataset.title} has no points"

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "PointCount":
        return cls(dataset=dataset)

    @property
    def name(self) -> str:
        return "point_count"

    def settings(self) -> Settings:
        return {}

    def needs(self) -> tuple[Need, ...]:
        return ()

    def run(self, model: Model, embedder: Embedder) -> EvalResult:
        assert isinstance(model, Counts)
        assert self.dataset.annotations is not None
        sets = [torch.tensor(own) for own in self.dataset.annotations]
        errors = (model.count(sets) - torch.tensor([float(len(own)) for own in sets])).abs()
        value = float(errors.mean())
        half = 2 * float(errors.std()) / len(errors) ** 0.5
        score = Score(value, value - half, value + half, len(errors), "number", True)
        return EvalResult(
            benchmark=self.name,
            family="outside",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores={"mean_absolute_error": score},
            chance={},
            num_samples=len(errors),
            num_skipped=0,
            origin=Origin(seed=0, data_revision=self.dataset.revision, interval="two s.e."),
        )
