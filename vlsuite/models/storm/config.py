"""STORM as a model family: built from settings, from a checkpoint, or from its folder."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from data_pipelines.settings import from_dict
from vlsuite.errors import ConfigError
from vlsuite.models import registry
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.dual_encoder.trainable import TrainableDualEncoder
from vlsuite.models.storm.encoder import StormEncoder
from vlsuite.models.storm.frame_encoder import freeze_unread
from vlsuite.models.storm.head import Reader
from vlsuite.models.storm.settings import StormSettings
from vlsuite.models.storm.tower import StormTower
from vlsuite.models.storm.trainable import TrainableStorm
from vlsuite.models.storm.trainable_writer import TrainableStormWriter
from vlsuite.models.storm.writer_building import build_writer
from vlsuite.models.storm.writer_folder import LANGUAGE_MODEL
from vlsuite.models.video_text.family import VideoTextFamily
from vlsuite.models.video_text.folder import (
    IMAGE_TEXT,
    load_own_weights,
    read_video_folder,
    unreadable,
)
from vlsuite.models.video_text.trainable import TrainableVideoText

_HEAD_WIDTH = 64


@registry.register("storm")
@dataclass(frozen=True, kw_only=True, slots=True)
class StormConfig(StormSettings):
    """STORM; see ``StormSettings`` for what can be set."""

    trainable: ClassVar[type[TrainableVideoText]] = TrainableStorm

    def build(self) -> TrainableVideoText | TrainableStormWriter:  # type: ignore[override]
        """See ``VideoTextFamily``; with a language model, the model that writes.

        Raises:
            ConfigError: the language model is of another width, or has no room for the clips.
            ModelError, UnknownNameError: a part cannot be loaded.
        """
        if not self.language_model:
            return VideoTextFamily.build(self)
        return build_writer(self, self.image_text.build())

    def rebuild(self, export: Path) -> TrainableVideoText | TrainableStormWriter:  # type: ignore[override]
        """See ``ModelFamily``: a part that is gone is taken from the export's copy."""
        if not self.language_model:
            return VideoTextFamily.rebuild(self, export)
        copied = export / LANGUAGE_MODEL
        is_gone = "/" in self.language_model and not Path(self.language_model).is_dir()
        config = self
        if is_gone and copied.is_dir():
            config = dataclasses.replace(self, language_model=str(copied))
        return build_writer(config, self.image_text.rebuild(export / IMAGE_TEXT))

    @classmethod
    def open_folder(cls, folder: Path) -> TrainableVideoText | TrainableStormWriter:  # type: ignore[override]
        """See ``ModelFamily``."""
        stored = read_video_folder(folder, family=cls.family)
        if not stored.settings.get("language_model"):
            return super(StormConfig, cls).open_folder(folder)
        try:
            config = from_dict(cls, stored.settings)
        except (ValueError, KeyError, TypeError) as error:
            raise unreadable(folder, error) from error
        config = dataclasses.replace(
            config,
            image_text=OpenClipConfig(name=f"local-dir:{folder / IMAGE_TEXT}"),
            language_model=str(folder / LANGUAGE_MODEL),
        )
        built = config.build()
        assert isinstance(built, TrainableStormWriter)
        load_own_weights(
            built.encoder, stored.weights, folder=folder, family=cls.family, is_own=built.is_new
        )
        return built

    def encoder_of(self, base: TrainableDualEncoder) -> StormEncoder:
        """See ``VideoTextFamily``."""
        checkpointed = self.image_text.grad_checkpointing
        frames = self.frames_of(base, width=self.width)
        if not self.from_image:
            freeze_unread(frames, base.preprocess["size"])
        width = frames.project.out_features
        tower = StormTower(
            frames,
            self.mixers(width),
            reduction=self.reduction,
            reader=Reader(
                width,
                layers=self.head_layers,
                heads=self._heads(width),
                embed_dim=base.model_cfg["embed_dim"],
                starts_at_zero=self.from_image,
            ),
            from_image=self.from_image,
            tokens_at_once=self.tokens_at_once,
            grad_checkpointing=checkpointed,
        )
        return StormEncoder(tower, base.encoder.text)

    def _heads(self, width: int) -> int:
        heads = self.head_heads or max(1, width // _HEAD_WIDTH)
        if width % heads or width % 2:
            raise ConfigError(
                f"model.head_heads={heads} does not divide the even width {width} of a token; "
                "choose one that does"
            )
        return heads
