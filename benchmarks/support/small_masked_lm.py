"""A small BERT trained on captions alone, in a folder of transformers: proposes words for gaps.

It stands in for bert-base-cased where nothing can be downloaded; the code that uses it is the
same. As a command it trains on the captions of some data sets, five minutes on one core.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from eval.data.folders import open_dataset

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_LENGTH = 48  # tokens of a caption at most
_MASKED_SHARE = 0.2
_IGNORED = -100  # what transformers leaves out of the loss


def train_masked_lm(
    folder: Path,
    captions: Sequence[str],
    *,
    vocab_size: int = 4096,
    width: int = 128,
    depth: int = 3,
    steps: int = 2000,
    batch_size: int = 64,
    lr: float = 1e-3,
    seed: int = 0,
) -> float:
    """Learn a WordPiece vocabulary and a model; returns the mean of its last losses.

    One token in five is masked, always by the mask (Devlin et al. 2019, arXiv 1810.04805, mask 15%
    and leave some of them readable).

    Args:
        folder: to write; the model, its config and its tokenizer.
        captions: of the training set only.
        width, depth: of the transformer.
        steps: of AdamW, cosine to zero.
    Returns:
        Nats a masked token.
    """
    tokenizer = wordpiece_tokenizer(captions, vocab_size)
    torch.manual_seed(seed)
    model = _model(tokenizer, width=width, depth=depth).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    batches = _batches(tokenizer, captions, batch_size, seed)
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1, (step + 1) / 100) * (1 + math.cos(math.pi * step / steps)) / 2
        loss = model(**next(batches)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    last = losses[-100:]
    return sum(last) / len(last)


def wordpiece_tokenizer(captions: Sequence[str], vocab_size: int) -> Any:
    """A fast BERT tokenizer in lower case whose vocabulary is learned from captions."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=list(_SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator(captions, trainer)
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=_LENGTH,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def captions_of(paths: Sequence[str]) -> list[str]:
    """All captions of some data sets, in order.

    Raises:
        UserError: one of them cannot be opened.
    """
    found: list[str] = []
    for path in paths:
        captions = open_dataset(path, split="all", task="retrieval").captions
        found += [text for own in captions or () for text in own]
    return found


def _model(tokenizer: Any, *, width: int, depth: int) -> Any:
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            num_hidden_layers=depth,
            num_attention_heads=max(1, width // 32),
            intermediate_size=4 * width,
            max_position_embeddings=_LENGTH,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _batches(
    tokenizer: Any, captions: Sequence[str], batch_size: int, seed: int
) -> Iterator[dict[str, torch.Tensor]]:
    draws = torch.Generator().manual_seed(seed)
    encoded = [
        torch.tensor(ids)
        for ids in tokenizer(list(captions), truncation=True, max_length=_LENGTH)["input_ids"]
        if len(ids) > 2
    ]
    while True:
        order = torch.randperm(len(encoded), generator=draws).tolist()
        for start in range(0, len(order), batch_size):
            rows = [encoded[i] for i in order[start : start + batch_size]]
            yield _masked(rows, tokenizer, draws)


def _masked(
    rows: list[torch.Tensor], tokenizer: Any, draws: torch.Generator
) -> dict[str, torch.Tensor]:
    ids = torch.nn.utils.rnn.pad_sequence(rows, True, tokenizer.pad_token_id)
    special = torch.tensor(tokenizer.all_special_ids)
    is_word = ~torch.isin(ids, special)
    chosen = (torch.rand(ids.shape, generator=draws) < _MASKED_SHARE) & is_word
    chosen[:, 1] |= ~chosen.any(dim=1) & is_word[:, 1]  # every row teaches something
    return {
        "input_ids": ids.masked_fill(chosen, tokenizer.mask_token_id),
        "attention_mask": (ids != tokenizer.pad_token_id).long(),
        "labels": ids.masked_fill(~chosen, _IGNORED),
    }


def main() -> int:
    """Train and save; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+", help="captioned pictures as for 'vlsuite eval --data'")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="100 steps")
    parser.add_argument("--save", action="store_true", help="append to results/")
    args = parser.parse_args()
    captions = captions_of(args.data)
    steps = 100 if args.quick else args.steps
    loss = train_masked_lm(args.out, captions, steps=steps, seed=args.seed)
    print(f"{len(captions):,} captions, {steps:,} steps: {loss:.3f} nats a masked token")
    config = {key: str(v) if isinstance(v, Path) else v for key, v in vars(args).items()}
    figures = {"captions": len(captions), "loss": round(loss, 4)}
    finish("small_masked_lm", figures, describe(), config=config, save=args.save)
    return 0


if __name__ == "__main__":
    run_as_program(main)
