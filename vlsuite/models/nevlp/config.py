"""NEVLP as a model family: built from settings, from a checkpoint, or from its folder."""

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from data_pipelines.bounded_json import read_object
from data_pipelines.settings import from_dict
from vlsuite.batches.concepts import TaggerSettings, read_concepts
from vlsuite.batches.tokenizer import CachedTokenizer
from vlsuite.errors import ConfigError, ModelError
from vlsuite.models import registry
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.clip import unscaled
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.dual_encoder.kept_preparation import recorded_preparation
from vlsuite.models.family import ModelFamily
from vlsuite.models.language.causal_lm import load_language_model
from vlsuite.models.nevlp.built import (
    CONCEPTS,
    DESCRIPTION,
    FORMAT,
    IMAGE_TOWER,
    LANGUAGE_MODEL,
    WEIGHTS,
    trained_part,
)
from vlsuite.models.nevlp.encoder import BridgeSettings, NevlpEncoder
from vlsuite.models.nevlp.settings import NevlpSettings
from vlsuite.models.nevlp.trainable import TrainableNevlp
from vlsuite.models.tagging import check_fits

_LOG = logging.getLogger(__name__)


@registry.register("nevlp")
@dataclass(frozen=True, kw_only=True, slots=True)
class NevlpConfig(NevlpSettings, ModelFamily):
    """NEVLP; see ``NevlpSettings`` for what can be set."""

    def build(self) -> TrainableNevlp:
        """Load the frozen parts and make the rest, on the CPU in fp32.

        Raises:
            ConfigError: no language model is named.
            ModelError, UnknownNameError: a frozen part cannot be loaded, or is of no use here.
            DataError: the file of concepts cannot be read.
        """
        if not self.language_model:
            raise ConfigError(
                "model.language_model is not set; name a folder or a Hugging Face id of a causal "
                "language model"
            )
        tower = self.build_tower()
        language = load_language_model(self.language_model, context_length=self.context_length)
        width = _token_width(tower, self.image_layer, self.image_tower.name)
        encoder = NevlpEncoder(
            tower.encoder,
            language,
            querying=self.querying,
            image_width=width,
            settings=BridgeSettings(
                **{f.name: getattr(self, f.name) for f in dataclasses.fields(BridgeSettings)}
            ),
        )
        return TrainableNevlp(
            encoder=encoder,
            config=self,
            image_tower=tower,
            preprocess=tower.preprocess,
            tokenizer=CachedTokenizer(language.texts),
            tagger=self._own_tagger(tower),
        )

    def build_tower(self) -> BuiltModel:
        """Load the CLIP whose image tower is frozen, in eval mode.

        Raises:
            ConfigError: it has no weights.
            ModelError, UnknownNameError: it cannot be loaded.
        """
        tower = self.image_tower.build()
        if tower.logit_scale is None:
            raise ConfigError(
                f"model.image_tower.name={self.image_tower.name} has no weights, and it is not "
                "trained here; set model.image_tower.pretrained, or name 'local-dir:RUN/export'"
            )
        tower.encoder.eval()
        return tower

    def rebuild(self, export: Path) -> TrainableNevlp:
        """See ``ModelFamily``: a frozen part that is gone is taken from the export's copy."""
        built = self._with_parts_of(export).build()
        if remark := built.take_resolved(recorded_preparation(export)):
            _LOG.warning("%s", remark)
        return built

    def _with_parts_of(self, export: Path) -> "NevlpConfig":
        if not (export / DESCRIPTION).is_file():
            return self
        changes: dict[str, Any] = {}
        place = self.image_tower.name.removeprefix("local-dir:")
        if self.image_tower.name.startswith("local-dir:") and not Path(place).is_dir():
            changes["image_tower"] = OpenClipConfig(name=f"local-dir:{export / IMAGE_TOWER}")
        if "/" in self.language_model and not Path(self.language_model).is_dir():
            changes["language_model"] = str(export / LANGUAGE_MODEL)
        if self.concepts is not None and not Path(self.concepts).is_file():
            changes["concepts"] = str(export / CONCEPTS)
        return dataclasses.replace(self, **changes)

    @classmethod
    def open_folder(cls, folder: Path) -> TrainableNevlp:
        """See ``ModelFamily``."""
        return _build_from_folder(folder)

    def _own_tagger(self, tower: BuiltModel) -> TaggerSettings | None:
        if self.concepts is None:
            return None
        settings = read_concepts(self.concepts).settings
        check_fits(settings, unscaled(tower))
        return settings


def _build_from_folder(folder: Path) -> TrainableNevlp:
    """A trained model from the folder it was exported to; nothing in it is unpickled.

    Raises:
        ModelError: a file is missing, damaged, or of another version.
    """
    try:
        stored = read_object(folder / DESCRIPTION)
        if stored["format"] != FORMAT:
            raise ValueError(f"format {stored['format']}, this version reads {FORMAT}")
        config = from_dict(NevlpConfig, stored["model"])
        scale = float(stored["logit_scale"])
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, SafetensorError) as error:
        raise ModelError(
            f"cannot read the NEVLP model in {folder}: {' '.join(str(error).split())[:200]}; "
            "export it again with 'vlsuite export RUN'"
        ) from error
    has_concepts = (folder / CONCEPTS).is_file()
    config = dataclasses.replace(
        config,
        image_tower=OpenClipConfig(name=f"local-dir:{folder / IMAGE_TOWER}"),
        language_model=str(folder / LANGUAGE_MODEL),
        concepts=str(folder / CONCEPTS) if has_concepts else None,
    )
    built = config.build()
    wanted = trained_part(built.encoder.state_dict())
    differing = sorted(wanted.keys() ^ weights.keys()) or sorted(
        name for name, value in weights.items() if value.shape != wanted[name].shape
    )
    if differing:
        raise ModelError(
            f"{folder / WEIGHTS} does not fit {DESCRIPTION} beside it ('{differing[0]}'); export "
            "the model again with 'vlsuite export RUN'"
        )
    built.encoder.load_state_dict(weights, strict=False)
    return dataclasses.replace(built, logit_scale=scale)


@torch.no_grad()
def _token_width(tower: BuiltModel, layer: int, name: str) -> int:
    """Width of the image tower's tokens, found by showing it a black picture."""
    height, width = tower.preprocess["size"]
    try:
        found = tower.encoder.visual.forward_intermediates(  # type: ignore[operator]
            torch.zeros(1, 3, height, width),
            indices=[layer],
            intermediates_only=True,
            output_fmt="NLC",
            output_extra_tokens=True,
        )["image_intermediates"][0]
        assert found.ndim == 3
    except (AssertionError, AttributeError, IndexError, TypeError, RuntimeError) as error:
        raise ModelError(
            f"the image tower of '{name}' gives no patch tokens at layer {layer} "
            f"({' '.join(str(error).split())[:100]}); take a ViT, and model.image_layer=-1 if it "
            "has one block only"
        ) from error
    return found.shape[2]
