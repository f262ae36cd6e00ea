"""A detector as one TorchScript file with its names folded in, shown to find what it finds."""

from pathlib import Path

import torch

from vlsuite.errors import ModelError, RunFolderError
from vlsuite.export.form import Exported, Form
from vlsuite.export.new_file import write_card, write_text
from vlsuite.models.vild.fixed_detector import fixed_detector, torchscript_silenced

DETECTOR, NAMES, CARD = "detector.pt", "names.txt", "README.md"

#: Height and width of the pictures that both are shown, and how far their answers may differ.
_SIZES = ((96, 96), (75, 160), (240, 101), (33, 40))
_PIXELS, _SCORE = 1e-3, 1e-5
_MOST = 50


def fixed_form() -> Form:
    """One file, its names and a card."""
    return Form(
        name="torchscript",
        write=_write,
        verify=_verify,
        files=(DETECTOR, NAMES, CARD),
        takes_names=True,
    )


def _write(folder: Path, exported: Exported) -> None:
    names = _names(exported)
    file = folder / DETECTOR
    try:
        folder.mkdir(parents=True, exist_ok=True)
        detector = fixed_detector(exported.built, names)
        with torchscript_silenced():
            torch.jit.save(detector, file)
    except (OSError, RuntimeError) as error:
        raise RunFolderError(
            f"cannot write {file}: {' '.join(str(error).split())[:300]}"
        ) from error
    write_text(folder / NAMES, "\n".join(names) + "\n")
    write_card(folder / CARD, _card(exported, names))


def _verify(folder: Path, exported: Exported) -> list[str]:
    names = _names(exported)
    with torchscript_silenced():
        detector = torch.jit.load(folder / DETECTOR, map_location="cpu")
    farthest, worst, found = 0.0, 0.0, 0
    generator = torch.Generator().manual_seed(0)
    for size in _SIZES:
        picture = torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=generator)
        with torch.no_grad():
            boxes, scores, labels = detector(picture, _MOST)
        (wanted,) = exported.model.detect([picture], names, max_detections=_MOST)
        if len(boxes) != len(wanted.boxes):
            raise ModelError(_other(exported, f"{len(boxes)} detections, not {len(wanted.boxes)}"))
        if not len(boxes):
            continue
        found += len(boxes)
        farthest = max(farthest, float((boxes - wanted.boxes).abs().max()))
        worst = max(worst, float((scores - wanted.scores).abs().max()))
        if not torch.equal(labels, wanted.labels):
            raise ModelError(_other(exported, "other names"))
    if farthest > _PIXELS or worst > _SCORE:
        raise ModelError(_other(exported, f"boxes {farthest:.1e} px, scores {worst:.1e} off"))
    return [
        f"{len(names):,} names folded in; it needs torch and torchvision, no teacher",
        f"loaded again: {found} detections in pictures of {len(_SIZES)} sizes are those of the "
        f"model (boxes within {farthest:.0e} px, scores within {worst:.0e})",
    ]


def _names(exported: Exported) -> tuple[str, ...]:
    return exported.names or exported.built.vocabulary.names


def _other(exported: Exported, difference: str) -> str:
    return (
        f"the file of {exported.model.name} finds something else than the model ({difference}); "
        "nothing was kept. Please report its settings"
    )


def _card(exported: Exported, names: tuple[str, ...]) -> str:
    return f"""\
# {exported.name}, {len(names):,} names

A detector with a fixed vocabulary (names.txt), as TorchScript. It needs torch and torchvision.

```python
import torch
import torchvision

detector = torch.jit.load("{DETECTOR}")
picture = torchvision.io.decode_image("photo.jpg", mode="RGB")  # uint8, 3 x height x width
boxes, scores, labels = detector(picture, 100)  # best first; at most 100
for box, score, label in zip(boxes.tolist(), scores.tolist(), labels.tolist()):
    print(detector.names[label], round(score, 3), box)  # left, top, right, bottom in pixels
```

Boxes only: masks are not part of the file.
"""
