"""Captions to token ids: open_clip's tokenizers, cached, and small vocabularies of our own.

A 49,408-word embedding dominates a small model, so ``train_tokenizer`` makes a byte-pair
vocabulary from the captions at hand. It is saved as a Hugging Face ``tokenizer.json``, which
plain open_clip reads from an exported folder.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, runtime_checkable

import open_clip
import torch
from jaxtyping import Int
from torch import Tensor

from data_pipelines.foreign_files import check_file_sizes, refused_as
from data_pipelines.printable import json_text
from data_pipelines.texts import listed
from vlsuite.batches.detokenize import decoded
from vlsuite.errors import DataError, ModelError

START, END, PAD, UNKNOWN = "<start_of_text>", "<end_of_text>", "<pad>", "<unknown>"
_END_OF_WORD = "</w>"
_CACHE_LIMIT = 200_000


@runtime_checkable
class TextTokenizer(Protocol):
    """Texts to padded token ids, int64 [texts, context_length]."""

    def __call__(self, texts: list[str]) -> Tensor: ...


class CachedTokenizer:
    """Any open_clip tokenizer with its results kept: training sees the same captions each epoch.

    Attributes:
        base: the tokenizer itself.

    Args:
        tokenizer: maps a list of texts to ids [texts, context_length].
        limit: most captions kept; the cache is emptied when it is full.
    """

    def __init__(self, tokenizer: TextTokenizer, *, limit: int = _CACHE_LIMIT) -> None:
        self.base = tokenizer
        self._limit = limit
        self._cache: dict[str, Tensor] = {}

    def __call__(self, texts: Sequence[str]) -> Int[Tensor, "texts context_length"]:
        """Token ids, int64, padded to the context length; each text costs once."""
        texts = listed(texts)
        missing = [text for text in dict.fromkeys(texts) if text not in self._cache]
        if missing:
            if len(self._cache) + len(missing) > self._limit:
                self._cache.clear()
                missing = list(dict.fromkeys(texts))
            for text, ids in zip(missing, self.base(missing), strict=True):
                self._cache[text] = ids.clone()
        return torch.stack([self._cache[text] for text in texts])

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Texts of rows of ids without marks and padding, words separated by one blank.

        Raises:
            ModelError: the tokenizer has no way back from ids to texts.
        """
        return decoded(self.base, ids)


def load_tokenizer(name: str, *, context_length: int | None, folder: str | None) -> CachedTokenizer:
    """The tokenizer of an architecture, or the one saved in ``folder``.

    Args:
        name: architecture as open_clip names it, "local-dir:..." and "hf-hub:..." included.
        context_length: ids per text; None takes the architecture's own.
        folder: a folder with ``tokenizer.json``, used as it is; None, or the folder that ``name``
            stands for, takes the architecture's own with the cleaning it asks for.
    Raises:
        ModelError: the tokenizer cannot be loaded (for example a hub name without network).
    """
    advice = "without network, put its files in a folder and use --set model.tokenizer=FOLDER"
    with refused_as(ModelError, f"cannot load the tokenizer of '{name}'", advice=advice):
        check_file_sizes(Path(folder or name.removeprefix("local-dir:")))
        if folder is not None and name != f"local-dir:{folder}":
            tokenizer = open_clip.tokenizer.HFTokenizer(folder, context_length=context_length)
        else:
            tokenizer = open_clip.get_tokenizer(name, context_length=context_length)
    return CachedTokenizer(tokenizer)


def train_tokenizer(
    captions: Iterable[str], *, vocab_size: int, out_dir: Path, context_length: int
) -> int:
    """Learn a lower-case byte-pair vocabulary from captions and save it as ``tokenizer.json``.

    The same captions give the same file. End-of-text gets the highest id, as open_clip's
    'argmax' pooling needs.

    Args:
        captions: training texts only; captions of a test split would leak its words.
        vocab_size: upper bound of the vocabulary; fewer where the texts hold fewer pairs.
        out_dir: created where missing.
        context_length: recorded as the tokenizer's default length.
    Returns:
        The size of the vocabulary.
    Raises:
        DataError: no caption at all, or ``out_dir`` cannot be written.
    """
    texts = [caption for caption in listed(captions) if caption.strip()]
    if not texts:
        raise DataError("no captions to learn a tokenizer from; check the shards' txt members")
    tokenizer = _learn_pairs(texts, vocab_size=vocab_size - 2)
    _save(tokenizer, out_dir, context_length)
    return tokenizer.get_vocab_size()


def _learn_pairs(texts: list[str], *, vocab_size: int) -> Any:
    """A tokenizer of at most ``vocab_size`` learned tokens, then START and END.

    The trainer numbers the last letters of words in the order of a randomly seeded hash table,
    and equally frequent pairs are merged in the order of their numbers. Naming those letters
    beforehand fixes both; the learned pairs then go into a tokenizer that never heard of it.
    """
    from tokenizers import AddedToken, normalizers, pre_tokenizers, trainers

    tokenizer = _pair_tokenizer({}, [])
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    words = {
        word
        for text in texts
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(
            tokenizer.normalizer.normalize_str(text)
        )
    }
    endings = sorted({word[-1] + _END_OF_WORD for word in words})
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, UNKNOWN, *endings],
        end_of_word_suffix=_END_OF_WORD,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    final = _pair_tokenizer(learned["vocab"], [tuple(pair) for pair in learned["merges"]])
    final.normalizer, final.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
    final.add_special_tokens(
        [AddedToken(token, special=True) for token in (PAD, UNKNOWN, START, END)]
    )
    return final


def _pair_tokenizer(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Any:
    from tokenizers import Tokenizer, models

    return Tokenizer(
        models.BPE(
            vocab=vocabulary, merges=merges, unk_token=UNKNOWN, end_of_word_suffix=_END_OF_WORD
        )
    )


def _save(tokenizer: Any, out_dir: Path, context_length: int) -> None:
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer.post_processor = TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(t, tokenizer.token_to_id(t)) for t in (START, END)],
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=START,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        model_max_length=context_length,
    )
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".tokenizer-", dir=out_dir) as scratch:
            _write(fast, Path(scratch))
            for path in Path(scratch).iterdir():
                path.replace(out_dir / path.name)
    except OSError as error:
        raise DataError(
            f"cannot write the tokenizer to {out_dir}: {error.strerror or error}; free space, mend "
            "permissions or choose another folder"
        ) from error


def _write(fast: Any, folder: Path) -> None:
    """Write the files.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    try:
        fast.save_pretrained(str(folder))
    except Exception as error:  # of the tokenizers library, which has no other class for its own
        if type(error) is Exception and "(os error " in str(error):
            raise OSError(str(error)) from error
        raise
    # captions may hold what terminals obey: the same value, in print
    path = folder / "tokenizer.json"
    path.write_text(json_text(path.read_text(encoding="utf-8")), encoding="utf-8")
