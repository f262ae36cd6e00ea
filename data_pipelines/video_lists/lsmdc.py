"""LSMDC (Rohrbach et al. 2017): ``LSMDC16_annos_training.csv``, ``..._val.csv`` and the lists of
tests (``LSMDC16_challenge_1000_publictect.csv``), tab-separated without a header: name, four
times of the film, sentence. The videos are cut already.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from data_pipelines.skips import Skips
from data_pipelines.video_lists.listed import ListedVideo, grouped, lines_of_file

_COLUMNS = 6
_TIMES = re.compile(r"_\d\d\.\d\d\.\d\d\.\d+-\d\d\.\d\d\.\d\d\.\d+$")


def read_lsmdc(path: Path, skips: Skips) -> Iterator[ListedVideo]:
    """See the module; the source of a video is its film.

    Raises:
        DataError: the list cannot be read.
    """
    pairs = []
    for number, line in enumerate(lines_of_file(path), start=1):
        columns = line.split("\t")
        if len(columns) == _COLUMNS:
            pairs.append((columns[0].strip(), columns[-1]))
        elif line.strip():
            skips.add("broken line of the list", f"{path.name} line {number}")
    for name, captions in grouped(pairs).items():
        yield ListedVideo(name, captions, (), _TIMES.sub("", name))
