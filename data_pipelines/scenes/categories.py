"""Which sprites are categories, and which of these are novel: a pure function of their names.

Novel names are drawn within each sub-category, so that every one of them has base siblings of its
kind. Neither choice depends on a seed: tests are the same whatever is trained.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from data_pipelines.detection.vocabulary import BASE, NOVEL, Category, Vocabulary
from data_pipelines.errors import ConfigError
from data_pipelines.scenes.sprites import Sprite, rank


class Chosen(NamedTuple):
    """Sprites of the vocabulary, row by row, and its groups.

    Attributes:
        shared_words: share of the novel names that have a word in common with a base name.
    """

    vocabulary: Vocabulary
    sprites: tuple[Sprite, ...]
    shared_words: float

    def rows(self, group: str) -> tuple[int, ...]:
        """Rows of "base" or "novel"."""
        return self.vocabulary.rows_of_group(group)


def choose(sprites: Sequence[Sprite], *, num: int | None, novel_share: float) -> Chosen:
    """Pick categories evenly over the sub-categories and divide them into base and novel.

    Args:
        sprites: with unique names.
        num: categories; None takes all. Fewer sprites give fewer.
        novel_share: of the categories, 0 to 1.
    Raises:
        ConfigError: no name could be novel beside a base sibling, or none could be base.
    """
    by_parent: dict[str, list[Sprite]] = defaultdict(list)
    for sprite in sprites:
        by_parent[sprite.parent].append(sprite)
    sizes = {parent: len(own) for parent, own in by_parent.items()}
    total = min(num or len(sprites), len(sprites))
    quotas = _apportioned(sizes, total, most=sizes)
    chosen = [sprite for parent, own in by_parent.items() for sprite in own[: quotas[parent]]]
    wanted = round(total * novel_share)
    siblings = {parent: max(0, quota - 1) for parent, quota in quotas.items()}
    if wanted and not sum(siblings.values()):
        raise ConfigError(
            f"none of {total} categories shares its sub-category with another, so none can be "
            "novel beside a base sibling; give more --categories, or sprites sorted into folders"
        )
    novel = _novel(chosen, _apportioned(quotas, wanted, most=siblings))
    chosen.sort(key=lambda sprite: sprite.name)
    vocabulary = Vocabulary(
        tuple(
            Category(
                name=sprite.name,
                source_id=row + 1,
                group=NOVEL if sprite.name in novel else BASE,
                synonyms=sprite.keywords,
                parent=sprite.parent,
            )
            for row, sprite in enumerate(chosen)
        )
    )
    return Chosen(vocabulary, tuple(chosen), _shared_words(vocabulary))


def _novel(chosen: Sequence[Sprite], quotas: Mapping[str, int]) -> frozenset[str]:
    by_parent: dict[str, list[str]] = defaultdict(list)
    for sprite in sorted(chosen, key=lambda sprite: rank("novel", sprite.name)):
        by_parent[sprite.parent].append(sprite.name)
    return frozenset(
        name for parent, names in by_parent.items() for name in names[: quotas[parent]]
    )


def _apportioned(
    weights: Mapping[str, int], total: int, *, most: Mapping[str, int]
) -> dict[str, int]:
    """``total`` divided in proportion, whole numbers, none above ``most``; largest remainders
    first, then those with the most room, ties by name."""
    whole = sum(weights.values()) or 1
    exact = {name: weight * total / whole for name, weight in weights.items()}
    found = {name: min(int(share), most[name]) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (int(exact[name]) - exact[name], name))
    while sum(found.values()) < min(total, sum(most.values())):
        for name in by_remainder:
            if found[name] < most[name] and sum(found.values()) < total:
                found[name] += 1
    return found


def _shared_words(vocabulary: Vocabulary) -> float:
    base = {word for row in vocabulary.rows_of_group(BASE) for word in _words(vocabulary, row)}
    novel = vocabulary.rows_of_group(NOVEL)
    shared = sum(not base.isdisjoint(_words(vocabulary, row)) for row in novel)
    return shared / len(novel) if novel else 0.0


def _words(vocabulary: Vocabulary, row: int) -> set[str]:
    return set(vocabulary.names[row].replace("-", " ").split())
