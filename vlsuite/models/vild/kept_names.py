"""Embeddings of vocabularies in files, so that a vocabulary costs its text tower once.

A file is found by a digest of all that its rows depend on: the teacher's files, the device, the
prompts, and the names with their synonyms in their order. Nothing in it has to be believed: a file
that is none, or of another length, is written again.

C = names, D = length of an embedding
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from data_pipelines.shards.atomic import make_folder, write_file

#: Changes where rows for the same prompts and names would.
_VERSION = 1
_ROWS = "class_embeds"


class KeptNames:
    """A folder of embeddings.

    Args:
        folder: made when something is first kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(
        self, told: Sequence[object], compute: Callable[[], Float[Tensor, "C D"]]
    ) -> Float[Tensor, "C D"]:
        """What is kept under ``told``, else what ``compute`` gives, which is kept.

        Args:
            told: what the rows depend on, as JSON can say it; the names come last.
        """
        names = told[-1]
        assert isinstance(names, list)
        path = self._path(told)
        try:
            rows = load(path.read_bytes())[_ROWS]
        except (OSError, SafetensorError, KeyError):
            rows = None
        if rows is None or rows.ndim != 2 or len(rows) != len(names):
            rows = compute()
            make_folder(self._folder)
            write_file(path, save({_ROWS: rows.contiguous()}))
        return rows

    def _path(self, told: Sequence[object]) -> Path:
        text = json.dumps([_VERSION, *told], ensure_ascii=True)
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()}.safetensors"
