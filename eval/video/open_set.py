"""Which form a path to videos has: a list or questions as distributed, else shards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from eval.data.dataset import EvalDataset
from eval.data.set_kinds import set_kinds
from eval.errors import EvaluationError
from eval.video.caption_lists import (
    MSVD_CAPTIONS,
    json_of,
    read_didemo,
    read_lsmdc,
    read_msrvtt,
    read_msrvtt_1ka,
    read_msvd,
)
from eval.video.clip_set import ClipSet, dataset_of
from eval.video.long_video_files import (
    read_longvideobench,
    read_mlvu,
    read_videomme,
    records_of,
)
from eval.video.peek import hold_clips
from eval.video.question_files import (
    read_mvbench,
    read_tempcompass,
    read_tomato,
    read_vinoground,
)
from eval.video.shard_clips import open_shards
from eval.video.video_files import ListPlace, place_of

Reader = Callable[[ListPlace], ClipSet]


def _read_mlvu_file(place: ListPlace) -> ClipSet:
    return read_mlvu([place.file], place.videos)


#: Of MLVU, by the name of the file without its ending; the last two ask for sentences.
_MLVU_KINDS = (
    *("1_plotQA", "2_needle", "3_ego", "4_count"),
    *("5_order", "6_anomaly_reco", "7_topic_reasoning"),
)
_MLVU_OTHERS = (
    *("8_sub_scene", "9_summary"),
    *("test_mcq_gt", "test_multi_choice_tasks", "test_question"),
)

#: By the name of the file that is distributed.
_BY_NAME: dict[str, Reader] = {
    "msrvtt_jsfusion_test.csv": read_msrvtt_1ka,
    "msrvtt_data.json": read_msrvtt,
    "test_videodatainfo.json": read_msrvtt,
    "test_list.txt": read_msvd,
    "test_data.json": read_didemo,
    "lsmdc16_challenge_1000_publictect.csv": read_lsmdc,
    "vinoground.csv": read_vinoground,
    "multi-choice.json": read_tempcompass,
    "caption_matching.json": read_tempcompass,
    "yes_no.json": read_tempcompass,
    "captioning.json": read_tempcompass,
    "lvb_val.json": read_longvideobench,
    "lvb_test_wo_gt.json": read_longvideobench,
    "videomme.json": read_videomme,
    **{f"{name.lower()}.json": _read_mlvu_file for name in (*_MLVU_KINDS, *_MLVU_OTHERS)},
}


@set_kinds.register("videos")
class Videos:
    """Videos with captions or questions; see ``SetKind``."""

    @staticmethod
    def recognises(path: str) -> bool:
        """Whether it is a list or questions of a known name, or shards that begin with a clip."""
        listed = Path(path.rpartition("@")[0] or path) if not Path(path).exists() else Path(path)
        if listed.is_file() and listed.suffix.lower() != ".tar":
            if listed.suffix.lower() == ".parquet":
                return listed.parent.name.lower() == "videomme"
            is_msvd = listed.name != "test_list.txt" or listed.with_name(MSVD_CAPTIONS).is_file()
            return listed.name.lower() in _BY_NAME and is_msvd
        return (listed.is_dir() and bool(_folder_reader(listed))) or hold_clips(path)

    @staticmethod
    def open(path: str) -> EvalDataset:
        """The data set of a list (LIST or LIST@FOLDER_OF_VIDEOS), of questions, or of shards.

        Raises:
            ShardError: a shard is missing or no tar.
            EvaluationError: nothing that can be read, or no video.
        """
        if not _is_list(path) and not _is_folder_of_questions(path):
            return open_shards(path)
        place = place_of(path)
        reader = _folder_reader(place.file) if place.file.is_dir() else _reader_of(place.file)
        if reader is None:
            raise EvaluationError(f"{place.file} holds no questions of a known form")
        return dataset_of(reader(place), place.file)

    @staticmethod
    def open_chosen(path: str, subset: Path) -> EvalDataset:
        """The chosen videos of shards; see ``OfChosenSamples``.

        Raises:
            DataError: the subset was made for other shards.
            EvaluationError: PATH is a list or questions, which have no shards.
        """
        if _is_list(path) or _is_folder_of_questions(path):
            raise EvaluationError(
                f"{path} lists videos, and --subset chooses samples of shards; leave it out"
            )
        return open_shards(path, subset)


def _is_folder_of_questions(path: str) -> bool:
    folder = Path(path if Path(path).exists() else path.rpartition("@")[0])
    return folder.is_dir() and _folder_reader(folder) is not None


def _is_list(path: str) -> bool:
    name = path.rpartition("@")[0] or path
    return name.lower().endswith((".csv", ".json", ".txt", ".parquet"))


def _reader_of(file: Path) -> Reader:
    """By the name of a file, else by what it holds.

    Raises:
        EvaluationError: neither says what it is.
    """
    known = _BY_NAME.get(file.name.lower())
    if known is not None:
        return known
    if file.suffix.lower() == ".csv":
        head = file.open(encoding="utf-8-sig", errors="replace").readline()
        if "pos_cap" in head:
            return read_vinoground
        if "video_id" in head and "sentence" in head:
            return read_msrvtt_1ka
        if head.count("\t") == 5:
            return read_lsmdc
    if file.suffix.lower() == ".txt" and file.with_name(MSVD_CAPTIONS).is_file():
        return read_msvd
    if file.suffix.lower() == ".json" and (found := _reader_of_json(file)) is not None:
        return found
    if file.suffix.lower() == ".parquet":
        first = next(iter(records_of(file)), {})
        if (found := _reader_of_record(first)) is not None:
            return found
    raise EvaluationError(
        f"{file} is no list of videos that is known; known: {', '.join(sorted(_BY_NAME))}, files "
        "of TOMATO and MVBench, and Parquet files of Video-MME, LongVideoBench and MLVU"
    )


def _reader_of_record(first: dict[str, Any]) -> Reader | None:
    """Of questions about long videos, by the first of them."""
    fields = set(first)
    if "correct_choice" in fields:
        return read_longvideobench
    if {"options", "answer"} <= fields and fields & {"videoID", "video_id"}:
        return read_videomme
    if {"candidates", "answer"} <= fields and fields & {"question_type", "video_name"}:
        return _read_mlvu_file
    return None


def _reader_of_json(file: Path) -> Reader | None:
    data = json_of(file)
    if isinstance(data, dict) and {"videos", "sentences"} <= set(data):
        return read_msrvtt
    first = next(iter(data.values() if isinstance(data, dict) else data or ()), None)
    if not isinstance(first, dict):
        return None
    if isinstance(first.get("questions"), list):
        return read_videomme
    if (found := _reader_of_record(first)) is not None:
        return found
    if {"question", "options", "answer", "key"} <= set(first):
        return lambda place: read_tomato([place.file], place.videos)
    if {"video", "candidates", "answer"} <= set(first):
        return lambda place: read_mvbench([place.file], place.videos)
    if {"video", "description"} <= set(first):
        return read_didemo
    return read_tempcompass if isinstance(data, dict) else None


def _folder_reader(folder: Path) -> Reader | None:
    """The reader of a folder of questions, a file a kind; by names of files alone."""
    if (folder / "vinoground.csv").is_file():
        return lambda place: read_vinoground(ListPlace(place.file / "vinoground.csv", place.videos))
    kinds = ("count", "direction", "rotation")
    if all((folder / "data" / f"{kind}.json").is_file() for kind in kinds):
        return lambda place: read_tomato(sorted((place.file / "data").glob("*.json")), place.videos)
    if (folder / "lvb_val.json").is_file():
        return lambda place: read_longvideobench(
            ListPlace(place.file / "lvb_val.json", place.videos)
        )
    if (folder / "test-ground-truth" / "test_mcq_gt.json").is_file():
        return lambda place: read_mlvu(
            [place.file / "test-ground-truth" / "test_mcq_gt.json"], place.videos
        )
    for inner in (folder / "json", folder / "data", folder):
        if own := [inner / f"{k}.json" for k in _MLVU_KINDS if (inner / f"{k}.json").is_file()]:
            return lambda place: read_mlvu(own, place.videos)
    if tables := sorted((folder / "videomme").glob("test-*.parquet")):
        return lambda place: read_videomme(ListPlace(tables[0], place.videos))
    if (folder / "json").is_dir() and any((folder / "json").glob("*.json")):
        return lambda place: read_mvbench(
            sorted((place.file / "json").glob("*.json")), place.videos
        )
    return None
