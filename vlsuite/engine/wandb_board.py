"""Weights & Biases: a run's numbers, scores with the ends of their intervals, example pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipelines.printable import masked_values, one_line, printable
from vlsuite.engine.dashboards import StoredIds
from vlsuite.engine.example_pictures import draw_example
from vlsuite.engine.validation_scores import ValidationExample, ValidationScore
from vlsuite.errors import ConfigError

_SERVICE = "wandb"


class WandbBoard:
    """A ``Dashboard``; a continued run goes on in the same run of Weights & Biases.

    Args:
        project: of Weights & Biases.
        config: shown beside the run.
        folder: run folder, whose name is that of the run.
        ids: where its id is kept.
    Raises:
        ConfigError: wandb is not installed, or refuses.
    """

    def __init__(self, project: str, config: Any, folder: Path, ids: StoredIds) -> None:
        try:
            import wandb  # type: ignore[import-not-found]
        except ImportError as error:
            raise ConfigError(
                "logging.wandb_project is set but wandb is not installed; run "
                "'pip install vlsuite[wandb]' or unset it"
            ) from error
        self._wandb = wandb
        try:
            self._run = wandb.init(
                project=project,
                config=masked_values(config),
                dir=str(folder),
                name=folder.name,
                id=ids.of(_SERVICE),
                resume="allow",
            )
        except wandb.Error as error:
            raise ConfigError(
                f"logging.wandb_project={project}: Weights & Biases refuses: "
                f"{one_line(str(error))[:300]}; run 'wandb login', set WANDB_MODE=offline, or "
                "unset the setting"
            ) from error
        ids.keep(_SERVICE, str(self._run.id))

    def numbers(self, values: Mapping[str, float], *, step: int) -> None:
        """See ``Dashboard``."""
        self._run.log(dict(values), step=step)

    def evaluation(
        self,
        scores: Sequence[ValidationScore],
        examples: Sequence[ValidationExample],
        *,
        step: int,
    ) -> None:
        """See ``Dashboard``."""
        shown: dict[str, Any] = {}
        for score in scores:
            shown |= score.numbers
        for one in examples:
            told = printable(str(one.example["query"]["text"])) or None
            picture = self._wandb.Image(draw_example(one.example), caption=told)
            shown.setdefault(one.tag, []).append(picture)
        self._run.log(shown, step=step)

    def close(self) -> None:
        """See ``Dashboard``."""
        self._run.finish()
