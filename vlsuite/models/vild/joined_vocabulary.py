"""Several vocabularies as one, and what would silently be wrong about that.

Names are one where their words are: the teacher reads words, so "hot_dog" of one file and "hot dog"
of another have one embedding.
"""

from collections.abc import Sequence
from typing import NamedTuple

from data_pipelines.detection.vocabulary import BASE, NOVEL, Category, Vocabulary
from vlsuite.errors import ConfigError


class Placed(NamedTuple):
    """A vocabulary and where it was read, for messages."""

    place: str
    vocabulary: Vocabulary


def joined_vocabulary(sources: Sequence[Placed]) -> Vocabulary:
    """All names, those of the first source first; one source alone stays as it is.

    A name has labels where it has some in one source; synonyms are those of all sources.

    Raises:
        ConfigError: two names that stand for one thing would compete with each other: they differ
            in case or underscores alone, or one is a synonym of the other.
    """
    if len(sources) == 1:
        return sources[0].vocabulary
    for source in sources:
        _refuse_same_words(source)
    _refuse_other_case(sources)
    for one in sources:
        for other in sources:
            _refuse_synonym(one, other)
    found: dict[str, list[Category]] = {}
    for source in sources:
        for category in source.vocabulary.categories:
            found.setdefault(category.text, []).append(category)
    has_groups = any(one.group is not None for same in found.values() for one in same)
    return Vocabulary(
        tuple(
            _joined(same, source_id=number, has_groups=has_groups)
            for number, same in enumerate(found.values(), start=1)
        )
    )


def _joined(same: Sequence[Category], *, source_id: int, has_groups: bool) -> Category:
    group = None
    if has_groups:
        group = NOVEL if all(one.group == NOVEL for one in same) else BASE
    synonyms = dict.fromkeys(word for one in same for word in (one.name, *one.synonyms))
    return same[0]._replace(
        source_id=source_id,
        group=group,
        frequency=next((one.frequency for one in same if one.frequency), None),
        synonyms=tuple(word for word in synonyms if word != same[0].name),
    )


def _refuse_same_words(source: Placed) -> None:
    seen: dict[str, str] = {}
    for category in source.vocabulary.categories:
        other = seen.setdefault(category.text, category.name)
        if other != category.name:
            raise ConfigError(
                f"{source.place}: '{other}' and '{category.name}' are the same words, so the "
                "detector cannot tell them apart; keep one of them"
            )


def _refuse_other_case(sources: Sequence[Placed]) -> None:
    seen: dict[str, tuple[str, str]] = {}
    for source in sources:
        for name in source.vocabulary.texts:
            other, place = seen.setdefault(name.casefold(), (name, source.place))
            if other != name:
                raise ConfigError(
                    f"'{name}' of {source.place} and '{other}' of {place} differ in case alone and "
                    "would compete as two names; write one as the other and build its shards again"
                )


def _refuse_synonym(one: Placed, other: Placed) -> None:
    own, theirs = set(one.vocabulary.texts), set(other.vocabulary.texts)
    for category in other.vocabulary.categories:
        if category.text in own:
            continue
        for word in category.texts[1:]:
            if word in own and word not in theirs:
                raise ConfigError(
                    f"'{word}' of {one.place} is a synonym of '{category.name}' in {other.place} "
                    "and they would compete as two names; rename it to that and build its shards "
                    "again, or take the synonym out of categories.json"
                )
