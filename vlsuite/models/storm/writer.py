"""STORM as published: the kept tokens of a clip stand before a causal language model.

Jiang et al. 2025, arXiv 2503.04130, section 3.1: the projector's tokens, mixed over time and
reduced, are the visual prefix of a language model that answers; projector and temporal layers have
the language model's width. A sequence is: tokens of the clip in order of time, the question, a
begin mark, the answer, an end mark. No chat template is applied (ours).

b = clips, k = kept tokens, q = question tokens, a = answer tokens, w = width
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from vlsuite.errors import ConfigError
from vlsuite.models.language.causal_lm import (
    LanguageModel,
    LmTokenizer,
    Sequences,
    caption_losses,
    embedded,
    generated,
    trimmed,
)
from vlsuite.models.storm.reduction import Reduction
from vlsuite.models.storm.tower import ClipTokens


class StormWriter(nn.Module):
    """Tokens of clips, and the language model that reads them.

    Args:
        visual: frames of clips to tokens of the language model's width.
        language: the model and its tokenizer.
        train_language: whether the language model learns too.
    """

    def __init__(
        self, visual: ClipTokens, language: LanguageModel, *, train_language: bool
    ) -> None:
        super().__init__()
        self.visual = visual
        self.language_model: Any = language.model
        self.texts: LmTokenizer = language.texts
        self.train_language = train_language
        language.model.requires_grad_(train_language)

    def train(self, mode: bool = True) -> "StormWriter":
        """As ``nn.Module.train``; a frozen language model stays in eval mode."""
        super().train(mode)
        if not self.train_language:
            self.language_model.eval()
        return self

    def forward(
        self,
        frames: Float[Tensor, "total_frames 3 height width"],
        question_ids: Int64[Tensor, "clips question_length"],
        answer_ids: Int64[Tensor, "clips length"],
        *,
        num_frames: Sequence[int],
    ) -> Float[Tensor, " clips"]:
        """Nats a token of each answer, fp32.

        Args:
            frames: normalised, of all clips, one clip after the other.
            question_ids: ``NO_TOKEN`` where there is none.
            answer_ids: begin mark, answer, end mark.
            num_frames: of each clip.
        """
        sequences = self._sequences(frames, num_frames, question_ids, answer_ids, None)
        return caption_losses(self.language_model, sequences, label_smoothing=0.0)

    @torch.no_grad()
    def write(
        self,
        frames: Float[Tensor, "total_frames 3 height width"],
        questions: Sequence[str],
        *,
        num_frames: Sequence[int],
        max_tokens: int,
        num_beams: int,
        reduction: Reduction | None = None,
    ) -> list[str]:
        """What the language model writes about each clip after its question ("" for none).

        Raises:
            ConfigError: clip, question and answer have no room in the language model.
        """
        device = frames.device
        length = max((len(ids) for ids in self.texts.ids(questions)), default=0)
        given = self.texts.plain(questions, length=length).to(device)
        begin = torch.full((len(questions), 1), self.texts.begin, device=device)
        sequences = self._sequences(frames, num_frames, given, begin, reduction)
        self._check_room(sequences.embeds.shape[1] + max_tokens)
        language = LanguageModel(self.language_model, self.texts)
        return generated(language, sequences, max_tokens=max_tokens, num_beams=num_beams)

    @property
    def positions(self) -> int | None:
        """Places of a sequence at most; None where the language model knows no end."""
        found = getattr(self.language_model.config, "max_position_embeddings", None)
        return found if isinstance(found, int) else None

    def _sequences(
        self,
        frames: Tensor,
        num_frames: Sequence[int],
        question_ids: Tensor,
        answer_ids: Tensor,
        reduction: Reduction | None,
    ) -> Sequences:
        kept = self.visual.kept(frames, num_frames, reduction)
        question_ids, answer_ids = trimmed(question_ids), trimmed(answer_ids)
        return embedded(
            self.language_model,
            kept.tokens,
            question_ids,
            answer_ids,
            prefix_is_there=kept.is_there,
        )

    def _check_room(self, places: int) -> None:
        if self.positions is not None and places > self.positions:
            raise ConfigError(
                f"a clip with its question and answer takes {places:,} places, and the language "
                f"model has {self.positions:,}; show fewer frames (video.frames) or keep fewer "
                "tokens (video.temporal_pool, video.spatial_pool, video.sample_every)"
            )
