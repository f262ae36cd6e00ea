"""MLflow: a run's numbers, scores with the ends of their intervals, example pictures.

The server is the one that MLFLOW_TRACKING_URI names, else MLflow's own default. One that stops to
answer costs the run a warning: metrics.jsonl has every number anyway.
"""

import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipelines.printable import masked_values, one_line
from data_pipelines.settings import flat_values
from vlsuite.engine.dashboards import StoredIds
from vlsuite.engine.example_pictures import draw_example
from vlsuite.engine.validation_scores import ValidationExample, ValidationScore
from vlsuite.errors import ConfigError

_SERVICE = "mlflow"
#: What names of metrics and keys of pictures may not have.
_REFUSED = re.compile(r"[^A-Za-z0-9_\-. /]")
#: Of one request, in MLflow's REST interface.
_MOST_METRICS, _MOST_PARAMS = 1000, 100
_MOST_LETTERS = 500  # of a parameter's value


class MlflowBoard:
    """A ``Dashboard``; a continued run goes on in the same run of MLflow.

    Args:
        experiment: of MLflow; made where it is missing.
        config: the run's parameters.
        folder: run folder, whose name is that of the run.
        ids: where its id is kept.
    Raises:
        ConfigError: mlflow is not installed, or its server refuses.
    """

    def __init__(self, experiment: str, config: Any, folder: Path, ids: StoredIds) -> None:
        try:
            from mlflow.exceptions import MlflowException  # type: ignore[import-not-found]
            from mlflow.tracking import MlflowClient  # type: ignore[import-not-found]
        except ImportError as error:
            raise ConfigError(
                "logging.mlflow_experiment is set but mlflow is not installed; run "
                "'pip install vlsuite[mlflow]' or unset it"
            ) from error
        self._failure: type[Exception] = MlflowException
        try:
            self._client = MlflowClient()
            self._id = self._begun(experiment, config, folder, ids)
        except MlflowException as error:
            raise ConfigError(
                f"logging.mlflow_experiment={experiment}: MLflow refuses: "
                f"{one_line(str(error))[:300]}; set MLFLOW_TRACKING_URI, or unset the setting"
            ) from error
        self._is_lost = False

    def numbers(self, values: Mapping[str, float], *, step: int) -> None:
        """See ``Dashboard``."""
        from mlflow.entities import Metric  # type: ignore[import-not-found]

        now = int(time.time() * 1000)
        told = [Metric(_name(name), value, now, step) for name, value in values.items()]
        for first in range(0, len(told), _MOST_METRICS):
            part = told[first : first + _MOST_METRICS]
            self._try(lambda part=part: self._client.log_batch(self._id, metrics=part))

    def evaluation(
        self,
        scores: Sequence[ValidationScore],
        examples: Sequence[ValidationExample],
        *,
        step: int,
    ) -> None:
        """See ``Dashboard``."""
        self.numbers({name: v for score in scores for name, v in score.numbers.items()}, step=step)
        for one in examples:
            key = _name(f"{one.tag}/{one.number}")
            picture = draw_example(one.example)
            self._try(
                lambda key=key, picture=picture: self._client.log_image(
                    self._id, picture, key=key, step=step
                )
            )

    def close(self) -> None:
        """See ``Dashboard``."""
        self._try(lambda: self._client.set_terminated(self._id))

    def _begun(self, experiment: str, config: Any, folder: Path, ids: StoredIds) -> str:
        known = ids.of(_SERVICE)
        if known is not None:
            self._client.update_run(known, status="RUNNING")
            return known
        found = self._client.get_experiment_by_name(experiment)
        number = (
            found.experiment_id if found is not None else self._client.create_experiment(experiment)
        )
        run_id = self._client.create_run(number, run_name=folder.name).info.run_id
        ids.keep(_SERVICE, run_id)
        self._tell(run_id, config)
        return run_id

    def _tell(self, run_id: str, config: Any) -> None:
        from mlflow.entities import Param  # type: ignore[import-not-found]

        values = flat_values(masked_values(config)).items()
        told = [Param(_name(key), str(value)[:_MOST_LETTERS]) for key, value in values]
        for first in range(0, len(told), _MOST_PARAMS):
            self._client.log_batch(run_id, params=told[first : first + _MOST_PARAMS])

    def _try(self, call: Callable[[], Any]) -> None:
        """Once it fails, nothing more is sent: each further try could take minutes."""
        if self._is_lost:
            return
        try:
            call()
        except self._failure as error:
            self._is_lost = True
            print(
                f"warning: MLflow failed ({one_line(str(error))[:200]}); it gets nothing more of "
                "this run, metrics.jsonl has every number",
                file=sys.stderr,
                flush=True,
            )


def _name(text: str) -> str:
    """A name that MLflow takes."""
    return _REFUSED.sub("_", text)
