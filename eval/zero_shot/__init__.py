"""Zero-shot tasks, one a file. ``registry`` finds them by name."""

from vlsuite.registry import Registry

registry: Registry = Registry("zero-shot task", package="eval.zero_shot")
