"""One PNG that shows a picture in every corruption and severity, for a person to look at."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from eval.corruptions.apply import corrupt
from eval.corruptions.severities import ALL_CORRUPTIONS, SEVERITIES, ConstantSet

_MARGIN, _CAPTION_HEIGHT, _NAME_WIDTH = 6, 22, 160
_FONT_SIZE = 15
_PAPER, _INK = (255, 255, 255), (30, 30, 30)


def write_contact_sheet(
    image: UInt8[Tensor, "3 height width"],
    path: Path,
    *,
    corruptions: Sequence[str] = ALL_CORRUPTIONS,
    seed: int = 0,
    constants: ConstantSet = "imagenet-c",
    frost_dir: Path | None = None,
) -> None:
    """One row a corruption: its name, the clean picture, then severities 1 to 5.

    Raises:
        EvaluationError: as :func:`eval.corruptions.apply.corrupt`.
    """
    height, width = image.shape[-2:]
    titles = ["clean", *(f"severity {severity}" for severity in SEVERITIES)]
    columns = [_NAME_WIDTH + number * (width + _MARGIN) for number in range(len(titles))]
    rows = [_CAPTION_HEIGHT + number * (height + _MARGIN) for number in range(len(corruptions))]
    size = (columns[-1] + width + _MARGIN, rows[-1] + height + _MARGIN)
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)
    for left, title in zip(columns, titles, strict=True):
        pen.text((left + width // 2, _CAPTION_HEIGHT // 2), title, _INK, font, anchor="mm")
    for top, corruption in zip(rows, corruptions, strict=True):
        name = corruption.replace("_", " ")
        pen.text((_MARGIN, top + height // 2), name, _INK, font, anchor="lm")
        shown = torch.stack(
            [image.cpu(), *_severities(image, corruption, seed, constants, frost_dir)]
        )
        for left, picture in zip(columns, shown, strict=True):
            pixels = rearrange(picture, "rgb height width -> height width rgb").numpy()
            sheet.paste(Image.fromarray(np.ascontiguousarray(pixels)), (left, top))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, "PNG")


def _severities(
    image: UInt8[Tensor, "3 height width"],
    corruption: str,
    seed: int,
    constants: ConstantSet,
    frost_dir: Path | None,
) -> list[UInt8[Tensor, "3 height width"]]:
    options = {"image_ids": [0], "seed": seed, "constants": constants, "frost_dir": frost_dir}
    return [corrupt(image[None], corruption, s, **options)[0].cpu() for s in SEVERITIES]
