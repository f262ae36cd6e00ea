"""Methods that look at the picture, by name; text-only ones are perturbers."""

from collections.abc import Callable

from data_pipelines.registry import Registry
from eval.xmai.chunks import CaptionSource, Method
from eval.xmai.specs import MethodSpec

#: Makes a method for a source in the process that runs it; loads its models.
MethodBuilder = Callable[[MethodSpec, CaptionSource], Method]

methods: Registry[MethodBuilder] = Registry("method", package="eval.xmai", variable="methods")
