"""The names that a detector is trained with, and which of them have labels in which source.

S = sources, C = names
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from data_pipelines.detection.vocabulary import NOVEL, VOCABULARY_NAME, Vocabulary
from vlsuite.errors import ConfigError
from vlsuite.models.vild.joined_vocabulary import Placed, joined_vocabulary


@dataclass(frozen=True, kw_only=True)
class TrainingVocabulary:
    """A vocabulary, and the group that is trained on.

    Attributes:
        vocabulary: all names; novel ones stand in it without labels.
        sources: what the pictures of each source are annotated with; one for all of them, or one
            a source.
    """

    vocabulary: Vocabulary
    sources: tuple[Vocabulary, ...]

    @classmethod
    def load(cls, places: Sequence[str]) -> "TrainingVocabulary":
        """From ``categories.json``, or the folder of shards that holds it; one, or one a source.

        Raises:
            ConfigError: no place is given, all names are novel, or names of several places cannot
                be joined (see ``joined_vocabulary``).
            DataError: one cannot be read.
        """
        if not places:
            raise ConfigError(
                "model.vocabulary is not set; name the categories.json beside the training shards, "
                "or their folder (of several sources: one for each, with commas)"
            )
        placed = [Placed(place, Vocabulary.load(Path(place))) for place in places]
        found = cls(
            vocabulary=joined_vocabulary(placed), sources=tuple(one.vocabulary for one in placed)
        )
        if not found.is_labelled.any():
            raise ConfigError(
                f"model.vocabulary={','.join(places)}: every name is novel, so none has labels"
            )
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """As words, as the teacher reads them."""
        return self.vocabulary.texts

    @cached_property
    def is_labelled(self) -> Bool[Tensor, " C"]:
        """By row; a set without groups has labels for all."""
        return _is_labelled(self.vocabulary)

    @cached_property
    def labelled_names(self) -> frozenset[str]:
        """Names that were trained on."""
        return frozenset(
            name for name, own in zip(self.names, self.is_labelled.tolist(), strict=True) if own
        )

    @cached_property
    def synonyms(self) -> dict[str, tuple[str, ...]]:
        """Other words for a name, by name."""
        return {one.text: one.texts[1:] for one in self.vocabulary.categories if one.texts[1:]}

    @cached_property
    def rows(self) -> tuple[Int64[Tensor, " _own"], ...]:
        """Of each source: the row here of each of its own names."""
        if len(self.sources) == 1:
            return (torch.arange(len(self.vocabulary)),)
        row_of = {name: row for row, name in enumerate(self.names)}
        return tuple(torch.tensor([row_of[n] for n in one.texts]) for one in self.sources)

    @cached_property
    def is_own_labelled(self) -> tuple[Bool[Tensor, " _own"], ...]:
        """Of each source: which of its own names its pictures are annotated with."""
        return tuple(_is_labelled(one) for one in self.sources)

    @cached_property
    def is_foreign(self) -> Bool[Tensor, "S C"] | None:
        """Names that have labels, but none in a source: there an unmarked thing may be one.

        None where every source is annotated with all.
        """
        found = self.is_labelled.repeat(len(self.sources), 1)
        for own, rows, is_labelled in zip(found, self.rows, self.is_own_labelled, strict=True):
            own[rows[is_labelled]] = False
        return found if found.any() else None

    def check_sources(self, train: Sequence[str]) -> None:
        """Refuse sources whose annotations would be misread.

        Args:
            train: places of the training shards, one a source.
        Raises:
            ConfigError: there are as many vocabularies as no rule fits, or several sources of
                different vocabularies share one: names that nobody looked for in a picture would
                count as absent from it.
            DataError: the vocabulary beside the shards cannot be read.
        """
        if len(self.sources) > 1:
            if len(self.sources) != len(train):
                raise ConfigError(
                    f"model.vocabulary names {len(self.sources)} vocabularies for {len(train)} "
                    "sources in data.train; give one for each, in their order"
                )
            return
        for place in train if len(train) > 1 else ():
            beside = Path(place) / VOCABULARY_NAME
            if beside.is_file() and set(Vocabulary.load(beside).names) != set(
                self.vocabulary.names
            ):
                raise ConfigError(
                    f"{place} is annotated with other names than model.vocabulary, which would "
                    "count as absent from its pictures; give one vocabulary a source: "
                    f"model.vocabulary={','.join(train)}"
                )


def _is_labelled(vocabulary: Vocabulary) -> Bool[Tensor, " _names"]:
    return torch.tensor([one.group != NOVEL for one in vocabulary.categories])
