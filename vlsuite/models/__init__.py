"""Model families, one a folder. ``registry`` finds their settings by name."""

from data_pipelines.registry import Registry

registry: Registry = Registry("model family", package="vlsuite.models")
