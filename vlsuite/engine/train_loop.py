"""The training loop: nothing in it knows which model or objective it trains."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from vlsuite.batches.batch import Batch
from vlsuite.batches.mixing import check_passes, mixing_lines, parts_of_run
from vlsuite.batches.shuffling import Shuffling, continued
from vlsuite.batches.stream import PairShards, Place, TrainStream
from vlsuite.engine.agreement import WaitInterruptedError, agree
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.data_identity import check_content, note_order, record_content
from vlsuite.engine.distributed import Context
from vlsuite.engine.metrics_log import StepClock, say
from vlsuite.engine.resolved import keep_resolved
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.run_guard import RunGuard
from vlsuite.engine.run_report import Plan, Report
from vlsuite.engine.state import TrainState, restore_latest
from vlsuite.engine.stop_conditions import check_skipped, stop_if_not_finite
from vlsuite.engine.uid_log import UidLog
from vlsuite.errors import StopRequestedError

#: Evaluates the model as it is and returns results ready for JSON; called on every process.
Evaluator = Callable[[Any], Sequence[Mapping[str, Any]]]


def train(
    config: TrainConfig,
    ctx: Context,
    folder: RunFolder,
    evaluators: Sequence[Evaluator] = (),
    *,
    claim: Callable[[int], None] | None = None,
) -> TrainState:
    """Train from the newest good checkpoint in ``folder`` (or from scratch) to the end.

    Args:
        config, ctx, folder: of the run.
        evaluators: called when ``validation.every`` is due.
        claim: called by the first process with the step that the run goes on from, when all that
            its settings name is built and the logs are open: the place to record it.
    Raises:
        StopRequestedError: a signal asked to stop; the state is saved.
        LostContactError: another process or a worker died or hangs.
        TrainingStoppedError: the loss is not finite, or too many samples are unusable.
        CheckpointError: a checkpoint cannot be read or written.
        RunFolderError: a log cannot be written.
    """
    with RunGuard(config, ctx, folder) as guard:
        return _train(config, ctx, folder, evaluators, guard, claim)


_KEYS_ALONE = (
    "warning: this run began when a sample without a uid was named by its key alone, and goes on "
    "so that what it remembers stays true: samples of equal keys in several shards are one sample "
    "to it; start a new run to tell them apart"
)


def _train(
    config: TrainConfig,
    ctx: Context,
    folder: RunFolder,
    evaluators: Sequence[Evaluator],
    guard: RunGuard,
    claim: Callable[[int], None] | None,
) -> TrainState:
    shards = PairShards.open(config.data)
    plan = Plan(
        config.duration,
        samples_per_step=config.global_batch_size,
        samples_per_epoch=shards.samples_per_epoch(
            global_batch_size=config.global_batch_size, drop_tail=config.data.drop_tail
        ),
    )
    total_samples = plan.total_steps * config.global_batch_size
    parts = parts_of_run(config.data, shards, total_samples=total_samples)
    check_passes(parts, most=config.data.max_passes, total_samples=total_samples)
    state = restore_latest(config, ctx, folder.checkpoints)
    keep_resolved(state.built, folder, continues=state.step > 0, is_first=ctx.is_first)
    check_content(state, shards, folder)
    shuffling = continued(state.order, shards.shuffling) if state.step else shards.shuffling
    state.order = shuffling.to_dict()
    note_order(state, shards, shuffling)
    uids = UidLog(folder.uids, ctx, step=state.step) if config.logging.uids else None
    state.training_mode()
    report = Report(state, folder, plan) if ctx.is_first else None
    if report:
        guard.at_end(report.close)
        report.introduce(shards, shuffling)
        for line in mixing_lines(parts):
            say(line)
        if state.uids == "key" and shards.has_plain_keys():
            say(_KEYS_ALONE)
    clock = StepClock()
    steps = build_stream(state, shards, folder, shuffling).from_position(state.samples_seen)
    if claim and ctx.is_first:
        claim(state.step)
    if ctx.is_first:
        record_content(shards, folder)
    while state.step < plan.total_steps:
        guard.enter("waiting for data")
        micro_batches = _next_unless_stopped(steps, guard, clock)
        guard.enter("waiting for another process")
        agreed = agree(ctx, stop=guard.stop, alarm=guard.alarm, micro_batches=micro_batches)
        if agreed.save or agreed.stop:
            clock.saved(guard.save(state))
        if agreed.stop:
            guard.finish_saving()
            raise _asked_to_stop(state, guard, folder)
        guard.enter("computing a step or waiting for another process")
        losses = state.step_function(
            state.engine,
            state.objective,
            micro_batches,
            encode=state.encode,
            world_size=ctx.world_size,
            step_seed=state.begin_step(plan.total_steps, epoch=plan.epoch(state.samples_seen)),
        )
        stop_if_not_finite(losses, state, micro_batches, folder)
        state.finish_step()
        columns = shards.captions.names if shards.captions else ()
        state.counts.add(micro_batches, shards.source_names, columns)
        if uids:
            uids.record(state.step, micro_batches)
        check_skipped(state, agreed.num_skipped, micro_batches)
        if plan.due(config.logging.every, state.step):
            state.counts.merge(world_size=ctx.world_size)
            if report:
                report.training(losses, clock)
            clock.reset()
        if plan.due(config.validation.every, state.step):
            guard.rest()
            _evaluate(state, evaluators, report, clock)
        if plan.due(config.checkpoint.every, state.step):
            clock.saved(guard.save(state))
    guard.rest()
    guard.finish_saving()
    state.export(folder.export)
    if report:
        report.finish(clock)
    return state


def build_stream(
    state: TrainState, shards: PairShards, folder: RunFolder, shuffling: Shuffling
) -> TrainStream:
    """This process's part of the training sequence."""
    config = state.config
    place = Place(
        rank=state.ctx.rank,
        world_size=state.ctx.world_size,
        global_batch_size=config.global_batch_size,
        micro_batch_size=config.micro_batch_of(state.ctx.world_size),
    )
    return TrainStream(
        config.data,
        shards,
        place=place,
        reader=state.built.reader(config.data),
        seed=config.seed,
        pin_memory=state.ctx.device.type == "cuda",
        quarantine=folder.quarantine,
        uids=state.uids,
        shuffling=shuffling,
    )


def _asked_to_stop(state: TrainState, guard: RunGuard, folder: RunFolder) -> StopRequestedError:
    asked = guard.stop.reason or "another process"
    return StopRequestedError(
        f"stopped as asked ({asked}) and saved at step {state.step}; continue with --resume "
        f"--out {folder.path}"
    )


def _next_unless_stopped(
    steps: Iterator[list[Batch]], guard: RunGuard, clock: StepClock
) -> list[Batch]:
    """The next step's micro-batches; none where this process is asked to stop meanwhile."""
    before = time.perf_counter()
    try:
        with guard.stop.interrupting():
            micro_batches = next(steps)
    except WaitInterruptedError:
        return []
    clock.waited(time.perf_counter() - before)
    return micro_batches


def _evaluate(
    state: TrainState, evaluators: Sequence[Evaluator], report: Report | None, clock: StepClock
) -> None:
    if not evaluators:
        return
    before = time.perf_counter()
    state.engine.eval()
    model = state.evaluated(f"step {state.step}")
    results = [result for evaluate in evaluators for result in evaluate(model)]
    state.training_mode()
    if report:
        report.evaluation(results)
    clock.paused(time.perf_counter() - before)
