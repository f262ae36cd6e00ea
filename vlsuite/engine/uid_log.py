"""A record of which samples every step saw, one file a process."""

from collections.abc import Sequence
from pathlib import Path

from vlsuite.batches.batch import Batch
from vlsuite.engine.distributed import Context
from vlsuite.engine.json_lines import JsonLines, rewind


class UidLog:
    """Appends the uids of each step of this process; every process makes one.

    Args:
        folder: of the files ``rank-00000.jsonl`` onwards.
        ctx: this process; the first one cuts all files back to ``step``.
        step: where the run begins or continues.
    Raises:
        RunFolderError: a file cannot be written.
    """

    def __init__(self, folder: Path, ctx: Context, *, step: int) -> None:
        if ctx.is_first and folder.is_dir():
            for path in sorted(folder.glob("rank-*.jsonl")):
                rewind(path, step=step)
        ctx.barrier()
        self._file = JsonLines(folder / f"rank-{ctx.rank:05d}.jsonl")

    def record(self, step: int, micro_batches: Sequence[Batch]) -> None:
        """Append the uids of one step, in batch order.

        Raises:
            RunFolderError: the disk is full or gone.
        """
        uids = [uid for batch in micro_batches for uid in batch.uids]
        self._file.write({"step": step, "uids": uids})
