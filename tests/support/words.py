"""A real tokenizer over the captions of the synthetic source, learned once a session."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from data_pipelines.skips import Skips
from data_pipelines.sources.synthetic import SyntheticSource
from vlsuite.batches.tokenizer import CachedTokenizer, load_tokenizer, train_tokenizer

CONTEXT_LENGTH = 24


@cache
def word_tokenizer_folder() -> Path:
    """Folder of a byte-pair tokenizer with at most 200 entries."""
    folder = Path(mkdtemp(prefix="vlsuite-tokenizer-"))
    samples = SyntheticSource(num_samples=300, side=16).samples(Skips())
    captions = [caption for sample in samples for caption in sample.captions]
    train_tokenizer(captions, vocab_size=200, out_dir=folder, context_length=CONTEXT_LENGTH)
    return folder


def word_tokenizer() -> CachedTokenizer:
    """The tokenizer itself."""
    folder = str(word_tokenizer_folder())
    return load_tokenizer("words", context_length=CONTEXT_LENGTH, folder=folder)
