"""The checkpoint a run continues from: the newest whose files are what was written."""

from pathlib import Path

from torch import distributed as dist

from vlsuite.engine.checkpoint import damage_of, list_checkpoints, set_aside
from vlsuite.engine.distributed import Context
from vlsuite.engine.metrics_log import say
from vlsuite.errors import CheckpointError


def newest_good(folder: Path, ctx: Context) -> Path | None:
    """The newest undamaged checkpoint, None where there is none at all; every process calls.

    The first process reads and verifies; the others are told, so that all continue alike.

    Raises:
        CheckpointError: there are checkpoints and all of them are damaged.
    """
    answer: list[str | CheckpointError | None] = [None]
    if ctx.is_first:
        answer = [_search(folder)]
    if ctx.world_size > 1:
        dist.broadcast_object_list(answer, src=0)
    found = answer[0]
    if isinstance(found, CheckpointError):
        raise found
    return None if found is None else folder / found


def _search(folder: Path) -> str | CheckpointError | None:
    damaged: dict[Path, str] = {}
    for path in reversed(list_checkpoints(folder)):
        damage = damage_of(path)
        if damage is not None:
            damaged[path] = damage
            continue
        for newer, reason in damaged.items():
            aside = set_aside(newer)
            say(f"warning: checkpoint {newer} is damaged ({reason}); it is {aside} from now on")
        return path.name
    if damaged:
        # None is renamed: the next start must not take this for a run without checkpoints.
        newest, reason = next(iter(damaged.items()))
        return CheckpointError(
            f"no checkpoint in {folder} is intact (the newest, {newest.name}: {reason}); restore "
            f"one from a backup, or remove the folder to train from the start"
        )
    return None
