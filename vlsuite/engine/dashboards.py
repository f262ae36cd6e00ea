"""Where a run shows its numbers besides its own files: what each such place takes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from data_pipelines.bounded_json import read_object
from vlsuite.engine.run_folder import write_json
from vlsuite.engine.validation_scores import ValidationExample, ValidationScore


@runtime_checkable
class Dashboard(Protocol):
    """TensorBoard, Weights & Biases or MLflow; only the first process of a run has any."""

    def numbers(self, values: Mapping[str, float], *, step: int) -> None:
        """Show numbers by path ("train/loss").

        Raises:
            RunFolderError: they are kept in the run folder, and the disk is full or gone.
        """
        ...

    def evaluation(
        self,
        scores: Sequence[ValidationScore],
        examples: Sequence[ValidationExample],
        *,
        step: int,
    ) -> None:
        """Show one round of evaluations: scores with intervals, and pictures of examples.

        Raises:
            RunFolderError: as above.
        """
        ...

    def close(self) -> None:
        """Everything is shown; the run is over or stops.

        Raises:
            RunFolderError: as above.
        """
        ...


class StoredIds:
    """What the run is called on servers, so that continuing it continues its curves there.

    Args:
        path: a JSON file in the run folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, service: str) -> str | None:
        """The id of the run on a service; None where it has none yet."""
        found = self._read().get(service)
        return found if isinstance(found, str) and found else None

    def keep(self, service: str, run_id: str) -> None:
        """Remember it.

        Raises:
            OSError: the run folder cannot be written.
        """
        write_json(self._path, {**self._read(), service: run_id})

    def _read(self) -> dict[str, Any]:
        try:
            return read_object(self._path)
        except (OSError, ValueError):
            return {}
