"""What families of videos and texts share: a dual encoder whose image tower they extend."""

import dataclasses
from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from data_pipelines.settings import from_dict, to_dict
from vlsuite.batches.curriculum import FrameCurriculum
from vlsuite.errors import ConfigError, ModelError
from vlsuite.models.coca.trainable import TrainableCoca
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.dual_encoder.trainable import TrainableDualEncoder
from vlsuite.models.family import ModelFamily
from vlsuite.models.video_text.encoder import VideoTextEncoder
from vlsuite.models.video_text.folder import (
    IMAGE_TEXT,
    load_own_weights,
    read_video_folder,
    unreadable,
)
from vlsuite.models.video_text.shared_names import names_in_image_tower
from vlsuite.models.video_text.trainable import TrainableVideoText


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoTextFamily(ModelFamily):
    """The dual encoder that it starts from, and how many frames it is shown.

    Attributes:
        image_text: the dual encoder that it starts from; image_text.name is a ViT of open_clip or
            timm, or "local-dir:RUN/export". With image_text.lock_image only what is new learns.
        frames: of a clip in training: "4", or a curriculum of stages FRAMESxSAMPLES and a last
            one: "1x200000,4x50000,8" (samples drawn over all processes). Images are clips of one
            frame at any time.
    """

    #: By which it is registered; stands in the names of files.
    family: ClassVar[str]
    #: What its models are in training.
    trainable: ClassVar[type[TrainableVideoText]]

    image_text: OpenClipConfig = field(default_factory=OpenClipConfig)
    frames: tuple[str, ...] = ("4",)

    def __post_init__(self) -> None:
        FrameCurriculum.parsed(self.frames)
        if self.image_text.token_selection.width:
            raise ConfigError("model.image_text.token_selection is for image towers; leave it out")

    @property
    def curriculum(self) -> FrameCurriculum:
        """The parsed ``frames``."""
        return FrameCurriculum.parsed(self.frames)

    @property
    @abstractmethod
    def how(self) -> str:
        """How clips become an embedding, in half a sentence, for the card."""

    @abstractmethod
    def encoder_of(self, base: TrainableDualEncoder) -> VideoTextEncoder:
        """The encoder of clips and texts, made of the towers of a dual encoder.

        Raises:
            ModelError: the image tower is of another kind than the family can extend.
        """

    def build(self) -> TrainableVideoText:
        """Build the towers on the CPU in fp32, weights loaded where asked for.

        Raises:
            UnknownNameError, ModelError: see ``OpenClipConfig.build``; the image tower cannot be
                extended.
        """
        return self._extended(self.image_text.build())

    def check(self) -> None:
        """See ``ModelFamily``."""
        self.image_text.check()

    def rebuild(self, export: Path) -> TrainableVideoText:
        """See ``ModelFamily``."""
        return self._extended(self.image_text.rebuild(export / IMAGE_TEXT))

    @classmethod
    def open_folder(cls, folder: Path) -> TrainableVideoText:
        """See ``ModelFamily``."""
        stored = read_video_folder(folder, family=cls.family)
        try:
            config = from_dict(cls, stored.settings)
        except (ValueError, KeyError, TypeError) as error:
            raise unreadable(folder, error) from error
        place = OpenClipConfig(name=f"local-dir:{folder / IMAGE_TEXT}")
        built = dataclasses.replace(config, image_text=place).build()
        load_own_weights(
            built.encoder,
            stored.weights,
            folder=folder,
            family=cls.family,
            is_own=lambda name: name not in built.image_names,
        )
        return built

    def described(self) -> dict[str, Any]:
        """The settings without places on one machine."""
        settings = to_dict(self)
        del settings["image_text"]
        return settings

    def _extended(self, base: TrainableDualEncoder) -> TrainableVideoText:
        """The video model around a dual encoder, whose image tower it takes over."""
        if isinstance(base, TrainableCoca):
            raise ModelError(
                f"'{self.image_text.name}' writes captions; choose a dual encoder without a decoder"
            )
        image: nn.Module = base.encoder.visual
        names = {
            id(value): f"visual.{name}"
            for name, value in (*image.named_parameters(), *image.named_buffers())
        }
        encoder = self.encoder_of(base)
        shared = dict(names_in_image_tower(encoder.visual, names))
        image_names = {f"visual.{name}": image_name for name, image_name in shared.items()}
        image_names |= {
            name: name for name in encoder.state_dict() if not name.startswith("visual.")
        }
        fields: dict[str, Any] = {f.name: getattr(base, f.name) for f in dataclasses.fields(base)}
        fields["encoder"] = encoder
        return self.trainable(
            **fields,
            curriculum=self.curriculum,
            family=self.family,
            described=self.described(),
            how=self.how,
            image_names=image_names,
        )
