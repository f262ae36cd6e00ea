"""Lists of captioned videos as they are distributed, as sets to be evaluated.

``data_pipelines.video_lists`` reads them; here is what a test takes of each.

- MSR-VTT 1k-A: ``MSRVTT_JSFUSION_test.csv``: 1,000 videos, a caption each.
- MSR-VTT full: ``MSRVTT_data.json`` or ``test_videodatainfo.json``: the videos of the split "test",
  every caption a query.
- MSVD: ``test_list.txt`` beside ``AllVideoDescriptions.txt``; every caption is a query.
- DiDeMo: ``test_data.json``: all descriptions of a video are one paragraph (paragraph to video).
- LSMDC: ``LSMDC16_challenge_1000_publictect.csv``.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data_pipelines.errors import DataError
from data_pipelines.skips import Skips
from data_pipelines.video_lists import listed
from data_pipelines.video_lists.didemo import read_didemo as didemo
from data_pipelines.video_lists.listed import ListedVideo
from data_pipelines.video_lists.lsmdc import read_lsmdc as lsmdc
from data_pipelines.video_lists.msrvtt import read_msrvtt as msrvtt
from data_pipelines.video_lists.msvd import CAPTIONS as MSVD_CAPTIONS
from data_pipelines.video_lists.msvd import read_msvd as msvd
from eval.errors import EvaluationError
from eval.video.clip_set import ClipSet, EvalClip
from eval.video.video_files import ListPlace, VideoFiles

__all__ = [
    "MSVD_CAPTIONS",
    "csv_rows",
    "json_of",
    "read_didemo",
    "read_lsmdc",
    "read_msrvtt",
    "read_msrvtt_1ka",
    "read_msvd",
]


def read_msrvtt_1ka(place: ListPlace) -> ClipSet:
    """See the module.

    Raises:
        EvaluationError: the list cannot be read.
    """
    skips = Skips()
    return _found("msrvtt", "1k-A", msrvtt(place.file, skips), skips, place)


def read_msrvtt(place: ListPlace) -> ClipSet:
    """See the module.

    Raises:
        EvaluationError: the list cannot be read.
    """
    skips = Skips()
    return _found("msrvtt", "full", msrvtt(place.file, skips, split="test"), skips, place)


def read_msvd(place: ListPlace) -> ClipSet:
    """See the module; ``place.file`` is the list of names.

    Raises:
        EvaluationError: a file is missing or cannot be read.
    """
    skips, split = Skips(), place.file.stem.removesuffix("_list")
    return _found("msvd", split, msvd(place.file, skips), skips, place)


def read_didemo(place: ListPlace) -> ClipSet:
    """See the module.

    Raises:
        EvaluationError: the list cannot be read.
    """
    skips, split = Skips(), place.file.stem.removesuffix("_data")
    return _found("didemo", split, didemo(place.file, skips), skips, place)


def read_lsmdc(place: ListPlace) -> ClipSet:
    """See the module.

    Raises:
        EvaluationError: the list cannot be read.
    """
    skips = Skips()
    return _found("lsmdc", "test", lsmdc(place.file, skips), skips, place)


def csv_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a table with a header.

    Raises:
        EvaluationError: it cannot be read.
    """
    try:
        return list(listed.csv_rows(path, (), of="videos"))
    except DataError as error:
        raise EvaluationError(str(error)) from error


def json_of(path: Path) -> Any:
    """What a file of JSON holds.

    Raises:
        EvaluationError: it cannot be read.
    """
    try:
        return listed.json_of(path)
    except DataError as error:
        raise EvaluationError(str(error)) from error


def _found(
    name: str, split: str, videos: Iterable[ListedVideo], skips: Skips, place: ListPlace
) -> ClipSet:
    files, clips = VideoFiles(place.videos), []
    left_out: Counter[str] = Counter()
    try:
        for video in videos:
            file = files.find(video.name)
            if file is None:
                left_out["video is not in the folder"] += 1
            else:
                cluster = video.source or video.name
                clips.append(EvalClip(video.name, file, video.captions, None, cluster))
    except DataError as error:
        raise EvaluationError(str(error)) from error
    left_out.update(skips.counts)
    return ClipSet(name=name, split=split, clips=tuple(clips), left_out=left_out)
