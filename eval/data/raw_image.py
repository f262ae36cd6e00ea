"""One sample's picture and what lies beside it, decoded when first asked for."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from jaxtyping import Float32
from PIL import Image

from data_pipelines.arrays import read_array
from data_pipelines.errors import BadSampleError
from data_pipelines.image_formats import open_image
from data_pipelines.shards.pairs import image_of
from vlsuite.batches.decode import decode_image

_MASKS = ("mask.png", "seg.png")
_DEPTHS = ("depth.npy", "depth.png")


class RawImage:
    """A sample as stored. Every property may raise ``DataError``: the picture is broken.

    Args:
        members: by suffix: the encoded image, ``mask.png``, ``depth.npy`` or ``depth.png``...
        image_id: the first 8 bytes of the image's SHA-256; seeds its random draws.
    """

    def __init__(self, members: Mapping[str, bytes], image_id: int) -> None:
        self._members = members
        self.image_id = image_id

    @cached_property
    def encoded(self) -> bytes:
        """The image member as it lies in the shard."""
        return image_of(self._members).data

    @cached_property
    def rgb(self) -> Image.Image:
        """Upright RGB, transparency on white, as for every evaluation."""
        return decode_image(self.encoded)

    @cached_property
    def mask(self) -> Float32[np.ndarray, "height width"] | None:
        """Share of the object in each pixel of ``rgb``: a mask member, else the alpha channel."""
        for suffix in _MASKS:
            if suffix in self._members:
                mask = _gray(self._members[suffix], suffix)
                break
        else:
            with _opened(self.encoded, "image") as image:
                if not image.has_transparency_data:
                    return None
                mask = image.convert("RGBA").getchannel("A")
        if mask.size != self.rgb.size:
            raise BadSampleError(
                "broken mask", f"mask of {mask.size} beside a picture of {self.rgb.size} pixels"
            )
        return np.asarray(mask, dtype=np.float32) / 255

    @cached_property
    def depth(self) -> Float32[np.ndarray, "height width"] | None:
        """Distance from the camera for each pixel of ``rgb``, any unit; None without a depth map.

        ``depth.npy`` holds floats; ``depth.png`` whole numbers of 8 or 16 bits.
        """
        suffix = next((s for s in _DEPTHS if s in self._members), None)
        if suffix is None:
            return None
        data = self._members[suffix]
        if suffix.endswith("npy"):
            depth = read_array(data, suffix)
        else:
            with _opened(data, suffix) as image:
                depth = np.asarray(image)
        if depth.shape != self.rgb.size[::-1] or not np.isfinite(depth).all():
            raise BadSampleError(
                "broken depth", f"{suffix} of shape {depth.shape} for {self.rgb.size} pixels"
            )
        return depth.astype(np.float32)


def _gray(data: bytes, name: str) -> Image.Image:
    with _opened(data, name) as image:
        return image.convert("L")


def _opened(data: bytes, name: str) -> Image.Image:
    try:
        image = open_image(data)
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadSampleError(f"broken {name}", str(error)[:120]) from error
    return image
