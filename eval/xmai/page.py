"""Perturbed captions beside their pictures, as one HTML page for a person to judge.

Our own counterpart of the paper's human study, whose ratings are not public: is the text natural,
is it true of the picture? Cards are a seeded draw and in a seeded order, several methods mixed, so
that the page does not show which method wrote a text unless it is unfolded.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from data_pipelines.shards.atomic import make_folder, write_file
from eval.data.dataset import EvalDataset
from eval.errors import EvaluationError
from eval.metrics.edits import new_spans
from eval.report.page import render_page
from eval.report.thumbnails import thumbnail
from eval.xmai.records import Insertion, PerturbedCaption, uids_of

#: Ranks of a caption's picture before and after, by caption id and method; 1 is the top.
Ranks = Mapping[tuple[str, str], tuple[float, float]]


class Piece(NamedTuple):
    """A run of a perturbed text, new or not."""

    text: str
    is_new: bool


class Card(NamedTuple):
    """One caption as the page shows it."""

    number: int
    id: str
    method: str
    image: str | None
    original: str
    pieces: tuple[Piece, ...]
    insertions: tuple[Insertion, ...]
    rank_before: str | None
    rank_after: str | None


def write_page(
    path: Path,
    captions: Sequence[PerturbedCaption],
    dataset: EvalDataset,
    *,
    ranks: Ranks | None = None,
    count: int = 60,
    seed: int = 0,
) -> int:
    """Write the page and return how many captions it shows.

    Args:
        path: the HTML file; nothing else is needed to read it.
        captions: of one method or several.
        dataset: with their pictures.
        ranks: where known.
        count: captions drawn, at least 1; unchanged ones are not drawn.
        seed: of the draw and of the order.
    Raises:
        EvaluationError: nothing changed, or no picture belongs to the captions.
        DataError: the file cannot be written.
    """
    changed = [caption for caption in captions if caption.is_changed]
    if not changed:
        raise EvaluationError("none of the captions is changed; there is nothing to judge")
    drawn = random.Random(seed).sample(changed, min(count, len(changed)))
    pictures = {uid: row for row, uid in enumerate(uids_of(dataset))}
    if not any(caption.uid in pictures for caption in drawn):
        raise EvaluationError(
            f"{dataset.title} has none of the captions' pictures; give --data the shards that the "
            "captions were made from"
        )
    cards = [
        _card(number, caption, dataset, pictures.get(caption.uid), ranks or {})
        for number, caption in enumerate(drawn)
    ]
    values = dict(
        title=", ".join(sorted({dataset.title})),
        cards=cards,
        num_changed=len(changed),
        seed=seed,
    )
    text = render_page("eval.xmai", "page.html", values)
    make_folder(path.parent)
    write_file(path, text.encode())
    return len(cards)


def pieces_of(caption: PerturbedCaption) -> tuple[Piece, ...]:
    """The perturbed text cut at what is new: recorded spans, or else words that differ."""
    if caption.insertions:
        spans, shift = [], 0
        for insertion in caption.insertions:
            start = insertion.offset + shift
            spans.append((start, start + len(insertion.text)))
            shift += len(insertion.text)
    else:
        spans = new_spans(caption.original, caption.perturbed)
    pieces, position = [], 0
    for start, end in spans:
        pieces.append(Piece(caption.perturbed[position:start], False))
        pieces.append(Piece(caption.perturbed[start:end], True))
        position = end
    pieces.append(Piece(caption.perturbed[position:], False))
    return tuple(piece for piece in pieces if piece.text)


def _card(
    number: int,
    caption: PerturbedCaption,
    dataset: EvalDataset,
    row: int | None,
    ranks: Ranks,
) -> Card:
    before, after = ranks.get((caption.id, caption.method), (None, None))
    return Card(
        number=number,
        id=caption.id,
        method=caption.method,
        image=None if row is None else thumbnail(dataset.images.read(row)),
        original=caption.original,
        pieces=pieces_of(caption),
        insertions=caption.insertions,
        rank_before=None if before is None else f"{before:g}",
        rank_after=None if after is None else f"{after:g}",
    )
