"""Lists of captioned videos as they are distributed: MSR-VTT, MSVD, DiDeMo, LSMDC.

- MSR-VTT 1k-A: ``MSRVTT_JSFUSION_test.csv`` (columns video_id, sentence): 1,000 videos, a caption
  each. Any list with these columns is read so.
- MSR-VTT full: ``MSRVTT_data.json`` or ``test_videodatainfo.json``: {"videos": [{"video_id",
  "split"}], "sentences": [{"video_id", "caption"}]}; the videos of the split "test", every caption
  a query.
- MSVD: ``test_list.txt`` (a name a line) beside ``AllVideoDescriptions.txt`` ("NAME caption");
  every caption is a query. The pickled captions that some publish are not read.
- DiDeMo: ``test_data.json``: [{"video", "description"}]; all descriptions of a video in their order
  are one paragraph (paragraph to video).
- LSMDC: ``LSMDC16_challenge_1000_publictect.csv``: tab-separated, no header: name, four times,
  sentence.
"""

import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eval.errors import EvaluationError
from eval.video.clip_set import ClipSet, EvalClip
from eval.video.video_files import ListPlace, VideoFiles

MSVD_CAPTIONS = "AllVideoDescriptions.txt"

_LSMDC_COLUMNS = 6
_CLIP_OF_MSVD = re.compile(r"(.+)_\d+_\d+")
_TIMES_OF_LSMDC = re.compile(r"_\d\d\.\d\d\.\d\d\.\d+-\d\d\.\d\d\.\d\d\.\d+$")


class _Captioned(NamedTuple):
    """Captions by name of the video, in the order of the list."""

    name: str
    split: str
    captions: Mapping[str, Sequence[str]]
    cluster: Callable[[str], str] = str
    left_out: Mapping[str, int] = {}


def read_msrvtt_1ka(place: ListPlace) -> ClipSet:
    """See the module.

    Raises:
        EvaluationError: the list cannot be read.
    """
    rows = csv_rows(place.file)
    if not rows or not {"video_id", "sentence"} <= set(rows[0]):
        raise EvaluationError(f"{place.file} lacks the columns video_id and sentence")
    captions = _grouped((row["video_id"], row["sentence"]) for row in rows)
    return _found(_Captioned("msrvtt", "1k-A", captions), place)


def read_msrvtt(place: ListPlace) -> ClipSet:
    """See the module.

    Raises:
        EvaluationError: the list cannot be read.
    """
    data = json_of(place.file)
    try:
        wanted = {
            str(video["video_id"]): None
            for video in data["videos"]
            if video.get("split", "test") == "test"
        }
        said = [(str(s["video_id"]), str(s["caption"])) for s in data["sentences"]]
    except (AttributeError, KeyError, TypeError) as error:
        raise EvaluationError(f"{place.file} is no list of MSR-VTT: {error!r}") from error
    own = _grouped((name, caption) for name, caption in said if name in wanted)
    captions = {name: own.get(name, ()) for name in wanted}
    return _found(_Captioned("msrvtt", "full", captions), place)


def read_msvd(place: ListPlace) -> ClipSet:
    """See the module; ``place.file`` is the list of names.

    Raises:
        EvaluationError: a file is missing or cannot be read.
    """
    said = _text(place.file.with_name(MSVD_CAPTIONS)).splitlines()
    pairs = [line.strip().partition(" ") for line in said if line and not line.startswith("#")]
    own = _grouped((name, caption) for name, _, caption in pairs)
    wanted = [line.strip() for line in _text(place.file).splitlines() if line.strip()]
    captions = {name: own.get(name, ()) for name in wanted}

    def source(name: str) -> str:
        match = _CLIP_OF_MSVD.fullmatch(name)
        return match[1] if match else name

    return _found(
        _Captioned("msvd", place.file.stem.removesuffix("_list"), captions, source), place
    )


def read_didemo(place: ListPlace) -> ClipSet:
    """See the module.

    Raises:
        EvaluationError: the list cannot be read.
    """
    data = json_of(place.file)
    try:
        own = _grouped((str(one["video"]), str(one["description"])) for one in data)
    except (KeyError, TypeError) as error:
        raise EvaluationError(f"{place.file} is no list of DiDeMo: {error!r}") from error
    captions = {name: (" ".join(said),) if said else () for name, said in own.items()}
    return _found(_Captioned("didemo", place.file.stem.removesuffix("_data"), captions), place)


def read_lsmdc(place: ListPlace) -> ClipSet:
    """See the module.

    Raises:
        EvaluationError: the list cannot be read.
    """
    pairs, broken = [], 0
    for line in _text(place.file).splitlines():
        columns = line.split("\t")
        if len(columns) == _LSMDC_COLUMNS:
            pairs.append((columns[0].strip(), columns[-1]))
        else:
            broken += bool(line.strip())
    left_out = {"broken line of the list": broken}

    def film(name: str) -> str:
        return _TIMES_OF_LSMDC.sub("", name)

    return _found(_Captioned("lsmdc", "test", _grouped(pairs), film, left_out), place)


def csv_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a table with a header.

    Raises:
        EvaluationError: it cannot be read.
    """
    try:
        rows = list(csv.DictReader(_text(path).splitlines()))
    except csv.Error as error:
        raise EvaluationError(f"{path} is no table: {error}") from error
    return [{str(k): v if isinstance(v, str) else "" for k, v in row.items()} for row in rows]


def json_of(path: Path) -> Any:
    """What a file of JSON holds.

    Raises:
        EvaluationError: it cannot be read.
    """
    try:
        return json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise EvaluationError(f"{path} is no JSON: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise EvaluationError(f"cannot read {path}: {error.strerror}") from error


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Captions of each name; blank ones are left out, names stay."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, caption in pairs:
        own = found[name]
        if caption.strip():
            own.append(caption.strip())
    return {name: tuple(own) for name, own in found.items()}


def _found(listed: _Captioned, place: ListPlace) -> ClipSet:
    files, clips = VideoFiles(place.videos), []
    left_out: Counter[str] = Counter(listed.left_out)
    for name, captions in listed.captions.items():
        file = files.find(name)
        if file is None:
            left_out["video is not in the folder"] += 1
        else:
            clips.append(EvalClip(name, file, tuple(captions), None, listed.cluster(name)))
    return ClipSet(name=listed.name, split=listed.split, clips=tuple(clips), left_out=left_out)
