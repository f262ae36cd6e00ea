"""Small evaluation data sets on disk, written by webdataset itself."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from webdataset.writer import TarWriter

Members = Mapping[str, bytes]


def noise_png(number: int, *, side: int = 16) -> bytes:
    """A picture of coarse noise, another for each number."""
    blocks = np.random.default_rng(number).integers(0, 256, size=(4, 4, 3), dtype=np.uint8)
    picture = Image.fromarray(blocks).resize((side, side), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()


def labelled(count: int, *, num_classes: int) -> list[dict[str, bytes]]:
    """Samples with an image and a class each, classes in turn."""
    return [{"png": noise_png(i), "cls": str(i % num_classes).encode()} for i in range(count)]


def captioned(captions: Sequence[Sequence[str]]) -> list[dict[str, bytes]]:
    """Samples with an image and some captions each."""
    return [{"png": noise_png(i), "txt": "\n".join(own).encode()} for i, own in enumerate(captions)]


def write_tar(path: Path, samples: Sequence[Members]) -> Path:
    """One plain shard."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TarWriter(str(path), encoder=False) as writer:
        for number, members in enumerate(samples):
            writer.write({"__key__": f"s{number:07d}", **members})
    return path


def write_evaluation_folder(
    root: Path,
    samples: Sequence[Members],
    *,
    split: str = "test",
    class_names: Sequence[str] = (),
    templates: Sequence[str] = (),
    num_shards: int = 1,
    shift_of: str | None = None,
) -> Path:
    """A CLIP_benchmark folder; without class names one for retrieval."""
    (root / split).mkdir(parents=True)
    files = {
        "classnames.txt": class_names,
        "zeroshot_classification_templates.txt": templates,
        "dataset_type.txt": () if class_names else ("retrieval",),
        "shift_of.txt": (shift_of,) if shift_of else (),
    }
    for name, lines in files.items():
        if lines:
            (root / name).write_text("\n".join(lines) + "\n")
    bounds = np.linspace(0, len(samples), num_shards + 1).astype(int).tolist()
    for shard in range(num_shards):
        write_tar(root / split / f"{shard}.tar", samples[bounds[shard] : bounds[shard + 1]])
    (root / split / "nshards.txt").write_text(str(num_shards))
    return root
