"""The naive variant: a random detected attribute before each matched noun, without any model."""

from collections.abc import Sequence

from eval.xmai.chunks import CaptionRow, Chunk
from eval.xmai.matching import Gap, Matcher
from eval.xmai.people import names_person
from eval.xmai.perturbers.contract import generator
from eval.xmai.placing import Draft, Fit
from eval.xmai.proposals import PLAIN_WORDS
from eval.xmai.records import Insertion, PerturbedCaption, inserted, row_id

NAME = "random_attribute"


class RandomAttribute:
    """Inserts one attribute of the matched detections, drawn evenly (arXiv 2306.11065's naive).

    Articles, people and the order of adjectives are respected as everywhere here; confidence is
    not asked for.

    Args:
        matcher: finds the gaps.
        seed: of the draws, with the row id.
        blocked: words that are not put before a person.
    """

    needs_pictures = False

    def __init__(self, matcher: Matcher, *, seed: int, blocked: frozenset[str]) -> None:
        self._matcher = matcher
        self._seed = seed
        self._blocked = blocked

    @property
    def models(self) -> dict[str, dict[str, str]]:
        """See ``Method``."""
        return {}

    def perturb(self, chunk: Chunk) -> Sequence[PerturbedCaption]:
        """See ``Method``."""
        gaps = self._matcher.gaps(
            [row.text for row in chunk.rows], [row.seen for row in chunk.rows]
        )
        return [self._record(row, own) for row, own in zip(chunk.rows, gaps, strict=True)]

    def _record(self, row: CaptionRow, gaps: Sequence[Gap]) -> PerturbedCaption:
        draws = generator(NAME, row_id(row.uid, row.number), self._seed)
        insertions: list[Insertion] = []
        for gap in gaps:
            fits = self._fits(Draft(row.text, tuple(insertions), gap.noun), gap)
            if fits:
                chosen = draws.choice(fits)
                insertions.append(
                    Insertion(
                        offset=chosen.offset,
                        text=f"{chosen.written} ",
                        word=chosen.word,
                        noun=row.text[gap.noun.start : gap.noun.end],
                        noun_offset=gap.noun.start,
                        supported=True,
                    )
                )
        return PerturbedCaption(
            uid=row.uid,
            caption_number=row.number,
            original=row.text,
            perturbed=inserted(row.text, insertions),
            method=NAME,
            insertions=tuple(insertions),
            label=row.label,
        )

    def _fits(self, draft: Draft, gap: Gap) -> list[Fit]:
        """In the order of the detections, with repetitions: what is seen often comes often."""
        is_person = names_person(gap.noun.phrase)
        lowered = (one.attribute.lower().strip() for one in gap.seen)
        return [
            fit
            for word in lowered
            if PLAIN_WORDS.fullmatch(word)
            and not (is_person and word in self._blocked)
            and (fit := draft.fit(word))
        ]
