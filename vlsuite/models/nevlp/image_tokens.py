"""Tokens of training pictures, kept on the disk: the frozen image tower runs once, not each step.

A folder holds one .npy, [pictures, views, tokens, width] in fp32 and mapped into memory, and
``image_tokens.json``, written last: which file, which tower and layer, and the uid of each row.
Pictures are augmented when the folder is made; a training step draws one of the views.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from data_pipelines.shards.stored_sample import StoredSample
from vlsuite.batches.pairs import Pair, PairBatch, PairReader
from vlsuite.batches.sample_reader import BatchFacts
from vlsuite.batches.transforms import View
from vlsuite.errors import BadSampleError, ModelError
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.clip import unscaled

ABOUT = "image_tokens.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenSource:
    """What the tokens came from; a run that reads them must have the same.

    Attributes:
        fingerprint: of the CLIP whose image tower it was (see ``vlsuite.models.identity``).
        image_layer: see ``NevlpSettings``.
    """

    fingerprint: str
    image_layer: int


def token_source(tower: BuiltModel, *, image_layer: int) -> TokenSource:
    """Of the tokens of a layer of a CLIP's image tower."""
    return TokenSource(fingerprint=unscaled(tower).fingerprint, image_layer=image_layer)


class ImageTokens:
    """The stored tokens of pictures, by uid; use :meth:`open`."""

    def __init__(self, array: np.ndarray, rows: dict[str, int], source: TokenSource) -> None:
        self.source = source
        self._array, self._rows = array, rows

    @classmethod
    def open(cls, folder: Path) -> "ImageTokens":
        """What ``vlsuite data image-tokens`` wrote; nothing is read into memory.

        Raises:
            ModelError: not there, damaged, or of another version.
        """
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            if about["format"] != FORMAT:
                raise ValueError(f"format {about['format']}, this version reads {FORMAT}")
            source = TokenSource(**{f.name: about["source"][f.name] for f in fields(TokenSource)})
            rows = {str(uid): row for row, uid in enumerate(about["uids"])}
            name = Path(about["array"]).name
            array = np.load(folder / name, mmap_mode="r", allow_pickle=False)
            if array.ndim != 4 or len(array) != len(rows) or array.dtype != np.float32:
                raise ValueError(f"{name} is {array.dtype} {array.shape}, {ABOUT} says otherwise")
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise ModelError(
                f"cannot read the image tokens in {folder}: {' '.join(str(error).split())[:160]}; "
                "make them with 'vlsuite data image-tokens'"
            ) from error
        return cls(array, rows, source)

    def __len__(self) -> int:
        return len(self._rows)

    def check_fits(self, source: TokenSource, folder: str) -> None:
        """Refuse tokens of another tower or layer.

        Raises:
            ModelError: they are.
        """
        for name, own in asdict(self.source).items():
            if own != getattr(source, name):
                raise ModelError(
                    f"data.image_tokens={folder} was made with {name} {str(own)[:12]}, the run has "
                    f"{str(getattr(source, name))[:12]}; make it again with 'vlsuite data "
                    "image-tokens' and the settings of the run"
                )

    def view(self, uid: str, rng: np.random.Generator) -> Float[Tensor, "tokens image_width"]:
        """One of the views of a picture.

        Raises:
            BadSampleError: the picture is not among them.
        """
        row = self._rows.get(uid)
        if row is None:
            raise BadSampleError("not in data.image_tokens", f"no tokens of picture {uid}")
        number = int(rng.integers(self._array.shape[1])) if self._array.shape[1] > 1 else 0
        return torch.from_numpy(np.array(self._array[row, number]))


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenBatch(PairBatch):
    """Pairs whose pictures are tokens already; ``images`` has no pixels.

    Attributes:
        image_tokens: row i belongs to row i of token_ids.
    """

    image_tokens: Float[Tensor, "batch tokens image_width"]


class TokenReader(PairReader):
    """Draws a caption and a stored view of the picture, which is not decoded.

    Args:
        image_tokens: of the training pictures.
        others: see ``PairReader``.
    """

    def __init__(self, image_tokens: ImageTokens, **others: Any) -> None:
        super().__init__(**others)
        self._image_tokens = image_tokens

    def view(self, sample: StoredSample, rng: np.random.Generator) -> View:
        """See ``PairReader``; the pixels are tokens."""
        return View(self._image_tokens.view(sample.uid, rng), ())

    def collate(self, contents: Sequence[Pair], facts: BatchFacts) -> TokenBatch:
        """See ``SampleReader``."""
        return TokenBatch(
            images=torch.zeros(len(contents), 3, 0, 0, dtype=torch.uint8),
            image_tokens=torch.stack([pair.pixels for pair in contents]),
            **self.columns(contents, facts),
        )


@torch.no_grad()
def tower_tokens(
    visual: nn.Module, pixels: Float[Tensor, "batch 3 height width"], *, image_layer: int
) -> Float[Tensor, "batch tokens image_width"]:
    """Class token (where there is one) and patch tokens of one layer of an image tower."""
    found = visual.forward_intermediates(  # type: ignore[operator]
        pixels,
        indices=[image_layer],
        stop_early=True,
        intermediates_only=True,
        output_fmt="NLC",
        output_extra_tokens=True,
    )
    patches = found["image_intermediates"][0]
    first = found.get("image_intermediates_prefix")
    return torch.cat([first[0], patches], dim=1) if first else patches
