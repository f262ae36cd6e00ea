"""Stems and synonyms for METEOR, by NLTK where it is installed."""

from collections.abc import Callable

from eval.errors import EvaluationError
from eval.metrics.meteor import Forms


def stemmer() -> Callable[[str], str] | None:
    """Porter's stemmer, None without NLTK: METEOR then has no second stage."""
    try:
        from nltk.stem.porter import PorterStemmer
    except ImportError:
        return None
    return PorterStemmer().stem


def synonyms() -> Forms:
    """One-word synonyms of WordNet.

    Raises:
        EvaluationError: NLTK or its WordNet data is not there.
    """
    try:
        from nltk.corpus import wordnet
    except ImportError as error:
        raise EvaluationError("synonyms need NLTK; pip install -e .[xmai]") from error
    try:
        wordnet.ensure_loaded()
    except LookupError as error:
        raise EvaluationError(
            "synonyms need WordNet's data; where there is a network run "
            "'python -m nltk.downloader wordnet', or leave --synonyms out"
        ) from error

    def forms(word: str) -> set[str]:
        found = [synset for synset in wordnet.synsets(word) if synset is not None]
        lemmas = {lemma.name() for synset in found for lemma in synset.lemmas()}
        return {name for name in lemmas if "_" not in name}

    return forms
