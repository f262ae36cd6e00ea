"""Tiny causal language models in folders, as transformers writes them."""

from collections.abc import Sequence
from pathlib import Path

import torch

from vlsuite.batches.tokenizer import END, PAD, START, UNKNOWN, train_tokenizer


def random_language_model(
    folder: Path, captions: Sequence[str], *, width: int = 32, depth: int = 2, seed: int = 0
) -> Path:
    """A GPT-2 of random weights with a byte-pair vocabulary of the captions."""
    from tokenizers import decoders
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    vocabulary = folder.parent / f"{folder.name}-vocabulary"
    train_tokenizer(captions, vocab_size=300, out_dir=vocabulary, context_length=32)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(vocabulary / "tokenizer.json"),
        bos_token=START,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
    )
    tokenizer.backend_tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=96,
            n_embd=width,
            n_layer=depth,
            n_head=2,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    for parameter in model.parameters():
        if parameter.ndim > 1:  # weights of the usual size give nearly uniform words
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
