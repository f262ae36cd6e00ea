"""Score an open_clip folder with open_clip_train's own zero-shot code.

Runs inside the peer's environment (see peers/open_clip.py), so it imports nothing of ours: its
figure checks our evaluator from outside. The last line printed is one JSON object.
"""

import argparse
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip_train.zero_shot import run as score_batches
from PIL import Image
from torch import Tensor


def main() -> None:
    """Print top-1 and the number of samples scored on one classification shard."""
    args = _parse()
    name = f"local-dir:{args.model}"
    loaded: Any = open_clip.create_model_from_pretrained(name, output_dict=True)
    model, preprocess = loaded
    model.eval()
    classifier = open_clip.build_zero_shot_classifier(
        model,
        tokenizer=open_clip.get_tokenizer(name),
        classnames=[line for line in args.class_names.read_text().splitlines() if line],
        templates=[template.replace("{c}", "{}") for template in args.template],
    )
    images, labels = zip(*read_samples(args.shard, preprocess), strict=True)
    size = args.batch_size
    batches = [
        (torch.stack(images[first : first + size]), torch.tensor(labels[first : first + size]))
        for first in range(0, len(images), size)
    ]
    score_args = argparse.Namespace(device="cpu", precision="fp32", batch_size=size)
    top1, _ = score_batches(model, classifier, batches, score_args)
    print(json.dumps({"top1": top1, "num_samples": len(images)}))


def read_samples(
    shard: Path, preprocess: Callable[[Image.Image], Any]
) -> Iterator[tuple[Tensor, int]]:
    """Preprocessed picture and class number of each pair of jpg and cls members."""
    with tarfile.open(shard) as tar:
        members = {member.name: member for member in tar if member.isfile()}
        for name in members:
            key, _, suffix = name.partition(".")
            if suffix == "jpg":
                image = Image.open(io.BytesIO(_read(tar, members[name])))
                yield preprocess(image.convert("RGB")), int(_read(tar, members[f"{key}.cls"]))


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    assert stream is not None
    return stream.read()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="folder with open_clip_config.json, weights")
    parser.add_argument("--shard", required=True, type=Path, help="tar of jpg and cls members")
    parser.add_argument("--class-names", required=True, type=Path, help="one name a line")
    parser.add_argument("--template", action="append", required=True, help="'a photo of a {c}'")
    parser.add_argument("--batch-size", type=int, default=256)
    return parser.parse_args()


if __name__ == "__main__":
    main()
