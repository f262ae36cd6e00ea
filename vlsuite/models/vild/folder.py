"""A detector as one folder that needs nothing else: see ``vlsuite.models.vild.built``."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from data_pipelines.detection.vocabulary import VOCABULARY_NAME
from vlsuite.export.new_file import write_card, write_json, write_text, write_weights
from vlsuite.models.dual_encoder.open_clip_folder import write_open_clip_folder
from vlsuite.models.vild.built import (
    DESCRIPTION,
    FORMAT,
    NAMES,
    PROMPTS,
    TEACHER,
    WEIGHTS,
    BuiltVild,
)
from vlsuite.models.vild.prompts import PROMPT_SETS

CARD = "README.md"


def write_vild_folder(
    folder: Path, built: BuiltVild, weights: Mapping[str, Tensor], *, name: str
) -> None:
    """Write network, names and teacher; files of those names are replaced.

    The description is written last: without it the folder is no model.

    Args:
        built: the detector as it was built (of its weights, the teacher's are used).
        weights: of the network, fp32.
        name: title of the card.
    Raises:
        ModelError: the teacher's tokenizer is not at hand.
        RunFolderError: the folder cannot be written.
    """
    write_weights(folder / WEIGHTS, weights)
    write_text(folder / VOCABULARY_NAME, built.vocabulary.vocabulary.to_bytes().decode())
    names = built.vocabulary.names
    teacher = built.teacher
    if teacher is not None:
        write_weights(folder / NAMES, {"class_embeds": teacher.embed_names(names)})
        if built.config.prompts not in PROMPT_SETS:
            write_text(folder / PROMPTS, "\n".join(teacher.prompts) + "\n")
        tower = teacher.built
        write_open_clip_folder(
            folder / TEACHER,
            tower,
            {key: value.cpu() for key, value in tower.encoder.state_dict().items()},
            logit_scale=tower.logit_scale or 1.0,
            logit_bias=tower.logit_bias,
        )
    else:
        write_weights(folder / NAMES, {"class_embeds": torch.zeros(len(names), 1)})
    write_card(folder / CARD, _card(built, name))
    write_json(folder / DESCRIPTION, {"format": FORMAT, "model": built.config.described()})


def _card(built: BuiltVild, name: str) -> str:
    config = built.config
    labelled = int(built.vocabulary.is_labelled.sum())
    taught = f" by '{config.teacher.name}'" if built.teacher is not None else ""
    return f"""\
---
library_name: vlsuite
pipeline_tag: zero-shot-object-detection
tags: ["vlsuite", "vild"]
---

# {name}

A detector (ViLD, mode "{config.mode}"), trained with boxes of {labelled} names and taught{taught};
pictures are resized to {config.picture_size} pixels.

```python
from vlsuite import load_model

model = load_model("FOLDER")
model.detect([picture], ["a red car", "a dog"], max_detections=100)  # uint8, 3 x height x width
```
"""
