"""The training loop: nothing in it knows which model or objective it trains."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from vlsuite.batches.batch import Batch, Skipped
from vlsuite.batches.stream import PairShards, Place, TrainStream
from vlsuite.batches.transforms import TrainTransform
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.contrastive_step import forward_backward
from vlsuite.engine.distributed import Context
from vlsuite.engine.duration import Duration
from vlsuite.engine.metrics_log import MetricsLog, StepClock, progress_line, say
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.state import TrainState, restore_latest
from vlsuite.errors import TrainingStoppedError
from vlsuite.models.loading import Clip
from vlsuite.objectives.objective import Losses
from vlsuite.settings import to_dict

#: Evaluates the model as it is and returns results ready for JSON; called on every process.
Evaluator = Callable[[Clip], Sequence[Mapping[str, Any]]]

_MIN_SAMPLES_FOR_SKIP_LIMIT = 200


def train(
    config: TrainConfig, ctx: Context, folder: RunFolder, evaluators: Sequence[Evaluator] = ()
) -> TrainState:
    """Train from the newest checkpoint in ``folder`` (or from scratch) to the configured end.

    Raises:
        TrainingStoppedError: the loss is not finite, or too many samples are unusable.
        CheckpointError: a checkpoint cannot be read or written.
    """
    shards = PairShards(config.data.train)
    plan = Plan(config, shards.num_samples)
    state = restore_latest(config, ctx, folder.checkpoints)
    report = Report(state, folder, plan) if ctx.is_first else None
    if report:
        report.introduce(shards)
    clock = StepClock()
    steps = build_stream(state, shards).from_position(state.samples_seen)
    while state.step < plan.total_steps:
        micro_batches = _timed_next(steps, clock)
        losses = forward_backward(
            state.engine,
            state.objective,
            micro_batches,
            encode=state.encode,
            world_size=ctx.world_size,
            step_seed=state.begin_step(plan.total_steps),
        )
        stop_if_not_finite(losses, state.step, micro_batches)
        state.finish_step()
        count_skipped(state, micro_batches)
        if plan.due(config.logging.every, state.step) and report:
            report.training(losses, clock)
        if plan.due(config.logging.every, state.step):
            clock.reset()
        if plan.due(config.validation.every, state.step):
            _evaluate(state, evaluators, report, clock)
        if plan.due(config.checkpoint.every, state.step):
            _save(state, folder, clock)
    state.export(folder.export)
    if report:
        report.finish(clock)
    return state


class Plan:
    """A config's durations in steps, for the training set at hand."""

    def __init__(self, config: TrainConfig, num_samples: int) -> None:
        self._per_step = config.global_batch_size
        self._per_epoch = num_samples
        self.total_steps = self._steps(config.duration)

    def due(self, every: Duration, step: int) -> bool:
        """Whether something that happens ``every`` so often happens after this step."""
        return step % self._steps(every) == 0 or step == self.total_steps

    def _steps(self, duration: Duration) -> int:
        return duration.steps(samples_per_step=self._per_step, samples_per_epoch=self._per_epoch)


class Report:
    """What the first process tells people and files."""

    def __init__(self, state: TrainState, folder: RunFolder, plan: Plan) -> None:
        self._state = state
        self._plan = plan
        self._folder = folder
        self._log = MetricsLog(
            folder.metrics,
            folder.tensorboard,
            wandb_project=state.config.logging.wandb_project,
            config=to_dict(state.config),
        )
        self._first_step = state.step
        self._last_logged = state.step

    def introduce(self, shards: PairShards) -> None:
        """Say what is about to happen."""
        state, config = self._state, self._state.config
        trainable = [p for p in state.engine.module.parameters() if p.requires_grad]
        count = sum(getattr(p, "ds_numel", p.numel()) for p in trainable) / 1e6
        say(
            f"{self._folder.path}: {count:.1f}M trainable parameters, "
            f"{shards.num_samples} samples in {len(shards.indexes)} shards, "
            f"{state.ctx.world_size} process(es), {config.precision}, {config.deepspeed}, "
            f"step {state.step} of {self._plan.total_steps}"
        )
        for problem in shards.problems[:10]:
            say(f"warning: {problem}")

    def training(self, losses: Losses, clock: StepClock) -> None:
        """Log the interval that ends now."""
        state, plan = self._state, self._plan
        steps = state.step - self._last_logged
        self._last_logged = state.step
        rate = steps / clock.seconds
        values = {
            "step": state.step,
            "samples_seen": state.samples_seen,
            "time": round(time.perf_counter() - clock.started, 3),
            "loss": float(losses.total),
            "terms": {name: float(term) for name, term in losses.terms.items()},
            "learning_rate": state.learning_rate(plan.total_steps),
            "logit_scale": state.objective.logit_scale,
            "logit_bias": state.objective.logit_bias,
            "samples_per_s": rate * state.config.global_batch_size,
            "data_wait_share": clock.data_wait_share,
            "eta_s": (plan.total_steps - state.step) / rate,
            "grad_norm": state.grad_norm(),
            "skipped": state.skipped,
        }
        self._log.record("train", values)
        say(progress_line(values, total_steps=plan.total_steps))

    def evaluation(self, results: Sequence[Mapping[str, Any]]) -> None:
        """Log one round of evaluations."""
        state = self._state
        values = {"step": state.step, "samples_seen": state.samples_seen, "results": results}
        self._log.record("eval", values)
        for result in results:
            scores = result.get("scores", {})
            shown = "  ".join(f"{k} {v['value']:.3f}" for k, v in list(scores.items())[:4])
            say(f"  {result.get('benchmark', '')} {result.get('dataset', '')}: {shown}")

    def finish(self, clock: StepClock) -> None:
        """Close the logs."""
        self._log.close()
        skipped = f", {self._state.skipped} samples skipped" if self._state.skipped else ""
        seconds = time.perf_counter() - clock.started
        say(f"trained to step {self._state.step} in {seconds:.0f}s{skipped}")
        say(f"model: {self._folder.export}")


def build_stream(state: TrainState, shards: PairShards) -> TrainStream:
    """This process's part of the training sequence."""
    config, preprocess = state.config, state.built.preprocess
    place = Place(
        rank=state.ctx.rank,
        world_size=state.ctx.world_size,
        global_batch_size=config.global_batch_size,
        micro_batch_size=config.micro_batch_of(state.ctx.world_size),
    )
    transform = TrainTransform(
        config.data.augment,
        size=preprocess["size"],
        interpolation=preprocess.get("interpolation", "bicubic"),
    )
    return TrainStream(
        config.data,
        shards,
        place=place,
        transform=transform,
        tokenizer=state.tokenizer,
        trim_text=state.built.encoder.accepts_trimmed_text,
        seed=config.seed,
        pin_memory=state.ctx.device.type == "cuda",
    )


def stop_if_not_finite(losses: Losses, step: int, micro_batches: Sequence[Batch]) -> None:
    """End the run on a loss that is not a number, naming samples of the batch.

    Raises:
        TrainingStoppedError: the total is infinite or NaN.
    """
    if not math.isfinite(float(losses.total)):
        uids = [uid for batch in micro_batches for uid in batch.uids]
        raise TrainingStoppedError(
            f"loss is {float(losses.total)} at step {step} (first samples of this process's "
            f"batch: {', '.join(uids[:3])}); lower optim.lr, or resume from the last checkpoint "
            f"with --resume"
        )


def count_skipped(state: TrainState, micro_batches: Sequence[Batch]) -> None:
    """Add up replaced samples and stop the run where they are too many.

    Raises:
        TrainingStoppedError: their share is above ``data.max_skip_share``.
    """
    skipped: list[Skipped] = [skip for batch in micro_batches for skip in batch.skipped]
    for skip in skipped:
        if state.skipped < 10:
            say(f"warning: skipped {skip.uid} ({skip.shard}): {skip.reason}")
        state.skipped += 1
    seen = state.samples_seen // state.ctx.world_size
    limit = state.config.data.max_skip_share
    if skipped and seen >= _MIN_SAMPLES_FOR_SKIP_LIMIT and state.skipped > limit * seen:
        raise TrainingStoppedError(
            f"{state.skipped} of {seen} samples are unusable, more than data.max_skip_share="
            f"{limit} (the last: {skipped[-1].reason}, {skipped[-1].shard}); run "
            f"'vlsuite data validate' on the shards"
        )


def _timed_next(steps: Iterator[list[Batch]], clock: StepClock) -> list[Batch]:
    before = time.perf_counter()
    micro_batches = next(steps)
    clock.waited(time.perf_counter() - before)
    return micro_batches


def _evaluate(
    state: TrainState, evaluators: Sequence[Evaluator], report: Report | None, clock: StepClock
) -> None:
    if not evaluators:
        return
    before = time.perf_counter()
    state.engine.eval()
    model = state.embedding_model(f"step {state.step}")
    results = [result for evaluate in evaluators for result in evaluate(model)]
    state.engine.train()
    if report:
        report.evaluation(results)
    clock.paused(time.perf_counter() - before)


def _save(state: TrainState, folder: RunFolder, clock: StepClock) -> None:
    before = time.perf_counter()
    state.save(folder.checkpoints)
    clock.paused(time.perf_counter() - before)
