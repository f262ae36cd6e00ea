"""The published algorithm on chunks, with real models: what ``--compat upstream`` runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from eval.errors import EvaluationError
from eval.xmai.chunks import CaptionRow, Chunk
from eval.xmai.crossmodal import CrossModal
from eval.xmai.perturbing import insertions_between
from eval.xmai.proposals import STOP_WORDS
from eval.xmai.records import PerturbedCaption
from eval.xmai.upstream.algorithm import UpstreamInserter

METHOD = "xmai_upstream"


class TransformersTokenModel:
    """A masked language model of transformers behind ``TokenModel``.

    Stop words are our list, not nltk's of 179 words, which needs a download; it has nearly all of
    them and some more.

    Args:
        tokenizer, model: see ``eval.hub.loading.load_masked_lm``.
    """

    def __init__(self, tokenizer: Any, model: Any) -> None:
        if "[MASK]" not in tokenizer.all_special_tokens:
            raise EvaluationError(
                "--compat upstream works with WordPiece vocabularies alone (bert-base-cased)"
            )
        self._tokenizer = tokenizer
        self._model = model
        text = " ".join([*sorted(STOP_WORDS), *"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"])
        self._stop = frozenset(tokenizer.tokenize(text))

    def tokenize(self, text: str) -> list[str]:
        """See ``TokenModel``."""
        return self._tokenizer.tokenize(text)

    @torch.no_grad()
    def fill(self, tokens: Sequence[str], place: int, count: int) -> list[tuple[str, float]]:
        """See ``TokenModel``; empty tokens become unknown ones (fault 3)."""
        ids = torch.tensor([self._tokenizer.convert_tokens_to_ids(list(tokens))])
        logits = self._model(ids.to(self._model.device)).logits[0, place]
        top = logits.float().softmax(dim=0).cpu().topk(min(count, logits.shape[0]))
        names = self._tokenizer.convert_ids_to_tokens(top.indices.tolist())
        return list(zip(names, top.values.tolist(), strict=True))

    def is_stop(self, token: str) -> bool:
        """See ``TokenModel``."""
        return token in self._stop


class UpstreamMethod:
    """See the module.

    Args:
        inserter: changes captions.
        scorer: measures d; None: d is 0.
        models: see ``Method``.
    """

    def __init__(
        self,
        inserter: UpstreamInserter,
        scorer: CrossModal | None,
        models: dict[str, dict[str, str]],
    ) -> None:
        self._inserter = inserter
        self._scorer = scorer
        self.models = models
        self.needs_pictures = scorer is not None

    def perturb(self, chunk: Chunk) -> Sequence[PerturbedCaption]:
        """See ``Method``; one caption after the other, as published."""
        embeds = np.zeros((len(chunk.pictures), 1))
        is_good = [True] * len(chunk.pictures)
        if self._scorer:
            embeds, is_good = self._scorer.picture_embeds(chunk.pictures)
        return [
            self._record(row, self._changed(row, embeds) if is_good[row.picture] else row.text)
            for row in chunk.rows
        ]

    def _changed(self, row: CaptionRow, embeds: Float[np.ndarray, "pictures embed_dim"]) -> str:
        def distance(sentences: Sequence[str]) -> np.ndarray:
            if self._scorer is None:
                return np.zeros(len(sentences))
            rows = [row.picture] * len(sentences)
            return 1 - self._scorer.cosines(embeds, rows, sentences)

        objects = [seen.name for seen in row.seen]
        attributes = [seen.attribute for seen in row.seen]
        return self._inserter.perturb(row.text, objects, attributes, distance)

    @staticmethod
    def _record(row: CaptionRow, text: str) -> PerturbedCaption:
        return PerturbedCaption(
            uid=row.uid,
            caption_number=row.number,
            original=row.text,
            perturbed=text,
            method=METHOD,
            insertions=insertions_between(row.text, text),
            label=row.label,
        )
