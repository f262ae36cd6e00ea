"""Questions in OmniBench's form about stamps of the test half, each needing a known modality.

Four kinds: "image" asks what the picture shows (a recording of something else plays), "audio" what
is said, "sound" what is heard (a picture of something else is shown), "both" has the four
combinations of two pictures and two recordings for options, so that one modality alone leaves two
of them. Options are English, the spoken name is French. Distractors, unrelated media and the order
of options are seeded; every place is right equally often within a kind.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.support.stamps_samples import Stamp
from benchmarks.support.stamps_training import two_part

KINDS = ("image", "audio", "sound", "both")

#: Which modality a kind needs.
NEEDS = {"image": "image", "audio": "audio", "sound": "audio", "both": "both"}

_JSONL = "stamps_questions.jsonl"
_KINDS_FILE = "kinds.json"

_TASKS = (
    ("symbols/math", "Count and Quantity"),
    ("symbols/numbers", "Count and Quantity"),
    ("symbols", "Text and Symbols"),
    ("people", "Identity and Relationship"),
    ("sports", "Action and Activity"),
    ("vehicles", "Action and Activity"),
    ("town", "Contextual and Environmental"),
    ("seasonal", "Contextual and Environmental"),
    ("space", "Contextual and Environmental"),
    ("weather", "Contextual and Environmental"),
)

_ASKED = {
    "image": "Which of these does the picture show?",
    "audio": "What is said in the recording?",
    "sound": "What is heard in the recording?",
    "both": "What is in the picture and in the recording?",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class StampQuestion:
    """One question before it is written.

    Attributes:
        kind: one of ``KINDS``.
        picture: whose picture is shown.
        recording: whose recording is played.
        options: texts, and ``answer`` the number of the right one.
    """

    kind: str
    picture: Stamp
    recording: Stamp
    options: tuple[str, ...]
    answer: int

    @property
    def record(self) -> dict[str, Any]:
        """As OmniBench stores it, without index and paths."""
        stamp = self.recording if self.kind in ("audio", "sound") else self.picture
        is_sound = self.kind == "sound"
        return {
            "task type": _task_type(self.kind, stamp),
            "audio type": _audio_type(self.kind, self.recording),
            "question": _ASKED[self.kind],
            "options": list(self.options),
            "answer": self.options[self.answer],
            "audio content": self.recording.english if is_sound else self.recording.french,
            "image content": self.picture.english,
        }

    @property
    def audio(self) -> bytes:
        """The recording: of the sound itself, or of the name."""
        data = self.recording.sound if self.kind == "sound" else self.recording.speech
        assert data is not None
        return data


def make_questions(test: Sequence[Sequence[Stamp]], *, seed: int) -> list[StampQuestion]:
    """All questions about the groups of the test half; one stamp a group takes part."""
    rng = random.Random(f"{seed}/questions")
    chosen = [group[0] for group in test]
    speaking = [stamp for stamp in chosen if stamp.speech is not None]
    heard = [_sounding(group) for group in test if any(stamp.sound for stamp in group)]
    return [
        *_about_one("image", chosen, chosen, speaking, rng),
        *_about_one("audio", speaking, speaking, chosen, rng),
        *_about_one("sound", heard, heard, chosen, rng),
        *_about_both(chosen, speaking, rng),
    ]


def _sounding(group: Sequence[Stamp]) -> Stamp:
    """The first stamp of a group, with the first sound that any of them has."""
    return replace(group[0], sound=next(stamp.sound for stamp in group if stamp.sound))


def _about_one(
    kind: str,
    asked: Sequence[Stamp],
    pool: Sequence[Stamp],
    others: Sequence[Stamp],
    rng: random.Random,
) -> Iterator[StampQuestion]:
    """One question a stamp; the other modality is of a stamp that is no option."""
    places = _places(len(asked), rng)
    for stamp, place in zip(asked, places, strict=True):
        wrong = rng.sample([other for other in pool if other is not stamp], 3)
        taken = {option.uid for option in (stamp, *wrong)}
        unrelated = rng.choice([other for other in others if other.uid not in taken])
        options = [other.english for other in wrong]
        options.insert(place, stamp.english)
        shown, played = (stamp, unrelated) if kind == "image" else (unrelated, stamp)
        yield StampQuestion(
            kind=kind, picture=shown, recording=played, options=tuple(options), answer=place
        )


def _about_both(
    chosen: Sequence[Stamp], speaking: Sequence[Stamp], rng: random.Random
) -> Iterator[StampQuestion]:
    places = _places(len(chosen), rng)
    for stamp, place in zip(chosen, places, strict=True):
        other = rng.choice([s for s in chosen if s is not stamp])
        said, unsaid = rng.sample([s for s in speaking if s not in (stamp, other)], 2)
        wrong = [(stamp, unsaid), (other, said), (other, unsaid)]
        rng.shuffle(wrong)
        pairs = [*wrong[:place], (stamp, said), *wrong[place:]]
        yield StampQuestion(
            kind="both",
            picture=stamp,
            recording=said,
            options=tuple(two_part(p.english, r.english) for p, r in pairs),
            answer=place,
        )


def _places(count: int, rng: random.Random) -> list[int]:
    """Places of the right options, each as often as the others, in random order."""
    places = [i % 4 for i in range(count)]
    rng.shuffle(places)
    return places


def write_questions(questions: Sequence[StampQuestion], folder: Path) -> None:
    """OmniBench's GitHub form: dataset/*.jsonl, mm_data/image and mm_data/audio; and the kinds."""
    for part in ("dataset", "mm_data/image", "mm_data/audio"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    lines = []
    for index, question in enumerate(questions):
        image = _stored(
            folder / "mm_data/image", question.picture.uid, ".png", question.picture.picture
        )
        kind = "sound" if question.kind == "sound" else "speech"
        audio = _stored(
            folder / "mm_data/audio", f"{question.recording.uid}-{kind}", ".ogg", question.audio
        )
        record = {
            "index": index, **question.record, "audio_path": audio, "image_path": image,
        }  # fmt: skip
        lines.append(json.dumps(record, ensure_ascii=False))
    (folder / "dataset" / _JSONL).write_text("\n".join(lines) + "\n", encoding="utf-8")
    kinds = {str(index): question.kind for index, question in enumerate(questions)}
    (folder / _KINDS_FILE).write_text(json.dumps(kinds) + "\n", encoding="utf-8")


def read_kinds(folder: Path) -> dict[int, str]:
    """Kind of each question by its index."""
    stored = json.loads((folder / _KINDS_FILE).read_text(encoding="utf-8"))
    return {int(index): kind for index, kind in stored.items()}


def _stored(folder: Path, uid: str, suffix: str, data: bytes) -> str:
    name = uid.replace("/", "_") + suffix
    (folder / name).write_bytes(data)
    return name


def _task_type(kind: str, stamp: Stamp) -> str:
    if kind == "both":
        return "Plot Inference"
    if kind == "audio":
        return "Story Description"
    for start, task in _TASKS:
        if stamp.category.startswith(start):
            return task
    return "Object Identification and Description"


def _audio_type(kind: str, recording: Stamp) -> str:
    if kind != "sound":
        return "speech"
    return "music" if "music" in recording.category else "sound event"
