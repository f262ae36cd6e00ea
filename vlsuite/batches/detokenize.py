"""Token ids back to texts, for what a model has written."""

from collections.abc import Sequence
from typing import Any

from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

from vlsuite.errors import ModelError

_END_OF_WORD = "</w>"


def decoded(tokenizer: Any, ids: Sequence[Sequence[int]]) -> list[str]:
    """Texts of rows of ids, marks left out, words separated by one blank.

    Args:
        tokenizer: of open_clip, its own or around one of transformers.
        ids: without padding; of different lengths.
    Raises:
        ModelError: another kind of tokenizer.
    """
    if isinstance(tokenizer, SimpleTokenizer):
        marks = set(tokenizer.all_special_ids)
        texts = [tokenizer.decode([token for token in row if token not in marks]) for row in ids]
    elif isinstance(tokenizer, HFTokenizer):
        texts = [_of_transformers(tokenizer.tokenizer, list(row)) for row in ids]
    else:
        raise ModelError(
            f"{type(tokenizer).__name__} has no way back from ids to texts, so the model cannot "
            "write; use a tokenizer of open_clip or of 'vlsuite data tokenizer'"
        )
    return [" ".join(text.split()) for text in texts]


def _of_transformers(tokenizer: Any, row: list[int]) -> str:
    """As transformers does, but for vocabularies that only mark where words end (ours)."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or backend.decoder is not None:
        return tokenizer.decode(row, skip_special_tokens=True)
    marks = set(tokenizer.all_special_ids)
    tokens = tokenizer.convert_ids_to_tokens([token for token in row if token not in marks])
    if not any(token.endswith(_END_OF_WORD) for token in tokens):
        return tokenizer.decode(row, skip_special_tokens=True)
    return "".join(tokens).replace(_END_OF_WORD, " ")
