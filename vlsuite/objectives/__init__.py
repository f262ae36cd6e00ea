"""Training objectives, one a file. ``registry`` finds them by name."""

from data_pipelines.registry import Registry

registry: Registry = Registry("objective", package="vlsuite.objectives")
