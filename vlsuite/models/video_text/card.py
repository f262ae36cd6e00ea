"""README.md of an exported model of videos."""

from collections.abc import Mapping
from typing import Any

from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.video_text.folder import IMAGE_TEXT


def video_card(
    built: BuiltModel, described: Mapping[str, Any], *, name: str, family: str, how: str
) -> str:
    """Text of the card.

    Args:
        built: the model as it was built.
        described: the family's settings.
        name: title.
        family: by its registered name.
        how: clips become an embedding, in half a sentence.
    """
    height, width = built.preprocess["size"]
    frames = str(described["frames"][-1]).partition("x")[0]
    return f"""\
---
library_name: vlsuite
pipeline_tag: video-classification
tags: ["vlsuite", "{family.replace("_", "-")}", "text-to-video-retrieval"]
---

# {name}

A model of videos, images ({height} x {width} px) and texts: {how}; trained with
{", ".join(described["frames"])} frames (stages as FRAMESxSAMPLES).

```python
from vlsuite import load_model

model = load_model("FOLDER")
model.embed_clips(clips)  # uint8, clips x {frames} frames x 3 x height x width
model.embed_texts(["a dog runs to the left"])
```

`{IMAGE_TEXT}/` is what it knows of single images, as a folder of open_clip.
"""
