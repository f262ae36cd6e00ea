"""Model families, one a file. ``registry`` finds their configs by name."""

from vlsuite.registry import Registry

registry: Registry = Registry("model family", package="vlsuite.models")
