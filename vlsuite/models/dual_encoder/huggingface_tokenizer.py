"""The tokenizer of a model as transformers' CLIP needs it."""

from typing import Any

import regex
from open_clip.tokenizer import SimpleTokenizer

from vlsuite.batches.tokenizer import END, START
from vlsuite.errors import ModelError
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.caption_cleaning import cleaning_steps
from vlsuite.models.dual_encoder.tokenizer_files import load_fast_tokenizer

#: Case-insensitive in open_clip, after lower-casing: of these letters only s has another form.
_ENDINGS = "'[s\u017f]|'t|'re|'ve|'m|'ll|'d"

#: A capital sigma at the end of a word, as str.lower tells it (Unicode, SpecialCasing.txt).
_FINAL_SIGMA = r"(?<=\p{Cased}\p{Case_Ignorable}{0,8})\x{3A3}(?!\p{Case_Ignorable}*\p{Cased})"


def clip_tokenizer(built: BuiltModel) -> Any:
    """A transformers tokenizer that gives the ids the model was trained with.

    Raises:
        ModelError: end-of-text is not the highest id, or the tokenizer is not at hand. open_clip
            reads a text's state at its highest id, transformers at its first end-of-text.
    """
    text_cfg = built.model_cfg["text_cfg"]
    length = text_cfg.get("context_length", 77)
    if "hf_tokenizer_name" not in text_cfg:
        return _built_in_tokenizer(length)
    tokenizer = load_fast_tokenizer(built)
    highest = text_cfg.get("vocab_size", 49408) - 1
    if not tokenizer.is_fast or tokenizer.eos_token_id != highest:
        raise ModelError(
            f"transformers' CLIPModel cannot express this model: the end-of-text token of its "
            f"tokenizer has id {tokenizer.eos_token_id}, not the highest ({highest}); use "
            f"--format open_clip"
        )
    _clean_first(tokenizer.backend_tokenizer)
    tokenizer.model_max_length = length
    return tokenizer


def _built_in_tokenizer(context_length: int) -> Any:
    """open_clip's own byte-pair tokenizer (SimpleTokenizer)."""
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
    )
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    simple = SimpleTokenizer()
    merges: Any = list(simple.bpe_ranks)  # pairs, which open_clip's types do not say
    tokenizer = Tokenizer(
        models.BPE(vocab=simple.encoder, merges=merges, end_of_word_suffix="</w>")
    )
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(_FINAL_SIGMA), "\u03c2"),
            normalizers.Lowercase(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_words()), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(START, simple.sot_token_id), (END, simple.eot_token_id)],
    )
    _clean_first(tokenizer)
    # open_clip finds them in what is cleaned and lower-case
    start, end = (AddedToken(token, special=True, normalized=True) for token in (START, END))
    tokenizer.add_special_tokens([start, end])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=start,
        eos_token=end,
        pad_token=end,
        model_max_length=context_length,
    )


def _words() -> str:
    """What open_clip takes for a word; its classes written out, which differ between libraries."""
    every = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
    patterns = (r"[\p{L}]+", r"[\p{N}]+", r"[^\s\p{L}\p{N}]+")
    letters, digits, others = (_ranges(pattern, every) for pattern in patterns)
    return f"{_ENDINGS}|[{letters}]+|[{digits}]|[{others}]+"


def _ranges(pattern: str, every: str) -> str:
    """The characters that a pattern of ``regex`` matches, as ranges of a class.

    Args:
        every: all characters, in the order of their code points.
    """
    runs = regex.compile(pattern, regex.IGNORECASE).findall(every)
    return "".join(f"\\x{{{ord(run[0]):X}}}-\\x{{{ord(run[-1]):X}}}" for run in runs)


def _clean_first(tokenizer: Any) -> None:
    """Put the cleaning before a tokenizer's own normalisation."""
    from tokenizers import normalizers

    steps = cleaning_steps()
    if tokenizer.normalizer is not None:
        steps.append(tokenizer.normalizer)
    tokenizer.normalizer = normalizers.Sequence(steps)
