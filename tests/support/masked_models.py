"""Tiny masked language models in folders, as transformers writes them."""

from collections.abc import Sequence
from pathlib import Path

import torch


def random_masked_lm(folder: Path, captions: Sequence[str], *, seed: int = 0) -> Path:
    """A BERT of random weights, large enough to prefer some words, with WordPiece tokens."""
    from transformers import BertConfig, BertForMaskedLM

    from benchmarks.support.small_masked_lm import wordpiece_tokenizer

    tokenizer = wordpiece_tokenizer(captions, 200)
    torch.manual_seed(seed)
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=48,
        )
    )
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
