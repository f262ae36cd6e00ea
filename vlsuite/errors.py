"""Errors a user can cause in training, export and evaluation (family: data_pipelines.errors)."""

from data_pipelines.errors import DataError, ShardError, UserError

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "ModelError",
    "RunFolderError",
    "ShardError",
    "TrainingStoppedError",
    "UnknownNameError",
    "UserError",
]


class ConfigError(UserError):
    """A setting is unknown, of the wrong type, or contradicts another."""


class UnknownNameError(ConfigError):
    """A recipe, model, objective or benchmark name is not registered."""


class ModelError(UserError):
    """A model or its weights cannot be built or loaded."""


class CheckpointError(UserError):
    """A checkpoint is missing, incomplete or belongs to another model."""


class RunFolderError(UserError):
    """A run folder exists already, or cannot be written."""


class TrainingStoppedError(UserError):
    """Training cannot go on (not-finite loss, exhausted data)."""
