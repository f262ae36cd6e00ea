"""Small question sets in OmniBench's two forms, whose every text and medium is recognisable.

Each picture has its own colours and each sound its own frequencies, so that what reaches a model
can be told from bytes or tensors alone. Transcripts, captions and questions hold words that occur
nowhere else.
"""

import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np

TASK_TYPES = (
    "Action and Activity",
    "Plot Inference",
    "Story Description",
    "Object Identification and Description",
    "Contextual and Environmental",
    "Identity and Relationship",
    "Text and Symbols",
    "Count and Quantity",
)
AUDIO_TYPES = ("speech", "sound event", "music")


def records(num_questions: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Records of the published columns; media names without the media."""
    rng = random.Random(f"omni questions {seed}")
    found = []
    for index in range(num_questions):
        options = [f"A thing called {word}{index}" for word in ("norb", "velt", "quim", "sarp")]
        suffix = ("mp3", "wav")[index % 2]
        found.append(
            {
                "index": index,
                "task type": TASK_TYPES[index % len(TASK_TYPES)],
                "audio type": AUDIO_TYPES[index % len(AUDIO_TYPES)],
                "question": f"Which thing is meant in case {index}?",
                "options": options,
                "answer": rng.choice(options),
                "audio content": f"heardword{index}",
                "image content": f"seenword{index}",
                "audio_path": f"{index}-013.mp4.{suffix}.{suffix}",
                "image_path": f"{index}.{('png', 'jpg')[index % 2]}",
            }
        )
    return found


def picture(index: int, *, side: int = 56) -> bytes:
    """PNG (even) or JPEG (odd) of seeded coarse noise."""
    from PIL import Image

    noise = np.random.default_rng(index).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((side, side), Image.Resampling.NEAREST)
    out = io.BytesIO()
    image.save(out, "JPEG" if index % 2 else "PNG")
    return out.getvalue()


def sound(index: int, *, seconds: float = 0.5, form: str | None = None) -> bytes:
    """A chord of seeded frequencies at 16 kHz, as mp3 (even), wav (odd) or in another form."""
    import soundfile

    rng = np.random.default_rng(index)
    times = np.arange(int(16_000 * seconds)) / 16_000
    tones = np.sin(2 * np.pi * np.outer(rng.uniform(200, 4000, 3), times)).mean(axis=0)
    out = io.BytesIO()
    kind = form or ("WAV" if index % 2 else "MP3")
    soundfile.write(out, (0.5 * tones).astype(np.float32), 16_000, format=kind)
    return out.getvalue()


def write_github_form(folder: Path, num_questions: int, *, seed: int = 0) -> Path:
    """``dataset/questions.jsonl`` with ``mm_data``; returns the folder."""
    found = records(num_questions, seed=seed)
    for part in ("dataset", "mm_data/image", "mm_data/audio"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(record) for record in found]
    (folder / "dataset" / "questions.jsonl").write_text("\n".join(lines) + "\n")
    for record in found:
        index = record["index"]
        (folder / "mm_data" / "image" / record["image_path"]).write_bytes(picture(index))
        (folder / "mm_data" / "audio" / record["audio_path"]).write_bytes(sound(index))
    return folder


def write_hub_form(path: Path, num_questions: int, *, seed: int = 0) -> Path:
    """One Parquet file as on the hub, with the media inside; returns the file."""
    import pyarrow
    from pyarrow import parquet

    rows = []
    for record in records(num_questions, seed=seed):
        index = record["index"]
        image = {"bytes": picture(index), "path": record["image_path"]}
        audio = {"bytes": sound(index), "path": record["audio_path"]}
        rows.append({**record, "image": image, "audio": audio})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=5)
    return path
