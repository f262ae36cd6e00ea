"""Model families, one a file. ``registry`` finds their configs by name."""

from data_pipelines.registry import Registry

registry: Registry = Registry("model family", package="vlsuite.models")
