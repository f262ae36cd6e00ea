"""What the first process of a run tells people and files."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from vlsuite.batches.shuffling import Shuffling
from vlsuite.batches.stream import PairShards
from vlsuite.engine.duration import Duration
from vlsuite.engine.metrics_log import MetricsLog, StepClock, open_boards, progress_line, say
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.shuffling_line import shuffling_line
from vlsuite.engine.start_warnings import start_warnings
from vlsuite.engine.state import TrainState
from vlsuite.engine.training_mode import batch_norm_remark
from vlsuite.objectives.objective import Losses


class Plan:
    """A config's durations in steps, for the training set at hand.

    Args:
        duration: of the whole run.
        samples_per_step: the global batch size.
        samples_per_epoch: of the training set.
    """

    def __init__(
        self, duration: Duration, *, samples_per_step: int, samples_per_epoch: int
    ) -> None:
        self._per_step = samples_per_step
        self._per_epoch = samples_per_epoch
        self.total_steps = self._steps(duration)

    def epoch(self, samples_seen: int) -> float:
        """Passes over the training set, with the fraction of the present one."""
        return samples_seen / self._per_epoch

    def due(self, every: Duration, step: int) -> bool:
        """Whether something that happens ``every`` so often happens after this step."""
        return step % self._steps(every) == 0 or step == self.total_steps

    def _steps(self, duration: Duration) -> int:
        return duration.steps(samples_per_step=self._per_step, samples_per_epoch=self._per_epoch)


class Report:
    """Lines on the terminal and records in the logs.

    Args:
        state: of the run, read whenever something is reported.
    """

    def __init__(self, state: TrainState, folder: RunFolder, plan: Plan) -> None:
        self._state = state
        self._plan = plan
        self._folder = folder
        boards = open_boards(folder, state.config, step=state.step)
        self._log = MetricsLog(folder.metrics, boards, step=state.step)
        self._last_logged = state.step

    def introduce(self, shards: PairShards, shuffling: Shuffling) -> None:
        """Say what is about to happen.

        Args:
            shuffling: the rule of the order.
        """
        state, config = self._state, self._state.config
        trainable = [p for p in state.engine.module.parameters() if p.requires_grad]
        count = sum(getattr(p, "ds_numel", p.numel()) for p in trainable) / 1e6
        say(
            f"{self._folder.path}: {count:.1f}M trainable parameters, "
            f"{shards.described}, "
            f"{state.ctx.world_size} process(es), {config.precision}, {config.deepspeed}, "
            f"step {state.step} of {self._plan.total_steps}"
        )
        say(shuffling_line(config, shards, shuffling))
        world_size = state.ctx.world_size
        remark = batch_norm_remark(
            state.engine.module,
            world_size=world_size,
            accumulates=config.micro_batch_of(world_size) * world_size < config.global_batch_size,
            is_joint=config.sync_batch_norm,
        )
        for told in (*state.built.remarks(), *([f"note: {remark}"] if remark else [])):
            say(told)
        told = start_warnings(
            config, total_steps=self._plan.total_steps, num_samples=shards.num_samples
        )
        for remark in shards.remarks:
            say(f"note: {remark}")
        for problem in (*told, *shards.problems[:10]):
            say(f"warning: {problem}")

    def training(self, losses: Losses, clock: StepClock) -> None:
        """Log the interval that ends with the step just done.

        Loss, learning rate, scalars and gradient norm are those of that step's update: what it was
        computed with. ``samples_seen`` includes its samples.
        """
        state, plan = self._state, self._plan
        for told in state.objective.notices():
            say(told)
        steps = state.step - self._last_logged
        self._last_logged = state.step
        rate = steps / clock.seconds
        values = {
            "step": state.step,
            "samples_seen": state.samples_seen,
            "time": round(time.perf_counter() - clock.started, 3),
            "loss": float(losses.total),
            "terms": {name: float(term) for name, term in losses.terms.items()},
            "learning_rate": state.learning_rate,
            **state.scalars,
            "samples_per_s": rate * state.config.global_batch_size,
            "data_wait_share": clock.data_wait_share,
            "checkpoint_seconds": clock.saving_seconds,
            "eta_s": (plan.total_steps - state.step) / rate,
            "grad_norm": state.grad_norm(),
            "samples": state.counts.to_dict(),
        }
        self._log.record("train", values)
        say(progress_line(values, state.scalars, total_steps=plan.total_steps))

    def evaluation(self, results: Sequence[Mapping[str, Any]]) -> None:
        """Log one round of evaluations."""
        state = self._state
        values = {"step": state.step, "samples_seen": state.samples_seen}
        self._log.evaluation(values, results)
        for result in results:
            scores = result.get("scores", {})
            shown = "  ".join(f"{k} {v['value']:.3f}" for k, v in list(scores.items())[:4])
            say(f"  {result.get('benchmark', '')} {result.get('dataset', '')}: {shown}")

    def finish(self, clock: StepClock) -> None:
        """Say what came out."""
        seconds = time.perf_counter() - clock.started
        say(f"trained to step {self._state.step} in {seconds:.0f}s")
        for what, counted in self._state.counts.to_dict().items():
            if what != "sources" or len(counted) > 1:
                listed = ", ".join(f"{name} {count}" for name, count in counted.items())
                say(f"{what}: {listed}")
        say(f"model: {self._folder.export}")

    def close(self) -> None:
        """Close the logs."""
        self._log.close()
