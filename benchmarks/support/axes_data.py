"""Data sets for ``benchmarks.eval_axes`` in CLIP_benchmark's layout, from shards of real pictures.

- ``cifar10-test``: the test shard with its class names.
- ``imagenet-1000``: photos, one a class.
- ``cifar10-photos``: those of the photos that show a class of CIFAR-10, a natural shift of it,
  with factors known from the picture itself (portrait or landscape, dark or bright).
- ``cutouts``: pictures with an alpha channel and a category each, for edits.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
from webdataset.writer import TarWriter

from data_pipelines.image_formats import open_image
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import image_of

#: ImageNet class numbers (first, last) that belong to a class of CIFAR-10; deer has none.
_CIFAR_CLASSES: dict[str, tuple[tuple[int, int], ...]] = {
    "airplane": ((404, 404), (895, 895)),
    "automobile": ((436, 436), (511, 511), (656, 656), (661, 661), (751, 751), (817, 817)),
    "bird": ((7, 24), (80, 100), (127, 146)),
    "cat": ((281, 285),),
    "dog": ((151, 268),),
    "frog": ((30, 32),),
    "horse": ((339, 339),),
    "ship": ((403, 403), (510, 510), (554, 554), (628, 628), (724, 724), (780, 780), (914, 914)),
    "truck": ((555, 555), (569, 569), (675, 675), (717, 717), (864, 864), (867, 867)),
}

Members = dict[str, bytes]


def link_shard(
    folder: Path, shard: Path, class_names: Sequence[str], templates: Sequence[str]
) -> Path:
    """A folder around a shard that lies elsewhere."""
    (folder / "test").mkdir(parents=True)
    (folder / "test" / "0.tar").symlink_to(shard.resolve())
    return _finish(folder, class_names, templates)


def write_imagenet(folder: Path, photos: Path, templates: Sequence[str]) -> Path:
    """All photos with their class numbers."""
    samples = [{"jpg": data, "cls": str(label).encode()} for label, data in _photos(photos)]
    return _write(folder, samples, IMAGENET_CLASSNAMES, templates)


def write_cifar_photos(
    folder: Path, photos: Path, class_names: Sequence[str], templates: Sequence[str], base: str
) -> Path:
    """Photos of CIFAR-10's classes, marked as a shifted form of ``base``."""
    samples = []
    for label, data in _photos(photos):
        for name, ranges in _CIFAR_CLASSES.items():
            if any(first <= label <= last for first, last in ranges):
                number = str(class_names.index(name)).encode()
                samples.append({"jpg": data, "cls": number, "json": _factors(data)})
    _write(folder, samples, class_names, templates)
    (folder / "shift_of.txt").write_text(base + "\n")
    return folder


def write_cutouts(folder: Path, pictures: Path, *, count: int) -> Path:
    """Pictures with transparent background, labelled with the first part of their category."""
    shard = ShardIndex.open(pictures)
    found: list[tuple[str, bytes]] = []
    for number in range(len(shard)):
        members = shard.read(number)
        category = str(json.loads(members["json"]).get("category", "")).split("/")[0]
        image = image_of(members).data
        if category and open_image(image).mode == "RGBA":
            found.append((category, image))
    names = sorted({category for category, _ in found})
    step = max(1, len(found) // count)
    samples = [
        {"png": image, "cls": str(names.index(category)).encode()}
        for category, image in found[::step][:count]
    ]
    return _write(folder, samples, names, ("a picture of a {c}",))


def _photos(shard_path: Path) -> Iterator[tuple[int, bytes]]:
    """Class number (place among the sorted WordNet ids) and JPEG of each photo."""
    shard = ShardIndex.open(shard_path)
    samples = [shard.read(number) for number in range(len(shard))]
    ids = [str(json.loads(members["json"])["wnid"]) for members in samples]
    number_of = {wnid: number for number, wnid in enumerate(sorted(set(ids)))}
    for wnid, members in zip(ids, samples, strict=True):
        yield number_of[wnid], image_of(members).data


def _factors(data: bytes) -> bytes:
    picture = open_image(data)
    brightness = float(np.asarray(picture.convert("L")).mean()) / 255
    factors = {
        "portrait": picture.height > picture.width,
        "dark": brightness < 0.4,
        "bright": brightness > 0.55,
    }
    return json.dumps({"factors": factors}).encode()


def _write(
    folder: Path, samples: Sequence[Members], class_names: Sequence[str], templates: Sequence[str]
) -> Path:
    (folder / "test").mkdir(parents=True)
    with TarWriter(str(folder / "test" / "0.tar"), encoder=False) as writer:
        for number, members in enumerate(samples):
            writer.write({"__key__": f"s{number:07d}", **members})
    return _finish(folder, class_names, templates)


def _finish(folder: Path, class_names: Sequence[str], templates: Sequence[str]) -> Path:
    (folder / "test" / "nshards.txt").write_text("1\n")
    (folder / "classnames.txt").write_text("\n".join(class_names) + "\n")
    (folder / "zeroshot_classification_templates.txt").write_text("\n".join(templates) + "\n")
    return folder
