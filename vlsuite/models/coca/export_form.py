"""A CoCa as a folder that plain open_clip loads, and proof that it is the same model there."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vlsuite.errors import ModelError
from vlsuite.export.form import Exported, Form
from vlsuite.export.new_file import write_card
from vlsuite.export.run_history import RunHistory
from vlsuite.models.coca.model import Coca
from vlsuite.models.dual_encoder.export_forms import (
    FORMS,
    TOLERANCE,
    difference,
    random_captions,
    random_pictures,
)
from vlsuite.models.dual_encoder.model_card import CARD, write_model_card
from vlsuite.models.dual_encoder.open_clip_folder import write_open_clip_folder

_OPEN_CLIP = FORMS["open_clip"]

#: Largest accepted difference of a logit, as a share of the largest one; see ``TOLERANCE``.
_LOGIT_TOLERANCE = 1e-5

_CARD = """
## Captions

```python
model.caption(pixels, max_tokens=30, num_beams=5)  # of vlsuite's load_model
```

In open_clip, `model.generate` needs a version of transformers before 5 (`BeamSearchScorer`);
`model(images, token_ids)["logits"]` needs none.
"""


class _Decoded(NamedTuple):
    """Logits of captions, ours and the library's."""

    ours: Tensor
    theirs: Tensor


def write_coca_folder(
    folder: Path,
    built: Any,
    weights: Mapping[str, Tensor],
    *,
    scalars: Mapping[str, float],
    name: str,
    history: RunHistory | None,
) -> None:
    """Write weights, description, tokenizer and card; see ``TrainableModel.write``.

    Raises:
        ModelError: the tokenizer's files are not at hand.
        RunFolderError: the folder cannot be written.
    """
    write_open_clip_folder(
        folder,
        built,
        weights,
        logit_scale=scalars["logit_scale"],
        logit_bias=scalars.get("logit_bias") or None,
    )
    write_model_card(folder, built, name=name, library="open_clip", history=history)
    card = folder / CARD
    write_card(card, card.read_text(encoding="utf-8") + _CARD)


def export_form() -> Form:
    """The form as ``vlsuite export`` writes and checks it."""
    files = ("*config.json", "*.safetensors", "*token*.json", CARD, "vocab.*", "merges.txt")
    return Form(name="open_clip", write=_write, verify=_verify, files=(*files, "*.model"))


def _write(folder: Path, exported: Exported) -> None:
    write_coca_folder(
        folder,
        exported.built,
        exported.weights,
        scalars=exported.scalars,
        name=exported.name,
        history=exported.history,
    )


def _verify(folder: Path, exported: Exported) -> list[str]:
    found = difference(exported.model, _OPEN_CLIP.reload(folder))
    decoded = logit_difference(exported.model, folder)
    if not (found.is_small and decoded <= _LOGIT_TOLERANCE):
        raise ModelError(
            f"open_clip gives another model for the exported {exported.model.name} (images "
            f"{found.images:.1e}, texts {found.texts:.1e}, scale and bias {found.logits:.1e}, "
            f"caption logits {decoded:.1e}; at most {TOLERANCE:.0e}); nothing was kept. Please "
            "report this architecture"
        )
    return [
        "largest difference after loading it with open_clip alone:",
        f"  images {found.images:.1e}  texts {found.texts:.1e}  scale and bias "
        f"{found.logits:.1e}  caption logits {decoded:.1e} of the largest",
    ]


def logit_difference(model: Coca, folder: Path, *, seed: int = 0) -> float:
    """How far the caption logits of an exported folder are from the model's.

    Captions and pictures are random; both sides are shown the same pixels and ids.

    Returns:
        Largest absolute difference over the largest absolute logit.
    """
    decoded = _logits(model, folder, seed=seed)
    return float((decoded.ours - decoded.theirs).abs().max() / decoded.theirs.abs().max())


@torch.no_grad()
def _logits(model: Coca, folder: Path, *, seed: int) -> _Decoded:
    import open_clip
    from PIL import Image

    plain: Any = open_clip.create_model(f"local-dir:{folder}").eval()
    captions = random_captions(seed=seed)
    side = model.image_transform(Image.new("RGB", (8, 8))).shape[-1]
    pictures = itertools.cycle(random_pictures(side, seed=seed))
    images = torch.stack([model.image_transform(next(pictures)) for _ in captions])
    token_ids = model.tokenizer(captions)
    theirs = plain(model.normalised(images).cpu(), token_ids, output_labels=False)["logits"]
    return _Decoded(model.caption_logits(images, captions).cpu(), theirs)
