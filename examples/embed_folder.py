"""Embed every picture of a folder and keep the vectors in one file.

    python examples/embed_folder.py runs/demo/run photos/ --out photos.npz

photos.npz then holds ``paths`` and ``embeds``, unit vectors [pictures, embed_dim] in fp32.
"""

import argparse
from pathlib import Path

import numpy as np

import vlsuite

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", help="run folder, exported folder, or ARCHITECTURE:WEIGHTS")
    parser.add_argument("folder", type=Path, help="searched with all its folders")
    parser.add_argument("--out", type=Path, default=Path("embeds.npz"))
    parser.add_argument("--batch-size", type=int, default=64)
    args = parser.parse_args()

    paths = sorted(p for p in args.folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    model = vlsuite.load_model(args.model)
    embeds = vlsuite.embed_images(model, paths, batch_size=args.batch_size)
    np.savez(args.out, paths=[str(path) for path in paths], embeds=embeds.cpu().numpy())
    print(f"{len(paths)} pictures, {model.embed_dim} numbers each -> {args.out}")


if __name__ == "__main__":
    main()
