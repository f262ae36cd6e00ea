"""Frozen in Time as a model family: videos and images in one encoder, beside a text tower.

Bain et al. 2021, arXiv 2104.00650. The image tower and the text tower are those of any dual encoder
of open_clip, among them towers of timm and text encoders of Hugging Face.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from data_pipelines.settings import from_dict, to_dict
from vlsuite.batches.curriculum import FrameCurriculum
from vlsuite.errors import ConfigError, ModelError
from vlsuite.models import registry
from vlsuite.models.coca.trainable import TrainableCoca
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.dual_encoder.trainable import TrainableDualEncoder
from vlsuite.models.family import ModelFamily
from vlsuite.models.frozen_in_time.block import TimeInit
from vlsuite.models.frozen_in_time.encoder import VideoTextEncoder
from vlsuite.models.frozen_in_time.folder import (
    DESCRIPTION,
    FORMAT,
    IMAGE_TEXT,
    WEIGHTS,
)
from vlsuite.models.frozen_in_time.from_image_tower import names_in_image_tower, video_tower
from vlsuite.models.frozen_in_time.tower import MeanPooledTower
from vlsuite.models.frozen_in_time.trainable import TrainableFrozenInTime


@registry.register("frozen_in_time")
@dataclass(frozen=True, kw_only=True, slots=True)
class FrozenInTimeConfig(ModelFamily):
    """What the video encoder is made of, and how many frames it is shown.

    Attributes:
        image_text: the dual encoder that it starts from; image_text.name is a ViT of open_clip or
            timm, or "local-dir:RUN/export". With image_text.lock_image only what is new learns.
        frames: of a clip in training: "4", or a curriculum of stages FRAMESxSAMPLES and a last
            one: "1x200000,4x50000,8" (samples drawn over all processes). Images are clips of one
            frame at any time.
        max_frames: longest clip that the model can take; None: the longest of ``frames``. The
            embeddings of later frames are zero until they are trained.
        over_time: "divided" attends over time, then space, in every block; "mean" averages the
            embeddings of frames of any image tower, blind to order: the baseline.
        time_init: of attention over time: "identity" (the last matrix zero) or "published" (which
            never learns to attend; see ``vlsuite.models.frozen_in_time.block``).
        log_frames_bias: the number of frames does not change how much a class token keeps of
            itself, so a video that stands still has one embedding, whatever its length; the
            publication has none.
    """

    image_text: OpenClipConfig = field(default_factory=OpenClipConfig)
    frames: tuple[str, ...] = ("4",)
    max_frames: int | None = None
    over_time: Literal["divided", "mean"] = "divided"
    time_init: TimeInit = "identity"
    log_frames_bias: bool = True

    def __post_init__(self) -> None:
        longest = max(FrameCurriculum.parsed(self.frames).frames)
        if self.max_frames is not None and self.max_frames < longest:
            raise ConfigError(
                f"model.max_frames={self.max_frames} is less than the {longest} frames of "
                "model.frames; raise it, or leave it out"
            )
        if self.image_text.token_selection.width:
            raise ConfigError("model.image_text.token_selection is for image towers; leave it out")

    @property
    def curriculum(self) -> FrameCurriculum:
        """The parsed ``frames``."""
        return FrameCurriculum.parsed(self.frames)

    def build(self) -> TrainableFrozenInTime:
        """Build the towers on the CPU in fp32, weights loaded where asked for.

        Raises:
            UnknownNameError, ModelError: see ``OpenClipConfig.build``; the image tower cannot
                attend over time.
        """
        return self._extended(self.image_text.build())

    def check(self) -> None:
        """See ``ModelFamily``."""
        self.image_text.check()

    def rebuild(self, export: Path) -> TrainableFrozenInTime:
        """See ``ModelFamily``."""
        return self._extended(self.image_text.rebuild(export / IMAGE_TEXT))

    @classmethod
    def open_folder(cls, folder: Path) -> TrainableFrozenInTime:
        """See ``ModelFamily``."""
        try:
            stored = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            if stored["format"] != FORMAT:
                raise ValueError(f"format {stored['format']}, this version reads {FORMAT}")
            config = from_dict(cls, stored["model"])
            weights = load_file(folder / WEIGHTS)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ModelError(
                f"cannot read the video model in {folder}: {' '.join(str(error).split())[:200]}; "
                "export it again with 'vlsuite export RUN'"
            ) from error
        place = OpenClipConfig(name=f"local-dir:{folder / IMAGE_TEXT}")
        built = dataclasses.replace(config, image_text=place).build()
        missing = built.encoder.load_state_dict(weights, strict=False).unexpected_keys
        new = set(built.encoder.state_dict()) - set(built.image_names)
        if missing or weights.keys() != new:
            odd = sorted({*missing} | (weights.keys() ^ new))[0]
            raise ModelError(
                f"{folder / WEIGHTS} does not fit {DESCRIPTION} beside it ('{odd}'); export the "
                "model again with 'vlsuite export RUN'"
            )
        return built

    def described(self) -> dict[str, Any]:
        """The settings without places on one machine."""
        settings = to_dict(self)
        del settings["image_text"]
        return settings

    def _extended(self, base: TrainableDualEncoder) -> TrainableFrozenInTime:
        """The video model around a dual encoder, whose image tower it takes apart."""
        if isinstance(base, TrainableCoca):
            raise ModelError(
                f"'{self.image_text.name}' writes captions; choose a dual encoder without a decoder"
            )
        image = base.encoder.visual
        names = {
            id(value): f"visual.{name}"
            for name, value in (*image.named_parameters(), *image.named_buffers())
        }
        encoder = VideoTextEncoder(self._tower(image, base), base.encoder.text)
        shared = dict(names_in_image_tower(encoder.visual, names))
        image_names = {f"visual.{name}": image_name for name, image_name in shared.items()}
        image_names |= {
            name: name for name in encoder.state_dict() if not name.startswith("visual.")
        }
        fields: dict[str, Any] = {f.name: getattr(base, f.name) for f in dataclasses.fields(base)}
        fields["encoder"] = encoder
        return TrainableFrozenInTime(
            **fields,
            curriculum=self.curriculum,
            described=self.described(),
            image_names=image_names,
        )

    def _tower(self, image: nn.Module, base: TrainableDualEncoder) -> nn.Module:
        if self.over_time == "mean":
            return MeanPooledTower(image)
        tower = video_tower(
            image,
            name=self.image_text.name,
            size=base.preprocess["size"],
            max_frames=self.max_frames or max(self.curriculum.frames),
            time_init=self.time_init,
            log_frames_bias=self.log_frames_bias,
        )
        tower.grad_checkpointing = self.image_text.grad_checkpointing
        return tower
