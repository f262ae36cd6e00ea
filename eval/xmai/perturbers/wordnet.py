"""Synonyms from WordNet's own files (the format of wndb(5WN)), read by offset."""

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
        self._indexes: dict[str, bytes] = {}
        self._known: dict[str, tuple[str, ...]] = {}

    def synonyms(self, word: str) -> tuple[str, ...]:
        """Single words that share a sense with ``word``, sorted; the word itself is not one."""
        lower = word.lower()
        if lower not in self._known:
            found = {
                lemma
                for part in _PARTS
                for offset in self._offsets(part, lower)
                for lemma in self._lemmas(part, offset)
            }
            alike = sorted(x for x in found if x.isalpha() and x.lower() != lower)
            self._known[lower] = tuple(alike)
        return self._known[lower]

    def _offsets(self, part: str, lemma: str) -> list[int]:
        """Of the senses: lemma pos synset_cnt p_cnt [ptr...] sense_cnt tagsense_cnt offset..."""
        if part not in self._indexes:
            self._indexes[part] = b"\n" + (self._folder / f"index.{part}").read_bytes()
        index = self._indexes[part]
        start = index.find(f"\n{lemma} ".encode("utf-8", "surrogatepass"))
        if start < 0:
            return []
        fields = index[start + 1 : index.find(b"\n", start + 1)].split()
        return [int(offset) for offset in fields[-int(fields[2]) :]]

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
