"""Finished runs of a noise study, made up and written as training would write them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

NOTHING = np.zeros(0, np.float32)


def write_cell(
    out: Path,
    method: str,
    rate: float,
    seed: int,
    *,
    t2i: Sequence[int],
    i2t: Sequence[int] | None = None,
    curve: Sequence[float] = (0.1, 0.2),
    digest: str = "settings",
    wrong: Sequence[bool] = (),
    cosines: Sequence[float] | None = None,
    start_cosines: Sequence[float] | None = None,
    noise: Sequence[float] | None = None,
    noise_share: float | None = None,
    has_start: bool = True,
) -> Path:
    """One folder; places are ranks of the partners, the curve is used for all four scores."""
    folder = out / "cells" / f"{method}-{round(100 * rate):02d}-seed{seed}"
    folder.mkdir(parents=True)
    unknown = np.full(len(wrong), np.nan, np.float32)
    np.savez(
        folder / "cell.npz",
        image_to_text_places=np.array(t2i if i2t is None else i2t, np.int64),
        text_to_image_places=np.array(t2i, np.int64),
        is_mismatched=np.array(wrong, bool),
        pair_cosines=unknown if cosines is None else np.array(cosines, np.float32),
        start_cosines=unknown if start_cosines is None else np.array(start_cosines, np.float32),
        noise_probability=unknown if noise is None else np.array(noise, np.float32),
    )
    names = [f"{d}_recall_at_{k}" for d in ("image_to_text", "text_to_image") for k in (1, 5)]
    result = {
        "method": method,
        "rate": rate,
        "seed": seed,
        "digest": digest,
        "curve": {name: list(curve) for name in names},
        "steps_between": 10,
        "steps": 10 * len(curve),
        "seconds": 3.0,
        "num_pairs": len(wrong),
        "num_test": len(t2i),
        "noise_share": noise_share,
        "environment": {"commit": "0123456", "hardware": "a machine", "command": "a command"},
        "settings": {"pretrain_share": 0.5 if has_start else 0, "architecture": "tiny"},
    }
    (folder / "cell.json").write_text(json.dumps(result))
    return folder


def places(share: float, count: int = 200, *, shift: int = 0) -> list[int]:
    """Ranks of which the given share is 0, the others 7; ``shift`` turns them round."""
    found = [0] * round(share * count) + [7] * (count - round(share * count))
    return found[shift:] + found[:shift]
