"""Names register once, and a wrong name shows the closest."""

import pytest

from data_pipelines.registry import Registry
from vlsuite.errors import UnknownNameError
from vlsuite.recipes import registry as recipes


def test_second_use_of_a_name_is_an_error():
    registry: Registry = Registry("thing", package="vlsuite.recipes")
    registry.register("a")(1)
    with pytest.raises(ValueError, match="registered twice"):
        registry.register("a")(2)


def test_unknown_name_lists_the_closest():
    with pytest.raises(UnknownNameError, match="cifar10"):
        recipes.get("cifar")
