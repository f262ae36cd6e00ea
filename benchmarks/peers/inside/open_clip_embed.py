"""Plain open_clip with webdataset and a DataLoader: embed the pictures of some shards.

As its users write it: the model's own preprocessing in worker processes, batches of floats, one
process that computes. Prints one JSON object: seconds from the loaded model to the written array,
by the clock and of all processors.
"""

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import webdataset as wds
from torch.utils.data import DataLoader


def main() -> None:
    """Embed and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("shards", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    built: Any = open_clip.create_model_and_transforms(f"local-dir:{args.model}")
    model, _, preprocess = built
    model.eval()
    start, cpu_start = time.perf_counter(), _cpu_seconds()
    data = (
        wds.WebDataset(  # pyright: ignore[reportAttributeAccessIssue]
            args.shards, shardshuffle=False
        )
        .decode("pil")
        .rename(image="jpg;png", key="__key__", url="__url__")
        .map(lambda sample: (preprocess(sample["image"]), f"{sample['url']}/{sample['key']}"))
    )
    loader = DataLoader(data, batch_size=args.batch_size, num_workers=args.workers)
    vectors, keys = [], []
    with torch.inference_mode():
        for images, names in loader:
            found = model.encode_image(images, normalize=True)
            vectors.append(found.numpy().astype(np.float16))
            keys += names
    np.save(args.out.with_suffix(".npy"), np.concatenate(vectors))
    seconds = time.perf_counter() - start
    del loader
    cpu_seconds = _cpu_seconds() - cpu_start
    args.out.with_suffix(".json").write_text(json.dumps(keys))
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds}), flush=True)


def _cpu_seconds() -> float:
    """Of this process and of its workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
