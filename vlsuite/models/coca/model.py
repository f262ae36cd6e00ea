"""A CoCa as evaluations see it: it embeds pictures and texts, and describes pictures."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from data_pipelines.texts import listed
from vlsuite.batches.transforms import normalise
from vlsuite.errors import ConfigError, ModelError
from vlsuite.models.coca.encoder import CocaEncoder
from vlsuite.models.coca.writing import Marks, beam_search, greedy, sampled
from vlsuite.models.dual_encoder.clip import Clip


class Coca(Clip):
    """Satisfies ``EmbeddingModel`` and ``Captioner`` of eval.contract.

    Args: see :class:`Clip`; the encoder of ``built`` has a decoder, which computes the captions.
    """

    @property
    def _writer(self) -> CocaEncoder:
        assert isinstance(self._built.encoder, CocaEncoder)
        return self._built.encoder

    @property
    def _context_length(self) -> int:
        return self._built.model_cfg["text_cfg"].get("context_length", 77)

    def caption(
        self,
        images: UInt8[Tensor, "batch 3 height width"],
        *,
        prompts: Sequence[str] | None = None,
        max_tokens: int,
        num_beams: int = 1,
    ) -> list[str]:
        """One caption a picture, greedily or by beam search; prompts come before, not in it.

        Args:
            images: from ``image_transform``.
            prompts: what each caption goes on from.
            max_tokens: written at most; with its prompt a caption never exceeds the context length.
            num_beams: 1 is greedy.
        Raises:
            ModelError: the model's tokenizer does not mark where texts begin and end.
        """
        if num_beams == 1:
            return self._write(images, prompts, max_tokens, greedy)
        return self._write(images, prompts, max_tokens, partial(beam_search, num_beams=num_beams))

    def sample_captions(
        self,
        images: UInt8[Tensor, "batch 3 height width"],
        *,
        prompts: Sequence[str] | None = None,
        max_tokens: int,
        top_p: float = 0.9,
        seed: int = 0,
    ) -> list[str]:
        """One caption a picture, drawn from the likeliest tokens (see ``writing.sampled``).

        Args:
            images, prompts, max_tokens: see :meth:`caption`.
            top_p: share of probability that is drawn from, (0, 1].
            seed: of the draws; the same ones give the same captions.
        Raises:
            ConfigError: top_p is out of range.
            ModelError: see :meth:`caption`.
        """
        if not 0 < top_p <= 1:
            raise ConfigError(f"top_p={top_p} must lie in (0, 1]")
        return self._write(images, prompts, max_tokens, partial(sampled, top_p=top_p, seed=seed))

    @torch.no_grad()
    def caption_logits(
        self, images: UInt8[Tensor, "batch 3 height width"], texts: Sequence[str]
    ) -> Float[Tensor, "batch length vocabulary"]:
        """Logits of the token after each token of a text that belongs to a picture, fp32."""
        token_ids = self.tokenizer(list(texts)).to(self.device)
        states = self._writer.text(token_ids)[1]
        return self._writer.text_decoder(self._tokens(images), states).float()

    @torch.no_grad()
    def caption_surprise(
        self, images: UInt8[Tensor, "batch 3 height width"], texts: list[str]
    ) -> Float[Tensor, " batch"]:
        """Nats a token of each caption given its picture, begin and end mark not counted.

        -1/N sum_i log p(w_i | w_<i, image) of Yu et al. 2022, arXiv 2205.01917, section 3; NaN for
        a caption without tokens. Fp32, on the device.

        Raises:
            ModelError: see :meth:`caption`.
        """
        _, marks = self._begins([""])
        labels = self.tokenizer(list(texts)).to(self.device)[:, 1:]
        logits = self.caption_logits(images, texts)[:, : labels.shape[1]]
        is_word = (labels != marks.end) & (labels != self._writer.pad_id)
        nats = F.cross_entropy(logits.mT, labels, reduction="none") * is_word
        return nats.sum(dim=1) / is_word.sum(dim=1)

    def _write(
        self,
        images: UInt8[Tensor, "batch 3 height width"],
        prompts: Sequence[str] | None,
        max_tokens: int,
        how: Callable[..., list[list[int]]],
    ) -> list[str]:
        """Pictures whose prompts have the same length go through together."""
        if not len(images):
            return []
        tokens = self._tokens(images)
        begins, marks = self._begins([""] * len(images) if prompts is None else listed(prompts))
        groups = defaultdict(list)
        for row, begin in enumerate(begins):
            groups[len(begin)].append(row)
        found: list[list[int]] = [[] for _ in begins]
        for length, rows in groups.items():
            given = torch.stack([begins[row] for row in rows]).to(self.device)
            written = how(
                self._writer.next_logits,
                tokens[rows],
                given,
                marks=marks,
                max_tokens=max(0, min(max_tokens, self._context_length - length)),
            )
            for row, ids in zip(rows, written, strict=True):
                found[row] = ids
        return self.tokenizer.decode(found)

    def _begins(self, prompts: list[str]) -> tuple[list[Int64[Tensor, " length"]], Marks]:
        """Begin mark and prompt of each caption, without the end mark."""
        pad = self._writer.pad_id
        empty = self.tokenizer([""])[0]
        begin, end = int(empty[0]), int(empty[1])
        if pad in (begin, end) or begin == end or not bool((empty[2:] == pad).all()):
            raise ModelError(
                f"'{self.name}' cannot write: its tokenizer makes {empty[:4].tolist()} of an empty "
                f"text, where a begin mark, an end mark and padding ({pad}) are needed; train it "
                "with a tokenizer of 'vlsuite data tokenizer'"
            )
        ids = self.tokenizer(prompts)
        ends = (ids == end).to(torch.uint8).argmax(dim=1).tolist()
        return [own[:stop] for own, stop in zip(ids, ends, strict=True)], Marks(end, (begin, pad))

    def normalised(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """Pictures from ``image_transform`` as the image tower is shown them."""
        moved = images.to(self.device, non_blocking=True)
        return normalise(moved, mean=self._mean, std=self._std, dtype=self._dtype)

    @torch.no_grad()
    def _tokens(self, images: Tensor) -> Float[Tensor, "batch tokens token_width"]:
        return self._writer.image_tokens(self.normalised(images))
