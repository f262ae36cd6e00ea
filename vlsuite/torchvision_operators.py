"""torchvision's compiled operators, which run only beside the torch that they were built for.

A torchvision of another build fails at its import or at the first use, deep in a stack
(pytorch/vision issues 9077 and 9085). Here that becomes one line.
"""

from importlib import metadata

from vlsuite.errors import ConfigError

_SIGNS = ("torchvision::", "torchvision/_C", "load custom C++ ops")


def mismatch(error: BaseException) -> ConfigError | None:
    """The line for an error that comes from a torchvision of another build; None for any other."""
    text = str(error)
    if not any(sign in text for sign in _SIGNS):
        return None
    return ConfigError(
        f"torchvision {_version('torchvision')} was not built for torch {_version('torch')}: its "
        "operators are missing; install both from one index in one command (pip install "
        "--force-reinstall torch torchvision)"
    )


def require_operators() -> None:
    """Run NMS and RoIAlign once.

    Raises:
        ConfigError: they are missing.
    """
    try:
        import torch
        from torchvision.ops import nms, roi_align

        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
        nms(boxes, torch.ones(1), 0.5)
        roi_align(torch.zeros(1, 1, 4, 4), [boxes], 1)
    except (RuntimeError, ImportError, OSError, AttributeError) as error:
        raise mismatch(error) or error from error


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(not installed)"
