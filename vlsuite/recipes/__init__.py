"""Named runs: functions that return a TrainConfig. ``registry`` finds them by name."""

from collections.abc import Callable
from typing import Any

from data_pipelines.registry import Registry

registry: Registry[Callable[[], Any]] = Registry("recipe", package="vlsuite.recipes")
