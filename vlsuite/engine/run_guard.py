"""Everything that keeps a run from being lost: signals, time limits, checkpoints."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

from vlsuite.engine.agreement import Alarm, StopRequest
from vlsuite.engine.checkpoint_writer import CheckpointWriter
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.distributed import Context
from vlsuite.engine.launcher import launcher_process, watched
from vlsuite.engine.metrics_log import say
from vlsuite.engine.peers import peers_lost_as_error
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.state import TrainState
from vlsuite.engine.watchdog import Watchdog
from vlsuite.errors import CheckpointError


class RunGuard:
    """A context for the whole of a run.

    Args:
        config, ctx, folder: of the run.

    Attributes:
        stop: whether this process was asked to stop.
        alarm: due when the run should be saved by the clock.
    """

    def __init__(self, config: TrainConfig, ctx: Context, folder: RunFolder) -> None:
        self.stop = StopRequest()
        self.alarm = Alarm(config.checkpoint.every_minutes)
        self._ctx = ctx
        self._folder = folder
        self._watchdog = Watchdog(
            config.stall_timeout, folder.path / f"stalled-rank{ctx.rank:05d}.txt"
        )
        self._writer = CheckpointWriter(
            folder.checkpoints,
            keep=config.checkpoint.keep,
            keep_hours=config.checkpoint.keep_hours,
        )
        self._exits = ExitStack()

    def __enter__(self) -> "RunGuard":
        self._exits.enter_context(peers_lost_as_error(self._ctx.world_size))
        if self._ctx.is_first:
            self._exits.enter_context(self._folder.held())
        self._exits.callback(self._finish_after_error)
        self._exits.enter_context(self.stop.listening())
        self._exits.enter_context(
            watched(lambda: self.stop.ask("its launcher is gone"), launcher=launcher_process())
        )
        self._exits.enter_context(self._watchdog.watching())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return self._exits.__exit__(kind, error, trace)

    def at_end(self, close: Callable[[], None]) -> None:
        """Call ``close`` at the end of the run, however it ends."""
        self._exits.callback(close)

    def enter(self, phase: str) -> None:
        """Begin a phase that must not take longer than ``stall_timeout``.

        Raises:
            CheckpointError: a checkpoint could not be written meanwhile.
        """
        self._writer.check()
        self._watchdog.enter(phase)

    def rest(self) -> None:
        """What follows may take any time."""
        self._watchdog.rest()

    def save(self, state: TrainState) -> float:
        """Begin to write a checkpoint; every process calls.

        Returns:
            Seconds for which training stood still.
        Raises:
            CheckpointError: the former checkpoint could not be written.
        """
        before = time.perf_counter()
        self._watchdog.enter("copying the state for a checkpoint")
        snapshot = state.snapshot()
        self.rest()
        if snapshot is not None:
            self._writer.submit(snapshot)
        self.alarm.restart()
        return time.perf_counter() - before

    def finish_saving(self) -> None:
        """Wait until the last checkpoint is on the disk; every process calls.

        Raises:
            CheckpointError: it could not be written.
        """
        self.rest()
        self._writer.finish()
        self._ctx.barrier()

    def _finish_after_error(self) -> None:
        """Let a checkpoint in progress reach the disk; its error must not hide the first one."""
        try:
            self._writer.finish()
        except CheckpointError as error:
            say(f"error: {error}")
