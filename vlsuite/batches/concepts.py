"""Visual concepts: words for what is in a picture, found by a model, kept in a file.

One JSON object a line. The first describes who named the concepts (:class:`TaggerSettings`), each
other one is {"uid": ..., "concepts": [...]}. That a picture's concepts stand beside its captions
in matching and generation is published (NEVLP, arXiv 2409.09582); the wording of the text and the
choice of concepts are our own inference.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import bounded_lines, parsed_record
from data_pipelines.noise.phrases import FUNCTION_WORDS, content_words, rule_phrases
from data_pipelines.printable import json_text
from data_pipelines.shards.atomic import make_folder, replacing
from data_pipelines.shards.stored_sample import StoredSample
from vlsuite.errors import DataError

_FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class TaggerSettings:
    """All that is needed to name what is in another picture in the same way.

    Attributes:
        concepts: words or short phrases.
        thresholds: a picture whose cosine with a concept is lower does not show it; one each.
        top: concepts of a picture at most, those furthest above their thresholds.
        template: text that a concept is embedded in; "{}" stands for it.
        fingerprint: of the model that the thresholds are for.
        model: its name, for people.
    """

    concepts: tuple[str, ...]
    thresholds: tuple[float, ...]
    top: int
    template: str
    fingerprint: str
    model: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {**dataclasses.asdict(self), "format": _FORMAT}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "TaggerSettings":
        """The inverse of :meth:`to_dict`.

        Raises:
            ValueError, KeyError, TypeError: not written by it.
        """
        if stored["format"] != _FORMAT:
            raise ValueError(f"format {stored['format']}, this version reads {_FORMAT}")
        names = [field.name for field in dataclasses.fields(cls)]
        values = {name: stored[name] for name in names}
        values["concepts"] = tuple(str(concept) for concept in values["concepts"])
        values["thresholds"] = tuple(float(value) for value in values["thresholds"])
        if len(values["concepts"]) != len(values["thresholds"]):
            raise ValueError("as many thresholds as concepts are needed")
        return cls(**values)


class ConceptTable:
    """Concepts of pictures by uid.

    Args:
        settings: of who named them.
        concepts: by uid; a picture that is not here has none.
        is_by_key: whether pictures without a uid are named by their key alone (files of
            vlsuite 0.1).
    """

    def __init__(
        self,
        settings: TaggerSettings,
        concepts: Mapping[str, tuple[str, ...]],
        *,
        is_by_key: bool = False,
    ) -> None:
        self.settings = settings
        self._concepts = concepts
        self._is_by_key = is_by_key

    def __len__(self) -> int:
        return len(self._concepts)

    def __getitem__(self, uid: str) -> tuple[str, ...]:
        return self._concepts.get(uid, ())

    def of(self, sample: StoredSample) -> tuple[str, ...]:
        """Concepts of the picture of a sample."""
        named = StoredSample(sample.key, sample.members) if self._is_by_key else sample
        return self[named.uid]


def read_concepts(path: str | Path) -> ConceptTable:
    """Read a file that ``vlsuite data concepts`` wrote.

    Raises:
        DataError: not there, or not such a file; the message names the line.
    """
    number, found = 1, {}
    try:
        lines = bounded_lines(Path(path))
        header = parsed_record(next(lines))
        settings = TaggerSettings.from_dict(header)
        for line in lines:
            number += 1
            row = parsed_record(line)
            found[str(row["uid"])] = tuple(str(concept) for concept in row["concepts"])
    except OSError as error:
        raise DataError(
            f"cannot read the concepts {path}: {error.strerror}; make them with "
            "'vlsuite data concepts'"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise DataError(
            f"{path}, line {number}, is not what 'vlsuite data concepts' writes "
            f"({' '.join(str(error).split())[:120]}); make the file again"
        ) from error
    return ConceptTable(settings, found, is_by_key=header.get("uids") != "shard")


def write_concepts(
    path: Path, settings: TaggerSettings, rows: Iterable[tuple[str, Sequence[str]]]
) -> int:
    """Write the file, whole or not at all; returns the number of pictures.

    Args:
        rows: uid and concepts of each picture.
    Raises:
        DataError: the file cannot be written.
    """
    count = 0
    make_folder(path.parent)
    with replacing(path) as file:
        file.write(_line({**settings.to_dict(), "uids": "shard"}))
        for uid, concepts in rows:
            file.write(_line({"uid": uid, "concepts": list(concepts)}))
            count += 1
    return count


def concept_text(concepts: Sequence[str]) -> str:
    """What stands before a caption; empty without concepts."""
    return f"objects: {', '.join(concepts)}." if concepts else ""


def frequent_words(captions: Iterable[str], *, min_count: int) -> dict[str, float]:
    """Words of noun phrases that stand in many captions, with the share of captions they are in.

    The most frequent first. Captions at the wrong pictures do not change these shares.

    The rules that find the phrases cannot tell adjectives from nouns, so "red" may be a concept.

    Args:
        captions: of the training set only.
        min_count: captions that a word must stand in.
    """
    counts: Counter[str] = Counter()
    total = 0
    for caption in captions:
        total += 1
        phrases = (caption[phrase.start : phrase.end] for phrase in rule_phrases(caption))
        counts.update({word for phrase in phrases for word in content_words(phrase)})
    kept = ((word, count) for word, count in counts.items() if _is_word(word))
    ordered = sorted(kept, key=lambda entry: (-entry[1], entry[0]))
    return {word: count / total for word, count in ordered if count >= min_count}


def _is_word(text: str) -> bool:
    return len(text) > 1 and text not in FUNCTION_WORDS and not text.isdigit()


def _line(value: object) -> bytes:
    return (json_text(json.dumps(value, ensure_ascii=False)) + "\n").encode()
