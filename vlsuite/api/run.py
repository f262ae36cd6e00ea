"""A finished training run as Python code sees it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import bounded_lines, parsed_record
from vlsuite.api.models import load_model
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.run_folder import RunFolder
from vlsuite.errors import RunFolderError


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What training leaves behind.

    Attributes:
        folder: with the config, the checkpoints, the logs and the exported model.
        step: optimizer updates done.
        samples_seen: over all processes.
        config: as it ran to the end.
    """

    folder: Path
    step: int
    samples_seen: int
    config: TrainConfig

    @property
    def records(self) -> list[dict[str, Any]]:
        """Everything logged, oldest first; "kind" is "train" or "eval".

        Raises:
            RunFolderError: the log is gone or damaged.
        """
        path = RunFolder(self.folder).metrics
        try:
            return [parsed_record(line) for line in bounded_lines(path)]
        except (OSError, ValueError) as error:
            raise RunFolderError(
                f"{path} cannot be read: {error}; the first process of the run writes it"
            ) from error

    @property
    def metrics(self) -> dict[str, Any]:
        """The last training record ("loss", "step", "learning_rate", ...), empty without any."""
        return self._last("train")

    @property
    def validation(self) -> list[dict[str, Any]]:
        """Results of the last evaluation during training, empty without ``validation.data``."""
        return self._last("eval").get("results", [])

    def model(self, *, device: str | None = None) -> Any:
        """The trained model: see ``vlsuite.load_model``."""
        return load_model(self.folder, device=device)

    def _last(self, kind: str) -> dict[str, Any]:
        return next((r for r in reversed(self.records) if r.get("kind") == kind), {})
