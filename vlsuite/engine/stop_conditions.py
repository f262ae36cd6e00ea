"""When a run must not go on: a loss that is no number, too many unusable samples."""

import math
from collections.abc import Sequence
from typing import Any

from torch import distributed as dist

from vlsuite.batches.batch import Batch
from vlsuite.engine.metrics_log import say
from vlsuite.engine.run_folder import RunFolder, write_json
from vlsuite.engine.state import TrainState
from vlsuite.errors import TrainingStoppedError
from vlsuite.objectives.objective import Losses

_MIN_SAMPLES_FOR_SKIP_LIMIT = 200
_MAX_WARNINGS = 10


def stop_if_not_finite(
    losses: Losses, state: TrainState, micro_batches: Sequence[Batch], folder: RunFolder
) -> None:
    """End the run on a loss that is not a number, with the uids of the whole batch in a file.

    The loss is that of the global batch, so all processes end together. The last checkpoint is
    from before the update.

    Raises:
        TrainingStoppedError: the total is infinite or NaN.
    """
    loss = float(losses.total)
    if math.isfinite(loss):
        return
    uids = [uid for batch in micro_batches for uid in batch.uids]
    by_rank: list[Any] = [uids]
    if state.ctx.world_size > 1:
        by_rank = [None] * state.ctx.world_size
        dist.all_gather_object(by_rank, uids)
    path = folder.path / f"not-finite-step-{state.step + 1:08d}.json"
    if state.ctx.is_first:
        terms = {name: str(float(term)) for name, term in losses.terms.items()}
        write_json(
            path,
            {"step": state.step + 1, "loss": str(loss), "terms": terms, "uids_by_rank": by_rank},
        )
    raise TrainingStoppedError(
        f"loss is {loss} at step {state.step + 1}; the uids of its batch are in {path}; look at "
        f"those samples or lower optim.lr, then continue from the last checkpoint with --resume"
    )


def check_skipped(state: TrainState, num_skipped: int, micro_batches: Sequence[Batch]) -> None:
    """Name the first replaced samples, and stop the run where they are too many.

    Args:
        num_skipped: samples that all processes replaced in this step.
    Raises:
        TrainingStoppedError: their share of the run is above ``data.max_skip_share``.
    """
    for skip in [skip for batch in micro_batches for skip in batch.unusable]:
        if state.num_warned < _MAX_WARNINGS:
            say(f"warning: skipped {skip.uid} ({skip.shard}): {skip.reason}")
        state.num_warned += 1
    state.num_skipped += num_skipped
    limit = state.config.data.max_skip_share
    seen = state.samples_seen
    if num_skipped and seen >= _MIN_SAMPLES_FOR_SKIP_LIMIT and state.num_skipped > limit * seen:
        state.counts.merge(world_size=state.ctx.world_size)
        kinds = ", ".join(f"{kind} {n}" for kind, n in state.counts.skipped.most_common(3))
        raise TrainingStoppedError(
            f"{state.num_skipped} of {seen} samples are unusable ({kinds}), more than "
            f"data.max_skip_share={limit}; run 'vlsuite data validate' on the shards"
        )
