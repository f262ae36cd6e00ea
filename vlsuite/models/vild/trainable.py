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
from vlsuite.errors import ConfigError, ModelError
from vlsuite.export.form import Form
from vlsuite.export.run_history import RunHistory
from vlsuite.models.family import TrainableModel, refuse_objective
from vlsuite.models.vild.built import BuiltVild
from vlsuite.models.vild.export_form import export_form
from vlsuite.models.vild.fixed_form import fixed_form
from vlsuite.models.vild.folder import write_vild_folder
from vlsuite.models.vild.model import Vild
from vlsuite.models.vild.network import LOCALIZER
from vlsuite.models.vild.reader import DetectionReader, SizeRule
from vlsuite.models.vild.region_cache import RegionCache, RegionSource, check_fits
from vlsuite.models.vild.settings import DISTILLED_MODES
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
            ConfigError: it needs regions, and none are named; or the sources of the data do not
                fit the vocabularies.
        """
        config, regions = self.config, None
        self.vocabulary.check_sources(data.train)
        if config.mode in DISTILLED_MODES:
            if config.regions is None:
                raise ConfigError(
                    f"model.mode={config.mode} learns from the teacher's embeddings of regions; "
                    "make them with 'vlsuite data region-embeddings', then set model.regions=FOLDER"
                )
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
        targets = targets_of(batch, device, is_foreign=self.vocabulary.is_foreign)
        return engine(pixels, targets)

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
        """Its own folder, and one file with a fixed vocabulary."""
        return {form.name: form for form in (export_form(), fixed_form())}

    def stored_scalars(self) -> Mapping[str, float] | None:
        """It has none; empty once it was trained."""
        return {} if self.is_trained else None

    def resolved(self) -> Mapping[str, Any]:
        """Which teacher, names and regions the run began with."""
        sources = self.vocabulary.sources
        told = {
            "teacher": self.teacher.fingerprint if self.teacher is not None else "",
            "vocabulary": self.vocabulary.vocabulary.digest,
            "regions": asdict(self.source) if self.source is not None else None,
        }
        return told | ({"vocabularies": [o.digest for o in sources]} if len(sources) > 1 else {})

    def take_resolved(self, values: Mapping[str, Any] | None) -> str:
        """A continued run has to have what it began with.

        Raises:
            ModelError: it has another teacher, other names or other regions.
        """
        if values is None:
            return ""
        for name in ("teacher", "vocabulary", "vocabularies"):
            own = self.resolved().get(name)
            # a model from its export has the joined names alone
            if values.get(name) != own and (own is not None or name != "vocabularies"):
                setting = name.replace("vocabularies", "vocabulary")
                raise ModelError(
                    f"the run began with another model.{setting} than it has now; give it back "
                    "its own, or start a new run"
                )
        if values.get("regions") is not None and self.source is not None:
            wanted = RegionSource(**values["regions"])
            check_fits(self.source, wanted, str(self.config.regions))
        return ""

    def is_new(self, name: str) -> bool:
        """What a localizer has none of: the heads that name regions."""
        return self.config.localizer is not None and not name.startswith(LOCALIZER)

    def remarks(self) -> tuple[str, ...]:
        """How the vocabularies of several sources were joined."""
        own = self.vocabulary
        if len(own.sources) == 1:
            return ()
        known = [set(source.texts) for source in own.sources]
        shared = sorted(name for name in own.names if sum(name in one for one in known) > 1)
        told = ", ".join(shared[:5]) + (", ..." if len(shared) > 5 else "")
        counts = " + ".join(f"{len(one):,}" for one in known)
        same = f"{len(shared):,} of them in several sources ({told})" if shared else "none shared"
        return (
            f"note: vocabularies of {counts} names joined into {len(own.names):,}, {same}; names "
            "are left out of the loss of pictures whose source is not annotated with them",
        )

    def compile(self) -> None:
        """The trunk alone; what follows differs in length from step to step."""
        self.network.trunk.compile()
