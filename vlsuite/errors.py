"""Errors a user can cause in training, export and evaluation (family: data_pipelines.errors)."""

from data_pipelines.errors import (
    BadSampleError,
    ConfigError,
    DataError,
    ShardError,
    UnknownNameError,
    UserError,
)

__all__ = [
    "BadSampleError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "LostContactError",
    "ModelError",
    "RunFolderError",
    "ShardError",
    "StopRequestedError",
    "TrainingStoppedError",
    "UnknownNameError",
    "UserError",
]


class ModelError(UserError):
    """A model or its weights cannot be built or loaded."""


class CheckpointError(UserError):
    """A checkpoint is missing, incomplete or belongs to another model."""


class RunFolderError(UserError):
    """A run folder exists already, or cannot be written."""


class TrainingStoppedError(UserError):
    """Training cannot go on (not-finite loss, exhausted data)."""


class StopRequestedError(UserError):
    """The run was asked to stop (SIGTERM, SIGUSR1) and has saved its state: continue it.

    75 is EX_TEMPFAIL of sysexits.h.
    """

    exit_code = 75


class LostContactError(UserError):
    """Another process, host or worker died or hangs; the run continues from its last checkpoint.

    76 is EX_PROTOCOL of sysexits.h.
    """

    exit_code = 76
