"""Captions that name something of a list, such as the words of ImageNet-21k's synsets.

DataComp's text-based filter (Gadre et al. 2023, arXiv 2304.14108) keeps English captions of which a
word, by ``str.split``, has a first WordNet synset that is one of ImageNet-21k's. WordNet is no part
of this: with a file of all words of which that holds (plurals too, which WordNet's lookup takes for
their singulars), ``words = "split"`` behind a stage ``language`` keeps the same captions.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, filters
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.text_lines import lines_of

_COLUMNS = pa.schema([pa.field("id", pa.int64())])
_LETTERS = re.compile(r"[^\W_]+")

#: A text in lower case to its words.
_WORDS: dict[str, Callable[[str], list[str]]] = {"letters": _LETTERS.findall, "split": str.split}


@filters.register("caption-names")
@dataclass(frozen=True, kw_only=True)
class CaptionNames(SampleFilter):
    """Settings of the filter.

    Args:
        file: one name a line, of one word or several (blanks or _ between them), in any case; blank
            lines and lines that begin with # do not count.
        words: "letters", runs of letters and digits, so that "dog," names a dog; or "split", what
            stands between white space, as DataComp compares.
    """

    file: Path
    words: Literal["letters", "split"] = "letters"

    def needs(self) -> tuple[str, ...]:
        """The caption."""
        return ("caption",)

    def files(self) -> tuple[Path, ...]:
        """The list."""
        return (self.file,)

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """One rule: no name of the list is in the caption."""
        names = self._names()
        batches = _naming(samples, names, _WORDS[self.words])
        samples.add_relation("naming", pa.RecordBatchReader.from_batches(_COLUMNS, batches))
        samples.add_query("SELECT id, true AS is_named FROM naming")
        return [Rule("names nothing listed", "is_named IS NULL")]

    def _names(self) -> frozenset[tuple[str, ...]]:
        try:
            lines = lines_of(self.file.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"cannot read the names {self.file}: {error}; give a text, one name a line"
            ) from error
        split = _WORDS[self.words]
        names = {
            tuple(split(line.lower().replace("_", " ")))
            for line in lines
            if not line.startswith("#")
        }
        if not names - {()}:
            raise ConfigError(f"{self.file} has no name; fill it or drop the stage")
        return frozenset(names - {()})


def _naming(
    samples: StageInput,
    names: frozenset[tuple[str, ...]],
    split: Callable[[str], list[str]],
) -> Iterator[pa.RecordBatch]:
    """Ids of the samples whose caption has a name."""
    lengths = sorted({len(name) for name in names})
    for batch in samples.batches(f"SELECT id, caption FROM {samples.relation}"):
        columns = (batch[name].to_pylist() for name in ("id", "caption"))
        found = [
            number
            for number, caption in zip(*columns, strict=True)
            if caption and _has_name(split(caption.lower()), names, lengths)
        ]
        yield pa.RecordBatch.from_arrays([pa.array(found, pa.int64())], schema=_COLUMNS)


def _has_name(
    words: Sequence[str], names: frozenset[tuple[str, ...]], lengths: Sequence[int]
) -> bool:
    return any(
        tuple(words[start : start + length]) in names
        for length in lengths
        for start in range(len(words) - length + 1)
    )
