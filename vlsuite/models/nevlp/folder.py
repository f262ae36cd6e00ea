"""A NEVLP model as one folder that needs nothing else: see ``vlsuite.models.nevlp.built``."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from vlsuite.batches.concepts import write_concepts
from vlsuite.export.new_file import write_card, write_json, write_weights
from vlsuite.models.dual_encoder.open_clip_folder import write_open_clip_folder
from vlsuite.models.language.causal_lm import LanguageModel
from vlsuite.models.language.folder import write_language_model
from vlsuite.models.nevlp.built import (
    CONCEPTS,
    DESCRIPTION,
    IMAGE_TOWER,
    LANGUAGE_MODEL,
    WEIGHTS,
    BuiltNevlp,
    described,
    frozen_part,
    trained_part,
)


def write_nevlp_folder(
    folder: Path, built: BuiltNevlp, weights: Mapping[str, Tensor], *, logit_scale: float
) -> None:
    """Write the trained part and copies of the frozen ones; files of those names are replaced.

    The description is written last: without it the folder is no model.

    Args:
        built: the model as it was built (of its weights, those that stand in ``weights`` under
            another name are not used).
        weights: fp32, by name in the encoder.
        logit_scale: the multiplier itself.
    Raises:
        ModelError: the image tower's tokenizer is not at hand.
        RunFolderError: the folder cannot be written.
    """
    tower = built.image_tower
    write_weights(folder / WEIGHTS, trained_part(weights))
    write_open_clip_folder(
        folder / IMAGE_TOWER,
        tower,
        frozen_part(weights, "image_tower"),
        logit_scale=tower.logit_scale or 1.0,
        logit_bias=tower.logit_bias,
    )
    write_language_model(
        folder / LANGUAGE_MODEL,
        LanguageModel(built.encoder.language_model, built.encoder.texts),
        frozen_part(weights, "language_model"),
    )
    if built.tagger is not None:
        write_concepts(folder / CONCEPTS, built.tagger, ())
    write_json(folder / DESCRIPTION, described(built.config, logit_scale=logit_scale))
    write_card(folder / "README.md", _card(built))


def _card(built: BuiltNevlp) -> str:
    config = built.config
    height, width = built.preprocess["size"]
    concepts = (
        f"It names {len(built.tagger.concepts)} concepts in pictures by itself."
        if built.tagger
        else "It is shown pictures without concepts."
    )
    return f"""\
---
tags: ["vlsuite", "nevlp", "image-to-text"]
---

# A NEVLP model

A querying transformer ({config.querying.num_queries} queries, {config.querying.depth} layers of
width {config.querying.width}) between a frozen image tower
('{config.image_tower.name}', {height} x {width} px) and a frozen language model
('{Path(config.language_model).name}'). {concepts} The folder holds copies of the frozen parts.

```python
from vlsuite import load_model

model = load_model("FOLDER")  # embeds, matches (match_tokens), captions and answers
```
"""
