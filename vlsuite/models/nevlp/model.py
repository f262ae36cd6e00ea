"""A trained NEVLP model as evaluations see it: it embeds, matches, describes and answers."""

from collections.abc import Callable, Sequence

import torch
from einops import pack, rearrange
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from torch import Tensor

from data_pipelines.texts import listed
from vlsuite.batches.transforms import channels, eval_transform, normalise
from vlsuite.errors import ModelError
from vlsuite.models.dual_encoder.clip import Clip
from vlsuite.models.identity import identity, tokenizer_identity
from vlsuite.models.language.causal_lm import NO_TOKEN
from vlsuite.models.nevlp.built import BuiltNevlp, described
from vlsuite.models.tagging import Tagger, ZeroShotTagger

_ROWS_PER_PASS = 256


class Nevlp:
    """Satisfies ``EmbeddingModel``, ``Matcher``, ``Captioner`` and ``Answerer`` of eval.contract.

    Where the model has a list of concepts it names them itself in every picture, for matching and
    writing.

    Args:
        name: shown in results.
        built: the model.
        logit_scale: multiplier of cosine similarities.
        device: where the weights are.
        dtype: of the weights.
        tagger: names what is in pictures; None takes the model's own, if it has one.
        use_concepts: False shows the model its pictures without concepts.
    """

    logit_bias = 0.0

    def __init__(
        self,
        name: str,
        built: BuiltNevlp,
        *,
        logit_scale: float,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        tagger: Tagger | None = None,
        use_concepts: bool = True,
    ) -> None:
        self.name = name
        self.embed_dim = built.config.embed_dim
        self.image_transform: Callable[[Image.Image], Tensor] = eval_transform(built.preprocess)
        self.logit_scale = logit_scale
        self.device = device
        self._built, self._encoder, self._dtype = built, built.encoder, dtype
        self._mean = channels(built.preprocess["mean"], device)
        self._std = channels(built.preprocess["std"], device)
        self._tagger = (tagger or self._own_tagger()) if use_concepts else None
        self._fingerprint = ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that results depend on; see ``vlsuite.models.identity``."""
        if not self._fingerprint:
            texts = self._built.tokenizer
            self._fingerprint = identity(
                encoder=self._encoder,
                image_tower=self._clip("").fingerprint,
                settings=described(self._built.config, logit_scale=self.logit_scale),
                tokenizer=tokenizer_identity(texts.base, texts),
                preprocess=self._built.preprocess,
                dtype=str(self._dtype),
                tagger=self._tagger,
            )
        return self._fingerprint

    @torch.no_grad()
    def embed_images(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """Unit-norm fp32 embeddings of pictures from ``image_transform``, on the device.

        Raises:
            ModelError: the model has several vectors a picture (``model.itc_pool=max``).
        """
        if self._built.config.itc_pool != "mean":
            raise ModelError(
                f"'{self.name}' compares a text with the best of several vectors of a picture, so "
                "it cannot embed one as one vector; train it with model.itc_pool=mean"
            )
        queries = self._encoder.querying(self._tokens(images)).queries
        return rearrange(self._encoder.embed_queries(queries), "b 1 d -> b d")

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Float[Tensor, "texts embed_dim"]:
        """Unit-norm fp32 embeddings of texts, on the device; of one text, one row."""
        texts = listed(texts)
        if not texts:
            return torch.zeros(0, self.embed_dim, device=self.device)
        parts = [self._encoder.embed_texts(ids) for ids in self._ids(texts).split(_ROWS_PER_PASS)]
        return torch.cat(parts)

    @torch.no_grad()
    def image_tokens(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch tokens image_width"]:
        """What the image tower says of pictures; the last rows hold the ids of their concepts."""
        tokens = self._tokens(images).float()
        ids = self._concept_ids(images).float()
        width = tokens.shape[2]
        rows = _carrier_rows(ids.shape[1], width)
        carried = ids.new_full((len(ids), rows * width), NO_TOKEN)
        carried[:, : ids.shape[1]] = ids
        return pack([tokens, rearrange(carried, "b (r w) -> b r w", w=width)], "b * w")[0]

    @torch.no_grad()
    def match_tokens(
        self, tokens: Float[Tensor, "pairs tokens image_width"], texts: list[str]
    ) -> Float[Tensor, " pairs"]:
        """Log-odds that pictures (of ``image_tokens``) and texts belong together, fp32."""
        length = self._built.config.concept_length
        rows = _carrier_rows(length, tokens.shape[2])
        texts = listed(texts)
        ids = self._ids(texts) if texts else torch.zeros(0, 1, dtype=torch.int64)
        found = [torch.zeros(0, device=self.device)]
        for first in range(0, len(texts), _ROWS_PER_PASS):
            part = slice(first, first + _ROWS_PER_PASS)
            own = tokens[part].to(self.device)
            concepts = rearrange(own[:, -rows:], "b r w -> b (r w)")[:, :length].long()
            logits = self._encoder.match(own[:, :-rows].to(self._dtype), ids[part], concepts)
            found.append(logits[:, 1] - logits[:, 0])
        return torch.cat(found)

    def caption(
        self,
        images: UInt8[Tensor, "batch 3 height width"],
        *,
        prompts: Sequence[str] | None = None,
        max_tokens: int,
        num_beams: int = 1,
    ) -> list[str]:
        """One caption a picture, greedily or by beam search; prompts come before, not in it."""
        if not len(images):
            return []
        return self._encoder.write(
            self._tokens(images),
            self._concept_ids(images),
            [""] * len(images) if prompts is None else listed(prompts),
            max_tokens=max_tokens,
            num_beams=num_beams,
        )

    def answer(
        self,
        images: UInt8[Tensor, "batch 3 height width"],
        questions: list[str],
        *,
        max_tokens: int,
    ) -> list[str]:
        """Continue "Question: ... Answer:" (the prompt of BLIP-2 for zero-shot answers)."""
        prompts = [f"Question: {question} Answer:" for question in listed(questions)]
        return self.caption(images, prompts=prompts, max_tokens=max_tokens)

    def concepts_of(self, images: UInt8[Tensor, "batch 3 height width"]) -> list[tuple[str, ...]]:
        """What the model takes to be in the pictures; nothing without a list of concepts."""
        if self._tagger is None:
            return [()] * len(images)
        return self._tagger(images)

    @torch.no_grad()
    def _tokens(self, images: Tensor) -> Tensor:
        moved = images.to(self.device, non_blocking=True)
        pixels = normalise(moved, mean=self._mean, std=self._std, dtype=self._dtype)
        return self._encoder.image_tokens(pixels)

    def _concept_ids(self, images: Tensor) -> Int64[Tensor, "batch concept_length"]:
        return self._encoder.concept_ids(self.concepts_of(images)).to(self.device)

    def _ids(self, texts: Sequence[str]) -> Int64[Tensor, "texts context_length"]:
        return self._built.tokenizer(texts).to(self.device)

    def _own_tagger(self) -> Tagger | None:
        settings = self._built.tagger
        if settings is None:
            return None
        return ZeroShotTagger(self._clip(self._built.config.image_tower.name), settings)

    def _clip(self, name: str) -> Clip:
        """The CLIP that the image tower belongs to."""
        tower = self._built.image_tower
        return Clip(
            name,
            tower,
            tower.tokenizer,
            encode=self._encoder.image_tower,
            logit_scale=tower.logit_scale or 1.0,
            logit_bias=tower.logit_bias or 0.0,
            device=self.device,
            dtype=self._dtype,
        )


def _carrier_rows(length: int, width: int) -> int:
    return -(-length // width)
