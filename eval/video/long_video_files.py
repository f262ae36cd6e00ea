"""Questions about long videos as they are distributed: MLVU, LongVideoBench, Video-MME.

- MLVU: ``json/1_plotQA.json`` to ``7_topic_reasoning.json``, [{"video", "duration", "question",
  "candidates", "answer", "question_type"}]; of the test set ``test-ground-truth/test_mcq_gt.json``.
  The videos lie in ``video/1_plotQA`` and so on. What asks for sentences (``8_sub_scene.json``,
  ``9_summary.json``) is refused. The groups by length are ours: the set has none.
- LongVideoBench: ``lvb_val.json``, [{"video_path", "question", "candidates", "correct_choice",
  "duration", "duration_group", "question_category"}], or its Parquet file (option0 to option4,
  "N/A" for none). Frames are of the first "duration" seconds, as in its own loader.
- Video-MME: ``videomme/test-00000-of-00001.parquet`` (videoID, duration "short", "medium" or
  "long", task_type, question, options "A. ...", answer "A"), or JSON: such records, or one a video
  with its "questions".

Where a set has subtitles, they are not shown: results say so.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from data_pipelines.errors import DataError
from data_pipelines.skips import Skips
from data_pipelines.table_rows import TableColumns, WantedColumn
from eval.errors import EvaluationError
from eval.video.asked import Asked, found_questions, listed, options_of, seconds_of
from eval.video.caption_lists import json_of
from eval.video.clip_set import ClipSet
from eval.video.video_files import ListPlace

_SUBTITLES = {"subtitles": "not shown"}
_LETTER = re.compile(r"\s*\(?([A-Z])[.):]\s*")
_NONE = "N/A"

#: Seconds and words; Wu et al. 2024, LongVideoBench, arXiv 2407.15754, section 3.1.
_LVB_GROUPS = {15: "8 to 15 s", 60: "15 to 60 s", 600: "3 to 10 min", 3600: "15 to 60 min"}
_MLVU_GROUPS = ((600.0, "up to 10 min"), (3600.0, "10 to 60 min"))
_MLVU_LONGEST = "over 60 min"

_COLUMNS = (
    *("video", "video_name", "question_type", "candidates"),
    *("video_path", "correct_choice", "duration_group", "question_category"),
    *("option0", "option1", "option2", "option3", "option4"),
    *("video_id", "videoID", "url", "task_type", "options"),
    *("question", "answer", "duration"),
)


def read_mlvu(places: Iterable[Path], videos: Path) -> ClipSet:
    """See the module.

    Args:
        places: the files of questions, one a kind.
        videos: folder above the videos.
    Raises:
        EvaluationError: a file cannot be read, or has no options or no answers.
    """
    asked: list[Asked | None] = []
    files = list(places)
    for file in files:
        records = records_of(file)
        if records and not any("candidates" in one for one in records):
            raise EvaluationError(
                f"{file.name} asks for sentences, which no similarity chooses; give the files with "
                "candidates (1_plotQA.json to 7_topic_reasoning.json)"
            )
        _refuse_unanswered(file, records, "answer", "test-ground-truth/test_mcq_gt.json")
        asked += [_of_mlvu(one, file.stem) for one in records]
    is_test = any(file.name.startswith("test_") for file in files)
    split = "test" if is_test else files[0].stem if len(files) == 1 else "dev"
    return found_questions("mlvu", split, asked, ListPlace(files[0], videos))


def read_longvideobench(place: ListPlace) -> ClipSet:
    """See the module.

    Raises:
        EvaluationError: the file cannot be read, or has no answers.
    """
    records = records_of(place.file)
    _refuse_unanswered(place.file, records, "correct_choice", "lvb_val.json")
    asked = [_of_longvideobench(one) for one in records]
    return found_questions("longvideobench", "val", asked, place, remarks=_SUBTITLES)


def read_videomme(place: ListPlace) -> ClipSet:
    """See the module.

    Raises:
        EvaluationError: the file cannot be read.
    """
    asked = [_of_videomme(one) for one in records_of(place.file)]
    return found_questions("videomme", "test", asked, place, remarks=_SUBTITLES)


def records_of(file: Path) -> list[dict[str, Any]]:
    """Questions as objects, one each, of JSON or Parquet; what is none is an empty object.

    Raises:
        EvaluationError: the file cannot be read.
    """
    if file.suffix.lower() == ".parquet":
        return list(_rows(file))
    found: list[dict[str, Any]] = []
    for one in listed(json_of(file)):
        own = one if isinstance(one, dict) else {}
        inner = own.get("questions")
        if isinstance(inner, list):
            found += [own | question if isinstance(question, dict) else {} for question in inner]
        else:
            found.append(own)
    return found


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    columns = tuple(WantedColumn(name, "", may_be_missing=True) for name in _COLUMNS)
    try:
        for row in TableColumns(table=file, wanted=columns).rows(Skips()):
            values = zip(_COLUMNS, row.cells, strict=True)
            yield {name: value for name, value in values if value is not None}
    except DataError as error:
        raise EvaluationError(str(error)) from error


def _refuse_unanswered(file: Path, records: list[dict[str, Any]], field: str, instead: str) -> None:
    if records and not any(field in one for one in records):
        raise EvaluationError(
            f"{file.name} has no answers ('{field}'), so nothing can be scored; give {instead}"
        )


def _of_mlvu(one: dict[str, Any], kind: str) -> Asked | None:
    options, answer = options_of(one.get("candidates")), str(one.get("answer", ""))
    if options.count(answer) == 1:
        right = options.index(answer)
    elif "video_name" in one and (place := _place_of(answer, len(options))) is not None:
        right = place
    else:
        return None
    if len(options) < 2:
        return None
    return Asked(
        str(one.get("video") or one.get("video_name") or ""),
        str(one.get("question_type") or one.get("task_type") or kind),
        # The rows of the hub repeat the options below the question.
        str(one.get("question", "")).split("\n", 1)[0].strip(),
        options,
        right,
        None,
        _mlvu_group(seconds_of(one.get("duration"))),
    )


def _of_longvideobench(one: dict[str, Any]) -> Asked | None:
    options = options_of(one.get("candidates"))
    if not options:
        texts = [one.get(f"option{i}") for i in range(5)]
        options = options_of([text for text in texts if text != _NONE])
    right = one.get("correct_choice")
    if not isinstance(right, int) or isinstance(right, bool):
        return None
    if len(options) < 2 or right not in range(len(options)):
        return None
    length, group = seconds_of(one.get("duration")), one.get("duration_group")
    known = int(group) if isinstance(group, int | float) else 0
    return Asked(
        str(one.get("video_path") or one.get("video_id") or ""),
        str(one.get("question_category", "")),
        str(one.get("question", "")).strip(),
        options,
        right,
        (0.0, length) if length else None,
        _LVB_GROUPS.get(known, f"up to {known} s" if known else ""),
    )


def _of_videomme(one: dict[str, Any]) -> Asked | None:
    options = tuple(_LETTER.sub("", text, count=1) for text in options_of(one.get("options")))
    right = _place_of(str(one.get("answer", "")), len(options))
    if len(options) < 2 or right is None or not all(options):
        return None
    return Asked(
        str(one.get("videoID") or one.get("video_id") or ""),
        str(one.get("task_type", "")),
        str(one.get("question", "")).strip(),
        options,
        right,
        None,
        str(one.get("duration", "")),
    )


def _place_of(answer: str, count: int) -> int | None:
    """Number of the option that a letter ("B", "(B)", "B.") names; None where none is."""
    letter = answer.strip().strip("().:")
    place = ord(letter) - ord("A") if len(letter) == 1 else -1
    return place if place in range(count) else None


def _mlvu_group(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return next((words for most, words in _MLVU_GROUPS if seconds <= most), _MLVU_LONGEST)
