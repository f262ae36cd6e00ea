"""A small GPT-2 trained on captions alone, in a folder of transformers: NEVLP's frozen part.

A large language model continues what stands before a text; one this small has to be taught to.
Its documents are therefore all captions of one picture after another, half of them behind some
words of theirs as "objects: ...". No picture is involved.
"""

import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from data_pipelines.noise.phrases import content_words
from vlsuite.batches.concepts import concept_text
from vlsuite.batches.tokenizer import END, PAD, START, UNKNOWN, train_tokenizer
from vlsuite.models.language.causal_lm import NO_TOKEN, LmTokenizer, padded

_LENGTH = 64  # tokens of a document at most
_NUM_WORDS = 5  # behind "objects:" at most


def train_language_model(
    folder: Path,
    documents: Sequence[Sequence[str]],
    *,
    vocab_size: int,
    width: int,
    depth: int,
    steps: int,
    batch_size: int = 32,
    lr: float = 2e-3,
    seed: int = 0,
) -> float:
    """Learn a vocabulary and a model; returns the mean of its last losses, in nats a token.

    Args:
        folder: to write; the model, its config and its tokenizer.
        documents: captions of one picture each, of the training set only.
        width, depth: of the transformer.
        steps: of AdamW, cosine to zero.
    """
    tokenizer = _tokenizer(folder / "vocabulary", documents, vocab_size)
    torch.manual_seed(seed)
    model = _model(tokenizer, width=width, depth=depth).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05)
    batches = _batches(LmTokenizer(tokenizer, context_length=32), documents, batch_size, seed)
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1, (step + 1) / 50) * (1 + math.cos(math.pi * step / steps)) / 2
        ids = next(batches)
        is_there = (ids != NO_TOKEN).long()
        logits = model(ids.clamp_min(0), attention_mask=is_there).logits
        loss = F.cross_entropy(logits[:, :-1].mT, ids[:, 1:], ignore_index=NO_TOKEN)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    last = losses[-50:]
    return sum(last) / len(last)


def _tokenizer(folder: Path, documents: Sequence[Sequence[str]], vocab_size: int) -> Any:
    from tokenizers import decoders
    from transformers import PreTrainedTokenizerFast

    captions = [concept_text(("a", "b")), *(c for own in documents for c in own)]
    train_tokenizer(captions, vocab_size=vocab_size, out_dir=folder, context_length=32)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        bos_token=START,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
    )
    tokenizer.backend_tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    return tokenizer


def _model(tokenizer: Any, *, width: int, depth: int) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=128,
            n_embd=width,
            n_layer=depth,
            n_head=max(1, width // 32),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _batches(
    texts: LmTokenizer, documents: Sequence[Sequence[str]], size: int, seed: int
) -> Iterator[torch.Tensor]:
    """Documents in a new order each time, their captions as well, some cut at the beginning."""
    draw = random.Random(seed)
    while True:
        order = draw.sample(range(len(documents)), len(documents))
        for first in range(0, len(order) - size + 1, size):
            rows = [_document(texts, documents[i], draw) for i in order[first : first + size]]
            yield padded(rows, max(map(len, rows)))


def _document(texts: LmTokenizer, captions: Sequence[str], draw: random.Random) -> list[int]:
    words = sorted({word for caption in captions for word in content_words(caption)})
    chosen = draw.sample(words, min(len(words), draw.randint(1, _NUM_WORDS)))
    told = [concept_text(chosen)] if words and draw.random() < 0.5 else []
    own = draw.sample(list(captions), len(captions))
    pieces = [texts.tokenizer(text, add_special_tokens=False)["input_ids"] for text in told + own]
    ids = [] if not told else pieces.pop(0)
    for piece in pieces:
        ids = [*ids, texts.begin, *piece, texts.end]
    return ids[:_LENGTH]
