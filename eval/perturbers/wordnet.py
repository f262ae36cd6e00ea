"""Synonyms from WordNet's own files (the format of wndb(5WN)), read by offset."""

from functools import cache
from pathlib import Path

from eval.errors import EvaluationError

_PARTS = ("noun", "verb", "adj", "adv")
_SYSTEM = (Path("/usr/share/wordnet"), Path("/usr/local/WordNet-3.0/dict"))


class WordNet:
    """The database in a folder; its indexes are read at the first question.

    Args:
        folder: with index.noun, data.noun and so on.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[str, list[tuple[str, int]]] = {}

    @cache  # noqa: B019 - one database lives as long as the process
    def synonyms(self, word: str) -> tuple[str, ...]:
        """Single words that share a sense with ``word``, sorted; the word itself is not one."""
        if not self._offsets:
            self._read_indexes()
        lower = word.lower()
        found = {
            lemma
            for part, offset in self._offsets.get(lower, ())
            for lemma in self._lemmas(part, offset)
        }
        return tuple(sorted(x for x in found if x.isalpha() and x.lower() != lower))

    def _read_indexes(self) -> None:
        for part in _PARTS:
            with (self._folder / f"index.{part}").open(encoding="ascii", errors="replace") as file:
                for line in file:
                    if not line.startswith(" "):
                        self._add(part, line.split())

    def _add(self, part: str, fields: list[str]) -> None:
        """lemma pos synset_cnt p_cnt [ptr...] sense_cnt tagsense_cnt offset..."""
        count = int(fields[2])
        offsets = [(part, int(offset)) for offset in fields[-count:]]
        self._offsets.setdefault(fields[0], []).extend(offsets)

    def _lemmas(self, part: str, offset: int) -> list[str]:
        """offset lex_filenum ss_type w_cnt word lex_id word lex_id ..."""
        with (self._folder / f"data.{part}").open("rb") as file:
            file.seek(offset)
            fields = file.readline().decode("ascii", "replace").split()
        count = int(fields[3], 16)
        return [fields[4 + 2 * i].partition("(")[0] for i in range(count)]


def open_wordnet(folder: str | None) -> WordNet:
    """WordNet in a folder, in nltk's data, or where systems install it.

    Raises:
        EvaluationError: it is nowhere.
    """
    for place in [Path(folder)] if folder else [*_of_nltk(), *_SYSTEM]:
        if (place / "index.noun").is_file() and (place / "data.noun").is_file():
            return WordNet(place)
    raise EvaluationError(
        f"no WordNet in {folder or 'nltk_data or /usr/share/wordnet'}; install it (apt-get install "
        "wordnet-base, or python -m nltk.downloader wordnet) and give its folder with --wordnet"
    )


def _of_nltk() -> list[Path]:
    try:
        from nltk.data import path
    except ImportError:
        return []
    return [Path(root) / "corpora" / "wordnet" for root in path]
