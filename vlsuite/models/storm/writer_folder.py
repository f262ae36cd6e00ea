"""A trained STORM with a language model as one folder that needs nothing else.

``storm_config.json``; ``storm.safetensors``, the projector and the temporal layers;
``image_text/``, the image tower as a folder of open_clip (its text tower as it was loaded);
``language_model/``, as transformers writes one. Nothing is unpickled.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from vlsuite.export.new_file import write_card, write_json, write_weights
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.open_clip_folder import write_open_clip_folder
from vlsuite.models.language.causal_lm import LanguageModel
from vlsuite.models.language.folder import write_language_model
from vlsuite.models.video_text.folder import CARD, FORMAT, IMAGE_TEXT, description_of, weights_of

LANGUAGE_MODEL = "language_model"
#: Marks of the language model's weights in parameter names.
LANGUAGE_PREFIX = "language_model."


def write_writer_folder(
    folder: Path,
    weights: Mapping[str, Tensor],
    *,
    base: BuiltModel,
    language: LanguageModel,
    described: Mapping[str, Any],
    image_names: Mapping[str, str],
    name: str,
) -> None:
    """Write all parts; files of those names are replaced, the description last.

    Args:
        weights: fp32, by name in the encoder.
        base: the dual encoder that the image tower was taken from.
        language: the language model as it was built.
        described: the family's settings.
        image_names: name in the dual encoder, by name in the encoder.
        name: title of the card.
    Raises:
        ModelError: the tokenizer of the dual encoder is not at hand.
        RunFolderError: the folder cannot be written.
    """
    family = "storm"
    image = {image_names[key]: value for key, value in weights.items() if key in image_names}
    texts = {f"text.{key}": value for key, value in base.encoder.text.state_dict().items()}
    words = {
        key.removeprefix(LANGUAGE_PREFIX): value
        for key, value in weights.items()
        if key.startswith(LANGUAGE_PREFIX)
    }
    own = {
        key: value
        for key, value in weights.items()
        if key not in image_names and not key.startswith(LANGUAGE_PREFIX)
    }
    write_open_clip_folder(
        folder / IMAGE_TEXT,
        base,
        image | texts,
        logit_scale=base.logit_scale or 1.0,
        logit_bias=base.logit_bias,
    )
    write_language_model(folder / LANGUAGE_MODEL, language, words)
    write_weights(folder / weights_of(family), own)
    write_card(folder / CARD, _card(base, described, name))
    told = {**described, "language_model": LANGUAGE_MODEL}
    write_json(folder / description_of(family), {"format": FORMAT, "model": told})


def _card(base: BuiltModel, described: Mapping[str, Any], name: str) -> str:
    height, width = base.preprocess["size"]
    frames = str(described["frames"][-1]).partition("x")[0]
    learned = "trained too" if described["train_language_model"] else "frozen"
    return f"""\
---
library_name: vlsuite
pipeline_tag: video-text-to-text
tags: ["vlsuite", "storm"]
---

# {name}

Answers questions about videos and pictures ({height} x {width} px) and describes them: tokens of
the frames, {described["layers"]} temporal layers, then the language model in `{LANGUAGE_MODEL}/`
({learned}); trained with {", ".join(described["frames"])} frames (stages as FRAMESxSAMPLES).

```python
from vlsuite import load_model

model = load_model("FOLDER")
model.answer_clips(clips, ["Question: what happens?"], max_tokens=20)  # uint8, clips x {frames} x 3
model.caption_clips(clips, max_tokens=30)
```
"""
