"""Build emoji shards, train a small CLIP on them and measure it: the demo in Python.

    python examples/train_small_clip.py --data data/emoji --out runs/small --duration 2epochs

Run it again to continue what was interrupted. ``torchrun --nproc-per-node 2`` before it uses two
processes, once the data is there.
"""

import argparse
from pathlib import Path

import vlsuite


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("data/emoji"))
    parser.add_argument("--out", type=Path, default=Path("runs/small"))
    parser.add_argument("--duration", default="22epochs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()

    if not (args.data / "manifest.json").exists():
        vlsuite.build_shards("emoji", out=args.data)
    config = vlsuite.recipe("emoji", *args.set, duration=args.duration)
    run = vlsuite.train(config, data=args.data / "train", out=args.out, resume="auto")
    print(f"step {run.step}, loss {run.metrics['loss']:.3f}, model in {run.folder}")
    results = vlsuite.evaluate(
        str(run.folder), args.data / "line_art", tasks="zero_shot", out=args.out / "results"
    )
    for result in results:
        print(f"{result.dataset}: top-1 {result.scores['top1'].value:.1%} of {result.num_samples}")


if __name__ == "__main__":
    main()
