"""Settings of STORM: temporal Mamba layers over the tokens of a clip's frames.

Jiang et al. 2025, arXiv 2503.04130, without public code. The paper's: an image encoder, pixel
shuffle and a linear projector, layers X <- X + Mixer(LN(X)) over all tokens of a clip in raster
order and then in time, a Mamba in both directions as the mixer, and the three reductions. Not
disclosed, and therefore settings with defaults of ours: the number of layers, the kind and sizes of
Mamba, how directions are merged (``MambaConfig``, after Vamba, arXiv 2503.11579). Behind the tokens
that are kept stands a causal language model, as published (``language_model``), or a query reads
them, and the model is trained by contrast like every dual encoder (ours).
"""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import nn

from vlsuite.errors import ConfigError
from vlsuite.layers.mamba.config import MambaConfig
from vlsuite.layers.mamba.temporal import TemporalMamba
from vlsuite.models.dual_encoder.trainable import TrainableDualEncoder
from vlsuite.models.sizes import MOST_WIDTH
from vlsuite.models.storm.frame_encoder import FrameEncoder, frame_encoder
from vlsuite.models.storm.reduction import Reduction
from vlsuite.models.storm.writing import WritingConfig
from vlsuite.models.video_text.family import VideoTextFamily


@dataclass(frozen=True, kw_only=True, slots=True)
class StormSettings(VideoTextFamily):
    """What the video encoder is made of; see also ``VideoTextFamily``.

    Attributes:
        image_layer: block of the image tower whose tokens are taken, from the end; -1 is the last.
        downsample: so many rows and columns of patches are one token (pixel shuffle; the paper
            makes 256 tokens of 1,024 patches: 2).
        width: of a token, in the temporal layers and where it is read; None: of the image tower.
        layers: temporal layers; 0 is STORM without Mamba. Not disclosed; 2 is ours (the paper's
            add 4 % to the time of 32 frames, so they are few).
        mixer: of each layer.
        reduction: which tokens are kept behind the temporal layers.
        head_layers: of the small transformer that reads the kept tokens by a query. With one layer
            of one head it weighs tokens by place or by time, not one by the other, so order is
            hardly read without temporal layers.
        head_heads: of its attention; None: width / 64, at least 1. Small models read order sooner
            with 4, and with two layers.
        from_image: the embedding of a clip starts as the mean of the embeddings of its frames, to
            which the reader learns to add; so a trained image tower is of use from the first step
            on, and the mean over all frames is known whatever the reduction. Off: only what the
            reader finds, as with the paper's language model.
        image_frames_at_once: frames that the image tower works on where nothing is learned, and in
            training with image_text.grad_checkpointing; bounds memory, changes no result.
        tokens_at_once: likewise, tokens of a clip that a temporal layer works on.
        language_model: folder or Hugging Face id of a causal language model (safetensors) that
            reads the kept tokens, answers and describes; trained with objective=answers. Empty: a
            query reads them. With one, head_* and from_image have no meaning, and ``width`` is the
            language model's.
        train_language_model: whether it learns too; else it is frozen.
        writing: what is written.
    """

    family: ClassVar[str] = "storm"

    image_layer: int = -1
    downsample: int = 2
    width: int | None = None
    layers: int = 2
    mixer: MambaConfig = field(default_factory=MambaConfig)
    reduction: Reduction = field(default_factory=Reduction)
    head_layers: int = 1
    head_heads: int | None = None
    from_image: bool = True
    image_frames_at_once: int = 32
    tokens_at_once: int = 8192
    language_model: str = ""
    train_language_model: bool = False
    writing: WritingConfig = field(default_factory=WritingConfig)

    def __post_init__(self) -> None:
        # slots make another class of this one, which a bare super() does not know
        VideoTextFamily.__post_init__(self)
        least = {
            "downsample": 1, "layers": 0, "head_layers": 1, "image_frames_at_once": 1,
            "tokens_at_once": 1,
        }  # fmt: skip
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError(f"model.{name}={getattr(self, name)} must be at least {low}")
        if self.width is not None and not 2 <= self.width <= MOST_WIDTH:
            raise ConfigError(f"model.width={self.width} must lie between 2 and {MOST_WIDTH:,}")
        if not self.language_model and (
            self.train_language_model or self.writing != WritingConfig()
        ):
            raise ConfigError(
                "model.train_language_model and model.writing need model.language_model; name a "
                "folder or a Hugging Face id"
            )
        head_is_set = self.head_layers != 1 or self.head_heads is not None or not self.from_image
        if self.language_model and head_is_set:
            raise ConfigError(
                "model.head_layers, model.head_heads and model.from_image are of the contrastive "
                "head; leave them out, or model.language_model"
            )
        if self.head_heads is not None and self.head_heads < 1:
            raise ConfigError(f"model.head_heads={self.head_heads} must be at least 1")
        if self.image_layer >= 0:
            raise ConfigError(
                f"model.image_layer={self.image_layer} counts from the end: -1 is the last block"
            )
        if self.image_text.patch_dropout:
            raise ConfigError(
                "model.image_text.patch_dropout leaves no grid of tokens; leave it out"
            )

    @property
    def how(self) -> str:
        """See ``VideoTextFamily``."""
        if not self.layers:
            return "tokens of its frames, read by a query"
        directions = "both directions" if self.mixer.directions == "both" else "time"
        return (
            f"{self.layers} temporal layers ({self.mixer.kind} in {directions}) over the tokens of "
            "its frames, read by a query"
        )

    def frames_of(self, base: TrainableDualEncoder, *, width: int | None) -> FrameEncoder:
        """What makes tokens of that width of the frames, around the image tower.

        Raises:
            ModelError: the tower does not give tokens of patches.
            ConfigError: its patches cannot be joined so, or it would learn with batch norm.
        """
        if not self.image_text.lock_image:
            refuse_batch_norm(base.encoder.visual, self.image_text.name)
        return frame_encoder(
            base.encoder.visual,
            name=self.image_text.name,
            size=base.preprocess["size"],
            image_layer=self.image_layer,
            downsample=self.downsample,
            width=width,
            frames_at_once=self.image_frames_at_once,
            grad_checkpointing=self.image_text.grad_checkpointing,
        )

    def mixers(self, width: int) -> list[nn.Module]:
        """The temporal layers."""
        return [TemporalMamba(width, self.mixer) for _ in range(self.layers)]


def refuse_batch_norm(tower: nn.Module, name: str) -> None:
    """An image tower that learns sees frames of many clips in parts, each perhaps twice.

    Its batch statistics would depend on these parts, and running ones would count frames twice.

    Raises:
        ConfigError: it has batch normalisation.
    """
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in tower.modules()):
        raise ConfigError(
            f"the image tower of '{name}' has batch normalisation, with which a clip depends on "
            "those beside it; set model.image_text.lock_image=true, or take a ViT"
        )
