"""Captions, token by token: greedily, by beam search, or drawn from the likeliest words.

b = pictures, k = beams, n = image tokens, l = tokens so far, v = vocabulary
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor

#: Logits of the token after each row: (image tokens [rows, n, d], ids [rows, l]) to [rows, v].
NextLogits = Callable[[Tensor, Tensor], Tensor]


class Marks(NamedTuple):
    """Ids with a meaning.

    Attributes:
        end: ends a caption; no token comes after it.
        never: are never written: begin mark and padding.
    """

    end: int
    never: tuple[int, ...]


@torch.no_grad()
def greedy(
    next_logits: NextLogits,
    image_tokens: Float[Tensor, "batch tokens token_width"],
    begin: Int[Tensor, "batch length"],
    *,
    marks: Marks,
    max_tokens: int,
) -> list[list[int]]:
    """The likeliest token each time.

    Args:
        begin: begin mark and prompt; rows of one length, without padding.
        max_tokens: written at most, the end mark not counted.
    Returns:
        What was written after ``begin``, without the end mark.
    """
    return _one_by_one(
        lambda logits: logits.argmax(dim=1),
        next_logits,
        image_tokens,
        begin,
        marks=marks,
        max_tokens=max_tokens,
    )


@torch.no_grad()
def sampled(
    next_logits: NextLogits,
    image_tokens: Float[Tensor, "batch tokens token_width"],
    begin: Int[Tensor, "batch length"],
    *,
    marks: Marks,
    max_tokens: int,
    top_p: float,
    seed: int,
) -> list[list[int]]:
    """Tokens drawn from the nucleus: the fewest whose probabilities reach ``top_p``.

    Holtzman et al. 2020, arXiv 1904.09751, section 3.1.

    Args:
        begin, max_tokens: see :func:`greedy`.
        top_p: in (0, 1]; 1 draws from all.
        seed: of the draws.
    """
    generator = torch.Generator(image_tokens.device).manual_seed(seed)

    def choose(logits: Tensor) -> Tensor:
        kept = nucleus(logits, top_p=top_p).softmax(dim=1)
        return torch.multinomial(kept, 1, generator=generator).squeeze(1)

    return _one_by_one(choose, next_logits, image_tokens, begin, marks=marks, max_tokens=max_tokens)


def nucleus(
    logits: Float[Tensor, "batch vocabulary"], *, top_p: float
) -> Float[Tensor, "batch vocabulary"]:
    """Logits of the nucleus; all others are minus infinity."""
    if top_p == 1:
        return logits
    ordered, order = logits.softmax(dim=1).sort(dim=1, descending=True)
    before = ordered.cumsum(dim=1) - ordered
    outside = torch.zeros_like(before, dtype=torch.bool).scatter(1, order, before >= top_p)
    return logits.masked_fill(outside, -torch.inf)


@torch.no_grad()
def beam_search(
    next_logits: NextLogits,
    image_tokens: Float[Tensor, "batch tokens token_width"],
    begin: Int[Tensor, "batch length"],
    *,
    marks: Marks,
    max_tokens: int,
    num_beams: int,
) -> list[list[int]]:
    """The caption with the highest mean log-probability a token among those that beams find.

    A beam is scored by the sum of its log-probabilities; one that ends is set aside with that sum
    over its number of tokens, the end mark counted (length penalty 1 of transformers). The search
    ends when no open beam could have a better mean even if all its further tokens were certain up
    to ``max_tokens``. (open_clip's own search adds raw logits.)

    Args:
        begin: see :func:`greedy`.
        max_tokens: written at most, the end mark not counted; a caption cut there counts too.
        num_beams: kept each time.
    """
    search = _Search(begin, max_tokens=max_tokens, num_beams=num_beams, marks=marks)
    while search.goes_on:
        shown = repeat(image_tokens[search.rows], "b n d -> (b k) n d", k=search.beams.shape[1])
        search.extend(next_logits(shown, rearrange(search.beams, "b k l -> (b k) l")))
    return search.captions


class _Search:
    """Beams of the pictures whose search is not over.

    Attributes:
        rows: their numbers.
        beams: ids [b, k, l].
        sums: log-probabilities of the beams [b, k], the highest first.
        captions: the best so far of every picture.
    """

    def __init__(self, begin: Tensor, *, max_tokens: int, num_beams: int, marks: Marks) -> None:
        self._begin, self._max_tokens, self._num_beams = begin.shape[1], max_tokens, num_beams
        self._marks = marks
        self.rows = torch.arange(len(begin), device=begin.device)
        self.beams = rearrange(begin, "b l -> b 1 l")
        self.sums = torch.zeros(len(begin), 1, device=begin.device)
        self._best = torch.full((len(begin),), -torch.inf, device=begin.device)
        self.captions: list[list[int]] = [[] for _ in begin]

    @property
    def goes_on(self) -> bool:
        """Whether any picture's caption may still become better."""
        return len(self.rows) > 0 and self.beams.shape[2] < self._begin + self._max_tokens

    def extend(self, logits: Tensor) -> None:
        """Put one more token behind each beam."""
        num_beams, length = self.beams.shape[1:]
        written = length - self._begin + 1
        logs = _allowed(logits, self._marks).log_softmax(dim=1)
        totals = self.sums[..., None] + rearrange(logs, "(b k) v -> b k v", k=num_beams)
        self._set_aside(totals[..., self._marks.end] / written)
        totals[..., self._marks.end] = -torch.inf
        flat = rearrange(totals, "b k v -> b (k v)")
        self.sums, places = flat.topk(min(self._num_beams, flat.shape[1]), dim=1)
        parents = repeat(places // logs.shape[1], "b k -> b k l", l=length)
        tokens = rearrange(places % logs.shape[1], "b k -> b k 1")
        self.beams = torch.cat([self.beams.gather(1, parents), tokens], dim=2)
        if written == self._max_tokens:
            self._set_aside(self.sums / written)
        going = self.sums[:, 0] / (self._max_tokens + 1) > self._best[self.rows]
        self.rows, self.beams, self.sums = self.rows[going], self.beams[going], self.sums[going]

    def _set_aside(self, scores: Tensor) -> None:
        """Keep each picture's best of these beams, if it is better than what is kept."""
        found, places = scores.max(dim=1)
        for own in (found > self._best[self.rows]).nonzero().squeeze(1).tolist():
            row = int(self.rows[own])
            self._best[row] = found[own]
            self.captions[row] = self.beams[own, int(places[own]), self._begin :].tolist()


def _one_by_one(
    choose: Callable[[Tensor], Tensor],
    next_logits: NextLogits,
    image_tokens: Tensor,
    begin: Tensor,
    *,
    marks: Marks,
    max_tokens: int,
) -> list[list[int]]:
    """Rows that have ended are no longer computed."""
    written: list[list[int]] = [[] for _ in begin]
    rows, ids = torch.arange(len(begin), device=begin.device), begin
    for _ in range(max_tokens):
        if not len(rows):
            break
        chosen = choose(_allowed(next_logits(image_tokens[rows], ids), marks))
        going = chosen != marks.end
        rows, chosen = rows[going], chosen[going]
        ids = torch.cat([ids[going], chosen[:, None]], dim=1)
        for row, token in zip(rows.tolist(), chosen.tolist(), strict=True):
            written[row].append(token)
    return written


def _allowed(logits: Tensor, marks: Marks) -> Tensor:
    never: Sequence[int] = [token for token in marks.never if token < logits.shape[1]]
    return logits.index_fill(1, torch.tensor(never, device=logits.device), -torch.inf)
