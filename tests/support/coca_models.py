"""CoCa models of some thousand weights, and open_clip's own around the same weights."""

from typing import Any

import open_clip
import torch

from tests.support.words import CONTEXT_LENGTH, word_tokenizer_folder
from vlsuite.batches.pairs import PairBatch
from vlsuite.models.coca.model import Coca
from vlsuite.models.coca.trainable import TrainableCoca
from vlsuite.models.dual_encoder.config import OpenClipConfig

NAME = "vlsuite-coca-micro-32"
CAPTIONS = (
    "a large red circle top left on white",
    "a small blue square",
    "bottom right, a small triangle in green, yellow background",
)
SIDE = 32  # pixels


def tiny_coca(*, seed: int = 0, spread: float = 0.2, **changes: Any) -> TrainableCoca:
    """Random weights, large enough that pictures and words make a difference."""
    torch.manual_seed(seed)
    settings = {"tokenizer": str(word_tokenizer_folder()), "context_length": CONTEXT_LENGTH}
    built = OpenClipConfig(name=NAME, **(settings | changes)).build()
    assert isinstance(built, TrainableCoca)
    with torch.no_grad():
        for parameter in built.encoder.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    built.encoder.eval()
    return built


def plain_coca(built: TrainableCoca, *, logit_scale: float) -> Any:
    """open_clip's CoCa with the same weights."""
    cfg = {k: v for k, v in built.model_cfg.items() if k != "custom_text"}
    model = open_clip.CoCa(**cfg)
    state = {**built.encoder.state_dict(), "logit_scale": torch.tensor(logit_scale).log()}
    model.load_state_dict(state)
    return model.eval()


def evaluated(built: TrainableCoca, name: str = "tiny") -> Coca:
    """As evaluations see it."""
    return built.evaluated(name, scalars={"logit_scale": 14.0}, device=torch.device("cpu"))


def pictures(count: int = 3, *, seed: int = 5) -> torch.Tensor:
    """Noise in [0, 255]."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 3, SIDE, SIDE)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def tiny_batch(built: TrainableCoca) -> PairBatch:
    """Three pairs of noise and captions of different lengths."""
    return PairBatch(
        images=pictures(),
        token_ids=built.tokenizer(list(CAPTIONS)),
        uids=("a", "b", "c"),
        sources=(0, 0, 0),
        caption_numbers=(0, 0, 0),
        identities=(None, None, None),
    )
