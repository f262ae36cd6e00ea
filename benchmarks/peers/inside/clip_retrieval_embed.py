"""clip-retrieval's inference: embed the pictures of some shards with its reader, mapper, writer.

Runs inside the peer's environment (see peers/clip_retrieval.py), so it imports nothing of ours. Its
worker does what ``clip-retrieval inference`` has done once the model is loaded. Prints one JSON
object: seconds from the loaded model to the last written file, by the clock and of all processors.
"""

import argparse
import json
import resource
import time

import open_clip
import torch
from all_clip import load_clip  # pyright: ignore[reportMissingImports]
from clip_retrieval.clip_inference.worker import worker  # pyright: ignore[reportMissingImports]


def main() -> None:
    """Embed and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shards", nargs="+")
    parser.add_argument("--configuration", help="JSON of an unknown architecture")
    parser.add_argument("--architecture", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.configuration:
        open_clip.add_model_config(args.configuration)
    model = f"open_clip:{args.architecture}/{args.weights}"
    # With the words of its reader and its mapper: what they ask for is then loaded.
    load_clip(
        clip_model=model, use_jit=False, warmup_batch_size=args.batch_size, clip_cache_path=None
    )
    start, cpu_start = time.perf_counter(), _cpu_seconds()
    worker(
        tasks=[0],
        input_dataset=args.shards,
        output_folder=args.out,
        output_partition_count=1,
        input_format="webdataset",
        batch_size=args.batch_size,
        num_prepro_workers=args.workers,
        enable_text=False,
        clip_model=model,
        use_jit=False,
    )
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "cpu_seconds": _cpu_seconds() - cpu_start}), flush=True)


def _cpu_seconds() -> float:
    """Of this process and of its workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
