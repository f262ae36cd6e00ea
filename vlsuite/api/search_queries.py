"""What stored embeddings are searched with."""

import os
from typing import NamedTuple

from data_pipelines.image_formats import FORMAT_OF_SUFFIX
from vlsuite.errors import DataError


class Query(NamedTuple):
    """What is asked with: words, a picture file, or a uid that is stored."""

    kind: str
    value: str


def as_query(text: str) -> Query:
    """A picture where the text is the path of one, else words.

    Raises:
        DataError: it looks like the path of a picture, and there is none.
    """
    if os.path.isfile(text):
        return Query("picture", text)
    if text.rpartition(".")[2].lower() in FORMAT_OF_SUFFIX and " " not in text.strip():
        raise DataError(f"picture {text} does not exist; search these words by --text {text}")
    return Query("text", text)
