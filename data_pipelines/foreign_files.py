"""Files of models that others made, before and while a library of others reads them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_pipelines.errors import UserError, reason_of

#: Bytes of a tokenizer's file; the largest published ones have some 40 MB.
MOST_TOKENIZER_BYTES = 96 << 20

#: Bytes of a description (config.json and its like).
MOST_DESCRIPTION_BYTES = 4 << 20

_TOKENIZER_FILES = ("*token*.json", "vocab.*", "merges.txt", "*.model", "*.tiktoken")
_RUST = "pyo3_runtime"


def check_file_sizes(folder: Path) -> None:
    """Look at the files that libraries read whole before they look at them.

    Raises:
        ValueError: a description or a tokenizer's file is larger than any that is known.
    """
    tokenizer = {path for pattern in _TOKENIZER_FILES for path in folder.glob(pattern)}
    for path in sorted(tokenizer):
        _check_size(path, MOST_TOKENIZER_BYTES)
    for path in sorted(folder.glob("*config*.json")):
        _check_size(path, MOST_DESCRIPTION_BYTES)


@contextmanager
def refused_as(kind: type[UserError], what: str, *, advice: str) -> Iterator[None]:
    """One line in place of whatever a library raises over a file of unknown make.

    Libraries raise all kinds: tokenizers a bare ``Exception``, or a panic that is no ``Exception``;
    json a ``RecursionError``; constructors whatever a wrong value leads to.

    Args:
        what: could not be done ("cannot load the tokenizer 'x'").
        advice: what to do about it.
    Raises:
        UserError: of ``kind``; those of the block itself pass.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # see above
        raise kind(f"{what}: {reason_of(error)}; {advice}") from error
    except BaseException as error:
        if type(error).__module__ != _RUST:
            raise
        raise kind(f"{what}: {reason_of(error)}; {advice}") from error


def _check_size(path: Path, most: int) -> None:
    if not path.is_file():
        return
    size = path.stat().st_size
    if size > most:
        raise ValueError(f"{path.name} has {size / 1e6:,.0f} MB, more than {most / 1e6:,.0f}")
