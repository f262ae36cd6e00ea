"""Named runs as configs to look at and to change."""

from typing import Any

from data_pipelines.settings import apply_overrides
from vlsuite.api.setting_values import apply_values
from vlsuite.engine.config import TrainConfig
from vlsuite.recipes import registry


def recipe(name: str, /, *overrides: str, **values: Any) -> TrainConfig:
    """The config of a named run, with some of its settings changed.

    Args:
        name: of the recipe; ``vlsuite train --list-recipes`` prints all.
        overrides: as behind ``--set`` of the command line: "optim.lr=1e-3".
        values: settings by name or group, each of its own type or as text; they come after
            ``overrides``.
    Returns:
        A frozen dataclass; ``dataclasses.replace`` changes it further.
    Raises:
        UnknownNameError: no such recipe, objective or model; the message has the closest names.
        ConfigError: an unknown setting or an impossible value.

    Example::

        config = vlsuite.recipe("emoji", "optim.lr=5e-4", duration="2epochs")
        config = vlsuite.recipe("emoji", optim={"lr": 5e-4, "warmup_steps": 50})
        config = vlsuite.recipe("emoji", **{"optim.lr": 5e-4, "objective": "siglip"})
    """
    return apply_values(apply_overrides(registry.get(name)(), overrides), values)
