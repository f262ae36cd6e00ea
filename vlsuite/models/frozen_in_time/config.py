"""Frozen in Time as a model family: videos and images in one encoder, beside a text tower.

Bain et al. 2021, arXiv 2104.00650. The image tower and the text tower are those of any dual encoder
of open_clip, among them towers of timm and text encoders of Hugging Face.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from vlsuite.batches.curriculum import FrameCurriculum
from vlsuite.errors import ConfigError
from vlsuite.models import registry
from vlsuite.models.dual_encoder.trainable import TrainableDualEncoder
from vlsuite.models.frozen_in_time.block import TimeInit
from vlsuite.models.frozen_in_time.from_image_tower import video_tower
from vlsuite.models.frozen_in_time.tower import MeanPooledTower
from vlsuite.models.video_text.encoder import VideoTextEncoder
from vlsuite.models.video_text.family import VideoTextFamily
from vlsuite.models.video_text.trainable import TrainableVideoText


@registry.register("frozen_in_time")
@dataclass(frozen=True, kw_only=True, slots=True)
class FrozenInTimeConfig(VideoTextFamily):
    """What the video encoder is made of; see also ``VideoTextFamily``.

    Attributes:
        max_frames: longest clip that the model can take; None: the longest of ``frames``. The
            embeddings of later frames are zero until they are trained.
        over_time: "divided" attends over time, then space, in every block; "mean" averages the
            embeddings of frames of any image tower, blind to order: the baseline.
        time_init: of attention over time: "identity" (the last matrix zero, so that a pretrained
            image tower is kept), "drawn" (all matrices and the embeddings of time: for an image
            tower without weights) or "published" (which never learns to attend; see
            ``vlsuite.models.frozen_in_time.block``).
        log_frames_bias: the number of frames does not change how much a class token keeps of
            itself, so a video that stands still has one embedding, whatever its length; the
            publication has none.
    """

    family: ClassVar[str] = "frozen_in_time"
    trainable: ClassVar[type[TrainableVideoText]] = TrainableVideoText

    max_frames: int | None = None
    over_time: Literal["divided", "mean"] = "divided"
    time_init: TimeInit = "identity"
    log_frames_bias: bool = True

    def __post_init__(self) -> None:
        # slots make another class of this one, which a bare super() does not know
        VideoTextFamily.__post_init__(self)
        longest = max(FrameCurriculum.parsed(self.frames).frames)
        if self.max_frames is not None and self.max_frames < longest:
            raise ConfigError(
                f"model.max_frames={self.max_frames} is less than the {longest} frames of "
                "model.frames; raise it, or leave it out"
            )

    @property
    def how(self) -> str:
        """See ``VideoTextFamily``."""
        if self.over_time == "mean":
            return "the mean of its frames' embeddings, blind to their order"
        return "divided attention over time and space in every block"

    def encoder_of(self, base: TrainableDualEncoder) -> VideoTextEncoder:
        """See ``VideoTextFamily``."""
        image = base.encoder.visual
        if self.over_time == "mean":
            return VideoTextEncoder(MeanPooledTower(image), base.encoder.text)
        tower = video_tower(
            image,
            name=self.image_text.name,
            size=base.preprocess["size"],
            max_frames=self.max_frames or max(self.curriculum.frames),
            time_init=self.time_init,
            log_frames_bias=self.log_frames_bias,
        )
        tower.grad_checkpointing = self.image_text.grad_checkpointing
        return VideoTextEncoder(tower, base.encoder.text)
