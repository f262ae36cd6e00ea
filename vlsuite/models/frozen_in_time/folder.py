"""A model of videos and texts as one folder.

``frozen_in_time_config.json``, the weights that image towers have none of in
``frozen_in_time.safetensors``, and ``image_text/``: the text tower and all else of the image tower
as a folder that plain open_clip loads, which is the same model blind to time.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from vlsuite.export.new_file import write_json, write_text, write_weights
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.open_clip_folder import write_open_clip_folder

DESCRIPTION = "frozen_in_time_config.json"
WEIGHTS = "frozen_in_time.safetensors"
IMAGE_TEXT = "image_text"
CARD = "README.md"
FORMAT = 1


def write_video_folder(
    folder: Path,
    built: BuiltModel,
    weights: Mapping[str, Tensor],
    *,
    described: Mapping[str, Any],
    image_names: Mapping[str, str],
    scalars: Mapping[str, float],
    name: str,
) -> None:
    """Write all parts; files of those names are replaced, the description last.

    Args:
        built: the model as it was built (its weights are not used).
        weights: fp32, by name in the encoder.
        described: the family's settings.
        image_names: name in the dual encoder that it started from, by name in the encoder.
        scalars: logit_scale, and logit_bias where there is one.
        name: title of the card.
    Raises:
        ModelError: the tokenizer is not at hand.
        RunFolderError: the folder cannot be written.
    """
    own = {key: value for key, value in weights.items() if key not in image_names}
    shared = {image_names[key]: value for key, value in weights.items() if key in image_names}
    write_open_clip_folder(
        folder / IMAGE_TEXT,
        built,
        shared,
        logit_scale=scalars["logit_scale"],
        logit_bias=scalars.get("logit_bias") or None,
    )
    write_weights(folder / WEIGHTS, own)
    write_text(folder / CARD, _card(built, described, name))
    write_json(folder / DESCRIPTION, {"format": FORMAT, "model": dict(described)})


def _card(built: BuiltModel, described: Mapping[str, Any], name: str) -> str:
    height, width = built.preprocess["size"]
    how = {
        "divided": "divided attention over time and space in every block",
        "mean": "the mean of its frames' embeddings, blind to their order",
    }[described["over_time"]]
    return f"""\
---
library_name: vlsuite
pipeline_tag: video-classification
tags: ["vlsuite", "frozen-in-time", "text-to-video-retrieval"]
---

# {name}

A model of videos, images ({height} x {width} px) and texts: {how}; trained with
{", ".join(described["frames"])} frames (stages as FRAMESxSAMPLES).

```python
from vlsuite import load_model

model = load_model("FOLDER")
model.embed_clips(clips)  # uint8, clips x {built_frames(described)} frames x 3 x height x width
model.embed_texts(["a dog runs to the left"])
```

`{IMAGE_TEXT}/` is what it knows of single images, as a folder of open_clip.
"""


def built_frames(described: Mapping[str, Any]) -> str:
    """Frames of a clip that training ended with."""
    return str(described["frames"][-1]).partition("x")[0]
