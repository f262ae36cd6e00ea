"""Which videos of a list are taken: those that another file names."""

from pathlib import Path

from data_pipelines.errors import DataError
from data_pipelines.video_lists.listed import csv_rows, lines_of_file


def names_in(path: Path) -> frozenset[str]:
    """The names in a file: of a CSV the column video_id, of another file a name a line.

    Raises:
        DataError: it cannot be read, or holds none.
    """
    if path.suffix.lower() == ".csv":
        names = frozenset(
            row["video_id"].strip() for row in csv_rows(path, ("video_id",), of="names")
        )
    else:
        names = frozenset(line.strip() for line in lines_of_file(path))
    names -= {""}
    if not names:
        raise DataError(f"{path} names no video; check --only")
    return names
