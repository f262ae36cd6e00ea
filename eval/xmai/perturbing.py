"""Text-only perturbers as methods, so that one runner makes all files alike."""

import re
from collections.abc import Sequence

from eval.xmai.chunks import Chunk
from eval.xmai.perturbers.contract import PerturberOptions, load_perturber, perturbed_rows
from eval.xmai.records import Insertion, PerturbedCaption, row_id

_PIECE = re.compile(r"\S+\s*")
_LETTERS = re.compile(r"[^\W\d_].*[^\W\d_]|[^\W\d_]")


class PerturberMethod:
    """A perturber of ``eval.xmai.perturbers`` on chunks of captions.

    Args:
        name: of the perturber.
        seed: with the row id, of all its draws.
        options: see ``PerturberOptions``.
    """

    needs_pictures = False

    def __init__(self, name: str, seed: int, options: PerturberOptions) -> None:
        self._name = name
        self._seed = seed
        self._perturber = load_perturber(name, options)

    @property
    def models(self) -> dict[str, dict[str, str]]:
        """See ``Method``; the settings name what a perturber was built from."""
        return {}

    def perturb(self, chunk: Chunk) -> Sequence[PerturbedCaption]:
        """See ``Method``."""
        texts = [row.text for row in chunk.rows]
        ids = [row_id(row.uid, row.number) for row in chunk.rows]
        found = perturbed_rows(self._perturber, texts, row_ids=ids, seed=self._seed)
        return [
            PerturbedCaption(
                uid=row.uid,
                caption_number=row.number,
                original=row.text,
                perturbed=text,
                method=self._name,
                insertions=insertions_between(row.text, text),
                label=row.label,
            )
            for row, text in zip(chunk.rows, found, strict=True)
        ]


def insertions_between(original: str, perturbed: str) -> tuple[Insertion, ...]:
    """The words that were put in, where nothing else was changed; empty where more was.

    Words of the original are looked for in the perturbed text from the left, so that of equal
    words side by side the last counts as inserted.
    """
    kept = list(_PIECE.finditer(original))
    insertions: list[Insertion] = []
    position = 0
    for piece in _PIECE.finditer(perturbed):
        if position < len(kept) and piece.group() == kept[position].group():
            position += 1
            continue
        following = kept[position] if position < len(kept) else None
        insertions.append(_insertion(piece.group(), original, following))
    is_whole = original[: kept[0].start()] == perturbed[: kept[0].start()] if kept else False
    return tuple(insertions) if is_whole and position == len(kept) else ()


def _insertion(text: str, original: str, following: re.Match[str] | None) -> Insertion:
    letters = _LETTERS.search(text)
    offset = following.start() if following else len(original)
    noun = _LETTERS.search(following.group()) if following else None
    return Insertion(
        offset=offset,
        text=text,
        word=letters.group() if letters else text.strip(),
        noun=noun.group() if noun else "",
        noun_offset=offset + (noun.start() if noun else 0),
    )
