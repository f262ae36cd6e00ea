"""MSR-VTT (Xu et al. 2016): all captions in one JSON, splits by name, the table of 1k-A.

- ``MSRVTT_data.json``, ``train_val_videodatainfo.json``, ``test_videodatainfo.json``: {"videos":
  [{"video_id", "split"}], "sentences": [{"video_id", "caption"}]}; the splits are "train",
  "validate" and "test".
- ``MSRVTT_JSFUSION_test.csv`` (1k-A, Yu et al. 2018): columns video_id and sentence. Any table
  with these is read so.
- ``MSRVTT_train.9k.csv`` and ``MSRVTT_train.7k.csv`` have names alone, column video_id
  (``chosen.py``): they choose from the JSON.
"""

from collections.abc import Iterator
from pathlib import Path

from data_pipelines.errors import DataError
from data_pipelines.skips import Skips
from data_pipelines.video_lists.listed import ListedVideo, csv_rows, grouped, json_of

SPLITS = ("train", "validate", "test")


def read_msrvtt(path: Path, skips: Skips, *, split: str | None = None) -> Iterator[ListedVideo]:
    """The JSON, or the table of 1k-A, told apart by their endings.

    Args:
        split: takes the videos of one; None takes all. A video that names none is of every split.
    Raises:
        DataError: the list cannot be read.
    """
    if path.suffix.lower() == ".csv":
        yield from _read_table(path)
        return
    data = json_of(path)
    try:
        names = {
            str(video["video_id"]): None
            for video in data["videos"]
            if split is None or video.get("split", split) == split
        }
        said = [(str(one["video_id"]), str(one["caption"])) for one in data["sentences"]]
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no list of MSR-VTT: {error!r}; check the file") from error
    own = grouped((name, caption) for name, caption in said if name in names)
    for name in names:
        yield ListedVideo(name, own.get(name, ()))


def _read_table(path: Path) -> Iterator[ListedVideo]:
    rows = csv_rows(path, ("video_id", "sentence"), of="MSR-VTT 1k-A")
    for name, captions in grouped((row["video_id"], row["sentence"]) for row in rows).items():
        yield ListedVideo(name, captions)
