"""Replies of servers: endless, packed, of wrong sizes, or with headers that terminals obey."""

import json

from benchmarks.hostile_inputs.media import wave_file
from benchmarks.hostile_inputs.place import PASSWORD, Hostile, Place, add_many, write
from benchmarks.hostile_inputs.texts import picture
from benchmarks.support.hostile_server import REPLIES


def _asked(name: str) -> Hostile:
    def make(place: Place) -> list[str]:
        question = {
            "index": 0, "task type": "Action", "audio type": "speech", "question": "what?",
            "answer": "a", "options": ["a", "b"], "image_path": "a.png", "audio_path": "a.wav",
            "audio content": "x", "image content": "y",
        }  # fmt: skip
        write(place.inputs / "dataset" / "q.jsonl", json.dumps(question) + "\n")
        write(place.inputs / "mm_data" / "image" / "a.png", picture())
        write(place.inputs / "mm_data" / "audio" / "a.wav", wave_file())
        place.more["HOSTILE_KEY"] = PASSWORD
        return [
            "omnibench", "run", str(place.inputs), "--model", f"{place.server}/{name}/v1#m",
            "--key-env", "HOSTILE_KEY", "--out", str(place.target), "--tries", "1",
            "--timeout", "6", "--setting", "image_audio", "--no-cache",
        ]  # fmt: skip

    return make


def _shard(path: str) -> Hostile:
    def make(place: Place) -> list[str]:
        return [
            "train", "emoji", "--out", str(place.target), "--set", "model.name=vlsuite-micro-32",
            "--set", f"data.train={place.server}/{path}", "--set", "duration=1steps",
            "--set", "global_batch_size=8", "--set", "data.num_workers=0", "--set", "threads=1",
        ]  # fmt: skip

    return make


add_many("replies", {name: _asked(name) for name in REPLIES})
add_many(
    "remote shards",
    {
        "size_negative": _shard("sizes/-5/a.tar"),
        "size_huge": _shard("sizes/99999999999999999999999/a.tar"),
        "size_larger_than_body": _shard("sizes/900000000000/a.tar"),
        "size_no_number": _shard("sizes/many/a.tar"),
        "endless": _shard("endless/a.tar"),
        "redirect": _shard("redirect/a.tar"),
    },
)
