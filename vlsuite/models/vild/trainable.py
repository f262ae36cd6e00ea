"""ViLD in training: what the trainer, checkpoints and export ask of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vlsuite.batches.batch import Batch
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.detections import DetectionBatch
from vlsuite.errors import ModelError
from vlsuite.export.form import Form
from vlsuite.export.run_history import RunHistory
from vlsuite.models.family import TrainableModel, refuse_objective
from vlsuite.models.vild.built import BuiltVild
from vlsuite.models.vild.export_form import export_form
from vlsuite.models.vild.folder import write_vild_folder
from vlsuite.models.vild.model import Vild
from vlsuite.models.vild.network import LOCALIZER
from vlsuite.models.vild.reader import DetectionReader, SizeRule
from vlsuite.models.vild.region_cache import RegionCache, RegionSource, check_fits
from vlsuite.models.vild.settings import DISTILLED_MODES, lacks_regions
from vlsuite.models.vild.targets import targets_of
from vlsuite.objectives.objective import Objective
from vlsuite.objectives.region_terms import RegionTerms
from vlsuite.objectives.vild import VildObjective


@dataclass(kw_only=True)
class TrainableVild(BuiltVild, TrainableModel):
    """See ``TrainableModel``; every method does what is said there.

    Attributes:
        is_trained: whether its weights came from a folder.
    """

    step: ClassVar[str] = "plain"

    is_trained: bool = False

    @property
    def module(self) -> nn.Module:
        """The network; the teacher stays outside."""
        return self.network

    def prepare(self, objective: Objective) -> None:
        """Any objective of its own kind."""
        if not isinstance(objective, VildObjective):
            raise refuse_objective(objective, family="vild", takes="objective=vild")

    def reader(self, data: DataConfig) -> DetectionReader:
        """Pictures with boxes, and cached regions where the mode learns from them.

        Raises:
            ConfigError: it needs regions, and none are named.
        """
        config, regions = self.config, None
        if config.mode in DISTILLED_MODES:
            if config.regions is None:
                raise lacks_regions(config.mode)
            regions = RegionCache.open(Path(config.regions))
        return DetectionReader(
            self.vocabulary,
            views=config.view,
            sizes=SizeRule(config.sizes, config.size_every),
            regions=regions,
            masks=config.network.heads.masks,
        )

    def forward(
        self, engine: Any, batch: Batch, *, device: torch.device, dtype: torch.dtype
    ) -> RegionTerms:
        """Rows of all losses."""
        assert isinstance(batch, DetectionBatch)
        pixels = batch.pixels(self.preprocess, device=device, dtype=dtype)
        return engine(pixels, targets_of(batch, device))

    def evaluated(
        self,
        name: str,
        *,
        scalars: Mapping[str, float],
        device: torch.device,
        run: Any = None,
        dtype: torch.dtype = torch.float32,
    ) -> Vild:
        """A detector; it computes without the engine."""
        return Vild(name, self, device=device, dtype=dtype)

    def write(
        self,
        folder: Path,
        weights: Mapping[str, Tensor],
        *,
        scalars: Mapping[str, float],
        name: str,
        history: RunHistory | None,
    ) -> None:
        """A folder with the teacher in it."""
        write_vild_folder(folder, self, weights, name=name)

    def forms(self) -> Mapping[str, Form]:
        """Its own."""
        form = export_form()
        return {form.name: form}

    def stored_scalars(self) -> Mapping[str, float] | None:
        """It has none; empty once it was trained."""
        return {} if self.is_trained else None

    def resolved(self) -> Mapping[str, Any]:
        """Which teacher, names and regions the run began with."""
        return {
            "teacher": self.teacher.fingerprint if self.teacher is not None else "",
            "vocabulary": self.vocabulary.vocabulary.digest,
            "regions": asdict(self.source) if self.source is not None else None,
        }

    def take_resolved(self, values: Mapping[str, Any] | None) -> str:
        """A continued run has to have what it began with.

        Raises:
            ModelError: it has another teacher, other names or other regions.
        """
        if values is None:
            return ""
        for name in ("teacher", "vocabulary"):
            if values.get(name) != self.resolved()[name]:
                raise ModelError(
                    f"the run began with another model.{name} than it has now; give it back its "
                    "own, or start a new run"
                )
        if values.get("regions") is not None and self.source is not None:
            wanted = RegionSource(**values["regions"])
            check_fits(self.source, wanted, str(self.config.regions))
        return ""

    def is_new(self, name: str) -> bool:
        """What a localizer has none of: the heads that name regions."""
        return self.config.localizer is not None and not name.startswith(LOCALIZER)

    def compile(self) -> None:
        """The trunk alone; what follows differs in length from step to step."""
        self.network.trunk.compile()
