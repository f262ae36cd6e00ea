"""Settings of a NEVLP model (see ``nevlp``), and the folder that a trained one is kept in.

The folder holds everything: ``nevlp_config.json``, the trained weights in
``nevlp.safetensors``, the image tower as an open_clip folder, the language model as a folder of
transformers, and ``concepts.jsonl`` where the model names concepts itself.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from data_pipelines.settings import from_dict, to_dict
from vlsuite.batches.concepts import TaggerSettings, read_concepts
from vlsuite.batches.tokenizer import CachedTokenizer
from vlsuite.errors import ConfigError, ModelError
from vlsuite.models import registry
from vlsuite.models.dual_encoder.config import BuiltModel, OpenClipConfig
from vlsuite.models.nevlp.causal_lm import load_language_model
from vlsuite.models.nevlp.encoder import FROZEN_PREFIXES, BridgeSettings, NevlpEncoder
from vlsuite.models.nevlp.querying_transformer import QueryingConfig

DESCRIPTION = "nevlp_config.json"
WEIGHTS = "nevlp.safetensors"
IMAGE_TOWER, LANGUAGE_MODEL, CONCEPTS = "image_tower", "language_model", "concepts.jsonl"

_FORMAT = 1
_PLACES = ("image_tower", "language_model", "concepts")


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltNevlp:
    """A NEVLP model, and all that is needed to feed and export it.

    Attributes:
        encoder: the frozen parts and the trained one.
        config: it was built from.
        image_tower: the frozen CLIP that its image tower belongs to.
        preprocess: of pictures, as of the image tower.
        tokenizer: of the language model; reads all texts.
        tagger: how the model names concepts in pictures that it is shown; None: not at all.
        logit_scale: stored with loaded weights; None before training.
    """

    encoder: NevlpEncoder
    config: "NevlpConfig"
    image_tower: BuiltModel
    preprocess: dict[str, Any]
    tokenizer: CachedTokenizer
    tagger: TaggerSettings | None
    logit_scale: float | None = None
    logit_bias: None = None


@registry.register("nevlp")
@dataclass(frozen=True, kw_only=True, slots=True)
class NevlpConfig:
    """Which frozen parts, and the size of what is trained between them.

    Attributes:
        image_tower: a CLIP with weights whose image tower is a ViT of open_clip or timm; its own
            training options have no effect.
        image_layer: block of the image tower whose output is read, from the end; -2 is the last
            but one, as in BLIP-2.
        querying: size of the querying transformer.
        language_model: folder or Hugging Face id of a causal language model (safetensors).
        context_length: tokens of a caption at most, begin and end mark included.
        concept_length: tokens of the text of concepts at most.
        embed_dim: of the space that pictures and texts are compared in.
        itc_pool: "mean" compares the mean of the projected queries with a text, so that a picture
            has one vector and the model serves every task; "max" takes the best query as BLIP-2
            does, and can then only be used for matching and writing.
        mining_scale: multiplier of cosines in the softmax that hard negatives are drawn from
            (LAVIS takes the learned one, which lies outside the model here).
        negatives: "global" draws them among the pairs of all processes, "local" saves the exchange
            of image tokens.
        concept_dropout: share of pictures shown without their concepts in training, [0, 1].
        token_smoothing: label smoothing of the captions' tokens, [0, 1).
        concepts: file of 'vlsuite data concepts' made with the very model of ``image_tower``: the
            trained model then names concepts itself. None: it does without.
    """

    image_tower: OpenClipConfig = field(default_factory=OpenClipConfig)
    image_layer: int = -2
    querying: QueryingConfig = field(default_factory=QueryingConfig)
    language_model: str = ""
    context_length: int = 32
    concept_length: int = 24
    embed_dim: int = 256
    itc_pool: Literal["mean", "max"] = "mean"
    mining_scale: float = 1 / 0.07
    negatives: Literal["global", "local"] = "global"
    concept_dropout: float = 0.5
    token_smoothing: float = 0.0
    concepts: str | None = None

    def __post_init__(self) -> None:
        if self.context_length < 3 or self.concept_length < 1 or self.embed_dim < 1:
            raise ConfigError(
                "model: need context_length >= 3, concept_length >= 1 and embed_dim >= 1"
            )
        if not 0 <= self.concept_dropout <= 1:
            raise ConfigError(f"model.concept_dropout={self.concept_dropout} must lie in [0, 1]")
        if not 0 <= self.token_smoothing < 1:
            raise ConfigError(f"model.token_smoothing={self.token_smoothing} must lie in [0, 1)")
        if not (math.isfinite(self.mining_scale) and self.mining_scale >= 0):
            raise ConfigError(f"model.mining_scale={self.mining_scale} must be 0 or positive")

    def build(self) -> BuiltNevlp:
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
        tower = self.image_tower.build()
        if tower.logit_scale is None:
            raise ConfigError(
                f"model.image_tower.name={self.image_tower.name} has no weights, and it is not "
                "trained here; set model.image_tower.pretrained, or name 'local-dir:RUN/export'"
            )
        language = load_language_model(self.language_model, context_length=self.context_length)
        tower.encoder.eval()
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
        return BuiltNevlp(
            encoder=encoder,
            config=self,
            image_tower=tower,
            preprocess=tower.preprocess,
            tokenizer=CachedTokenizer(language.texts),
            tagger=self._own_tagger(tower),
        )

    def _own_tagger(self, tower: BuiltModel) -> TaggerSettings | None:
        from vlsuite.models.dual_encoder.clip import Clip, tokenizer_of
        from vlsuite.models.tagging import check_fits

        if self.concepts is None:
            return None
        settings = read_concepts(self.concepts).settings
        clip = Clip(
            self.image_tower.name,
            tower,
            tokenizer_of(self.image_tower, tower),
            encode=tower.encoder,
            logit_scale=1.0,
            logit_bias=0.0,
            device=torch.device("cpu"),
        )
        check_fits(settings, clip)
        return settings


def described(config: NevlpConfig, *, logit_scale: float) -> dict[str, Any]:
    """What ``nevlp_config.json`` holds: the config without places on one machine."""
    settings = {key: value for key, value in to_dict(config).items() if key not in _PLACES}
    return {"format": _FORMAT, "logit_scale": logit_scale, "model": settings}


def trained_part(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that are not frozen."""
    return {k: v for k, v in weights.items() if not k.startswith(FROZEN_PREFIXES)}


def frozen_part(weights: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """The weights of "image_tower" or "language_model", under that part's own names."""
    mark = f"{part}."
    return {k.removeprefix(mark): v for k, v in weights.items() if k.startswith(mark)}


def build_from_folder(folder: Path) -> BuiltNevlp:
    """A trained model from the folder it was exported to; nothing in it is unpickled.

    Raises:
        ModelError: a file is missing, damaged, or of another version.
    """
    try:
        stored = json.loads((folder / DESCRIPTION).read_text())
        if stored["format"] != _FORMAT:
            raise ValueError(f"format {stored['format']}, this version reads {_FORMAT}")
        config = from_dict(NevlpConfig, stored["model"])
        scale = float(stored["logit_scale"])
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
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
