"""Questions about videos as they are distributed: Vinoground, TempCompass, TOMATO, MVBench.

- Vinoground: ``vinoground.csv`` (a number, major and minor kinds, pos_cap, neg_cap); the videos are
  N_pos.mp4 and N_neg.mp4. Pairs.
- TempCompass: ``multi-choice.json``, ``caption_matching.json``: {video: {kind: [{"question",
  "answer"}]}}, the options being lines of the question ("A. ...", "Option 1: ..."). ``yes_no.json``
  has answers "yes" and "no", which a similarity cannot give. ``captioning.json`` is refused: its
  published protocol has a paid model judge the captions.
- TOMATO: ``data/KIND.json``: {number: {"question", "options", "answer" (a number), "key",
  "demonstration_type"}}; the videos are ``videos/DEMONSTRATION_TYPE/KEY.mp4``.
- MVBench: ``json/KIND.json``: [{"video", "question", "candidates", "answer", "start", "end"}]; any
  file of such records is read so.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eval.errors import EvaluationError
from eval.video.asked import YES_NO, Asked, found_questions, items, listed, options_of, seconds_of
from eval.video.caption_lists import csv_rows, json_of
from eval.video.clip_set import ClipSet, EvalClip, PairQuestion
from eval.video.video_files import ListPlace, VideoFiles

_OPTION = re.compile(r"\s*(?:\(?[A-Z][.)]|(?:Option|Caption|Sentence) [A-Z0-9]+:)\s*(.+)")


def read_vinoground(place: ListPlace) -> ClipSet:
    """See the module.

    Raises:
        EvaluationError: the table cannot be read.
    """
    rows = csv_rows(place.file)
    if not rows or not {"pos_cap", "neg_cap"} <= set(rows[0]):
        raise EvaluationError(f"{place.file} lacks the columns pos_cap and neg_cap")
    files, clips, pairs = VideoFiles(place.videos), [], []
    left_out: Counter[str] = Counter()
    for number, row in enumerate(rows):
        values = list(row.values())
        own = values[0].strip() if values[0].strip().isdigit() else str(number)
        videos = [files.find(f"{own}_{which}") for which in ("pos", "neg")]
        texts = (row["pos_cap"].strip(), row["neg_cap"].strip())
        if None in videos or not all(texts):
            left_out["pair without its videos or captions"] += 1
            continue
        kinds = tuple(
            dict.fromkeys(
                kind.strip()
                for value in (row.get("major", values[1]), row.get("minor", values[2]))
                for kind in value.split(";")
                if kind.strip() and kind.strip() not in texts
            )
        )
        pairs.append(PairQuestion(kinds, (len(clips), len(clips) + 1), texts))
        for which, video, text in zip(("pos", "neg"), videos, texts, strict=True):
            assert video is not None
            clips.append(EvalClip(f"{own}_{which}", video, (text,), None, own))
    return ClipSet(name="vinoground", clips=tuple(clips), pairs=tuple(pairs), left_out=left_out)


def read_tempcompass(place: ListPlace) -> ClipSet:
    """See the module.

    Raises:
        EvaluationError: the file cannot be read, or its questions have no options.
    """
    if place.file.stem == "captioning":
        raise EvaluationError(
            "captioning.json asks for captions, which only a paid model judges as published; give "
            "multi-choice.json, caption_matching.json or yes_no.json"
        )
    data = json_of(place.file)
    if not isinstance(data, dict):
        raise EvaluationError(f"{place.file} is no file of TempCompass: not an object")
    read = _of_yes_no if place.file.stem == "yes_no" else _with_lines
    asked = [
        read(str(video), str(kind), one)
        for video, kinds in data.items()
        for kind, questions in items(kinds)
        for one in listed(questions)
    ]
    return found_questions("tempcompass", place.file.stem, asked, place)


def read_tomato(places: Iterable[Path], videos: Path) -> ClipSet:
    """See the module.

    Args:
        places: the files of questions, one a kind.
        videos: folder above the videos.
    Raises:
        EvaluationError: a file cannot be read.
    """
    asked: list[Asked | None] = []
    files = list(places)
    for file in files:
        for _, one in items(json_of(file)):
            asked.append(_of_tomato(one, file.stem))
    return found_questions("tomato", "all", asked, ListPlace(files[0], videos))


def read_mvbench(places: Iterable[Path], videos: Path) -> ClipSet:
    """See the module.

    Args:
        places: the files of questions, one a kind.
        videos: folder above the videos.
    Raises:
        EvaluationError: a file cannot be read.
    """
    asked: list[Asked | None] = []
    files = list(places)
    for file in files:
        asked += [_of_mvbench(one, file.stem) for one in listed(json_of(file))]
    split = files[0].stem if len(files) == 1 else "all"
    return found_questions("mvbench", split, asked, ListPlace(files[0], videos))


def _with_lines(video: str, kind: str, one: Any) -> Asked | None:
    """A question whose options are lines of its own."""
    if not isinstance(one, dict):
        return None
    lines = str(one.get("question", "")).splitlines()
    options = [(line.strip(), match[1]) for line in lines if (match := _OPTION.fullmatch(line))]
    answer = str(one.get("answer", "")).strip()
    right = [i for i, option in enumerate(options) if answer in option]
    if len(options) < 2 or len(right) != 1:
        return None
    question = " ".join(line.strip() for line in lines if not _OPTION.fullmatch(line))
    return Asked(video, kind, question, tuple(text for _, text in options), right[0])


def _of_yes_no(video: str, kind: str, one: Any) -> Asked | None:
    """A question whose answer is the number of "yes" or "no" in ``YES_NO``."""
    if not isinstance(one, dict) or not str(one.get("question", "")).strip():
        return None
    answer = str(one.get("answer", "")).strip().strip(".").lower()
    if answer not in YES_NO:
        return None
    question = " ".join(str(one["question"]).split())
    return Asked(video, kind, question, YES_NO, YES_NO.index(answer))


def _of_tomato(one: Any, kind: str) -> Asked | None:
    if not isinstance(one, dict):
        return None
    options, answer = options_of(one.get("options")), one.get("answer")
    if not isinstance(answer, int) or isinstance(answer, bool):
        return None
    if len(options) < 2 or answer not in range(len(options)):
        return None
    folder = str(one.get("demonstration_type", ""))
    video = f"videos/{folder}/{one.get('key')}.mp4"
    return Asked(video, kind, str(one.get("question", "")), options, answer)


def _of_mvbench(one: Any, kind: str) -> Asked | None:
    if not isinstance(one, dict):
        return None
    options, answer = options_of(one.get("candidates")), str(one.get("answer", ""))
    if len(options) < 2 or options.count(answer) != 1:
        return None
    start, end = seconds_of(one.get("start")), seconds_of(one.get("end"))
    span = None if start is None or (end is not None and end <= start) else (start, end)
    question = str(one.get("question", ""))
    return Asked(str(one.get("video", "")), kind, question, options, options.index(answer), span)
