"""WebVid (Bain et al. 2021): ``results_2M_train.csv``, ``results_2M_val.csv``, ``results_10M_...``.

Columns videoid, contentUrl, duration, page_dir, name (the caption); the file of a video is
``page_dir/videoid.mp4``. Nothing is downloaded.
"""

from collections.abc import Iterator
from pathlib import Path

from data_pipelines.skips import Skips
from data_pipelines.video_lists.listed import ListedVideo, csv_rows


def read_webvid(path: Path, skips: Skips) -> Iterator[ListedVideo]:
    """See the module; row by row, for the list may have millions.

    Raises:
        DataError: the list cannot be read.
    """
    for row in csv_rows(path, ("videoid", "page_dir", "name"), of="WebVid"):
        video, page, caption = row["videoid"].strip(), row["page_dir"].strip(), row["name"].strip()
        if not video:
            skips.add("no videoid", f"{path.name}: {caption[:60]}")
            continue
        name = f"{page}/{video}.mp4" if page else f"{video}.mp4"
        yield ListedVideo(name, (caption,) if caption else (), (), video)
