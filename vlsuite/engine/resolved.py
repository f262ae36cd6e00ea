"""What a run took from its pretrained weights, kept beside its config.

A config names weights; what they bring along (how pictures are prepared) is looked up, and the
answer may change with a later version. A run keeps the values that it began with.
"""

from typing import Any

from data_pipelines.bounded_json import read_object
from vlsuite.engine.metrics_log import say
from vlsuite.engine.run_folder import RunFolder, write_json
from vlsuite.errors import RunFolderError
from vlsuite.models.family import TrainableModel


def keep_resolved(
    built: TrainableModel, folder: RunFolder, *, continues: bool, is_first: bool
) -> None:
    """Give a continued run its own values back, or write those of a new one.

    Args:
        built: the model; changed in place where the run has other values.
        continues: whether the run was restored from a checkpoint.
        is_first: whether this process writes and speaks.
    Raises:
        RunFolderError: the file is damaged, or cannot be written.
    """
    stored = _read(folder)
    if stored is not None or continues:
        remark = built.take_resolved(stored)
        if remark and is_first:
            say(remark)
        return
    values = built.resolved()
    if values and is_first:
        try:
            write_json(folder.resolved, dict(values))
        except OSError as error:
            raise RunFolderError(
                f"cannot write {folder.resolved}: {error.strerror}; mend permissions or free space"
            ) from error


def _read(folder: RunFolder) -> dict[str, Any] | None:
    """None where there is no such file: an old run, or a new one."""
    if not folder.resolved.is_file():
        return None
    try:
        return read_object(folder.resolved)
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"cannot read {folder.resolved}: {error}; restore it from a copy, or remove it if the "
            f"run began before there was one"
        ) from error
