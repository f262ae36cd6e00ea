"""Numbers remembered for each pair of the training set, the same on every rank.

Every rank holds the whole table and enters what all ranks saw, in the order of the global batch,
so it does not depend on their number. Memory: 8 bytes for a key, 4 for each column, and about
100 for the dictionary that finds a key's row.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from vlsuite.objectives import gather

_KEYS = "keys"
_FIRST_ROWS = 1024


class PairMemory:
    """A table of fp32 columns with one row a pair; pairs join when they are first seen.

    Args:
        **columns: names, and the value of a pair that has none yet.
    """

    def __init__(self, **columns: float) -> None:
        self._fresh = columns
        self._clear()

    def _clear(self) -> None:
        self._rows: dict[int, int] = {}
        self._keys = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self._columns = {n: np.full(_FIRST_ROWS, v, np.float32) for n, v in self._fresh.items()}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def keys(self) -> Int64[np.ndarray, " pairs"]:
        """Of all pairs, in the order in which they were first seen."""
        return self._keys[: len(self)]

    def column(self, name: str) -> Float32[np.ndarray, " pairs"]:
        """All values of a column, in the order of ``keys``; changes are kept."""
        return self._columns[name][: len(self)]

    def rows_of(self, keys: Int64[Tensor, " batch"]) -> Int64[np.ndarray, " batch"]:
        """Row of each key; pairs not seen before get the next ones."""
        found = [self._rows.setdefault(key, len(self._rows)) for key in keys.tolist()]
        rows = np.asarray(found, dtype=np.int64)
        self._make_room()
        self._keys[rows] = keys.cpu().numpy()
        return rows

    def values_of(self, name: str, keys: Int64[Tensor, " batch"]) -> Float32[Tensor, " batch"]:
        """Values of some pairs, on the device of their keys; does not add pairs."""
        column = self._columns[name]
        rows = [self._rows.get(key) for key in keys.tolist()]
        values = [self._fresh[name] if row is None else float(column[row]) for row in rows]
        return torch.tensor(values, dtype=torch.float32, device=keys.device)

    def average_in(
        self,
        keys: Int64[Tensor, " batch"],
        losses: Sequence[tuple[str, Float32[Tensor, " batch"]]],
        *,
        decay: float,
    ) -> None:
        """Move columns towards new values of this rank's pairs; every rank calls.

        A column becomes decay x old + (1 - decay) x new; the first value of a pair is taken as
        it is. Of a pair that stands in the batch twice the last counts.

        Args:
            losses: name of a column and its new values, on any device.
            decay: in [0, 1).
        """
        names = [name for name, _ in losses]
        values = torch.stack([value.detach().float() for _, value in losses], dim=1)
        all_values = gather.all_gather_rows(values).cpu().numpy()
        rows = self.rows_of(gather.all_gather_rows(keys[:, None]).squeeze(1))
        for name, new in zip(names, all_values.T, strict=True):
            column = self._columns[name]
            old = column[rows]
            mixed = np.float32(decay) * old + np.float32(1 - decay) * new
            fresh = np.where(np.isnan(old), new, mixed)
            column[rows] = np.where(np.isnan(new), old, fresh)

    def state(self) -> dict[str, Tensor]:
        """The table for a checkpoint."""
        held = {_KEYS: self.keys} | {name: self.column(name) for name in self._columns}
        return {name: torch.from_numpy(values.copy()) for name, values in held.items()}

    def load(self, stored: dict[str, Tensor]) -> None:
        """Take back what :meth:`state` gave."""
        keys = stored[_KEYS].numpy()
        self._clear()
        self._rows = {key: row for row, key in enumerate(keys.tolist())}
        self._make_room()
        self._keys[: len(keys)] = keys
        for name, column in self._columns.items():
            column[: len(keys)] = stored[name].numpy()

    def _make_room(self) -> None:
        size = len(self._keys)
        if len(self) <= size:
            return
        while size < len(self):
            size *= 2
        extra = size - len(self._keys)
        self._keys = np.concatenate([self._keys, np.zeros(extra, np.int64)])
        for name, fresh in self._fresh.items():
            more = np.full(extra, fresh, np.float32)
            self._columns[name] = np.concatenate([self._columns[name], more])
