"""Minimise a smooth convex function by L-BFGS, with the curvature that is known beforehand.

Liu and Nocedal 1989, Mathematical Programming 45, 503. A bound of the Hessian is where it starts
from instead of the identity: for features of very unequal spread, which embeddings are, that is
several times fewer steps.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

#: Pairs of steps and gradient changes that are remembered, as in scikit-learn's.
_MEMORY = 10
_HALVINGS = 25
_DECREASE = 1e-4
#: Relative error of a mean of losses that were computed in fp32 and added in fp64.
_ROUNDING = 1e-8

#: A point to the value there and the gradient.
Function = Callable[[Tensor], tuple[float, Tensor]]


class Minimum(NamedTuple):
    """Where the search ended.

    Attributes:
        point: fp64.
        value: of the function there.
        steps: that were made.
        converged: whether no coordinate of the gradient exceeds the tolerance.
    """

    point: Tensor
    value: float
    steps: int
    converged: bool


class _Curvature:
    """What the last steps tell about the Hessian, on top of its bound."""

    def __init__(self, solve: Callable[[Tensor], Tensor]) -> None:
        self._solve = solve
        self._pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=_MEMORY)
        self._scale = 1.0

    def direction(self, gradient: Tensor) -> Tensor:
        """The quasi-Newton step."""
        rest, weights = gradient.clone(), []
        for step, change, inverse in reversed(self._pairs):
            weights.append(inverse * _dot(step, rest))
            rest -= weights[-1] * change
        found = self._scale * self._solve(rest)
        for (step, change, inverse), weight in zip(self._pairs, reversed(weights), strict=True):
            found += (weight - inverse * _dot(change, found)) * step
        return -found

    def learn(self, step: Tensor, change: Tensor) -> None:
        """Take in a step, unless rounding hides its curvature."""
        curvature = _dot(step, change)
        if curvature <= 1e-12 * _dot(step, step):
            return
        self._pairs.append((step, change, 1 / curvature))
        self._scale = curvature / _dot(change, self._solve(change))

    def forget(self) -> bool:
        """Drop everything; whether there was anything."""
        had = bool(self._pairs)
        self._pairs.clear()
        self._scale = 1.0
        return had


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopping:
    """When a search ends.

    Args:
        tolerance: greatest coordinate of the gradient, in size.
        max_steps: at most so many.
    """

    tolerance: float
    max_steps: int


def minimise(
    function: Function, start: Tensor, *, solve: Callable[[Tensor], Tensor], stopping: Stopping
) -> Minimum:
    """Go downhill from ``start``.

    Args:
        function: convex; its values may be off by the rounding of fp32.
        start: fp64.
        solve: the inverse of a bound of the Hessian, applied to a tensor like ``start``.
        stopping: when to end; where rounding hides every decrease it ends as well.
    """
    point, curvature = start, _Curvature(solve)
    value, gradient = function(point)
    for steps in range(stopping.max_steps):
        if float(gradient.abs().max()) <= stopping.tolerance:
            return Minimum(point, value, steps, True)
        found = _downhill(function, point, value, gradient, curvature.direction(gradient))
        if found is None:
            if curvature.forget():
                continue
            return Minimum(point, value, steps, False)
        curvature.learn(found.point - point, found.gradient - gradient)
        point, value, gradient = found
    converged = float(gradient.abs().max()) <= stopping.tolerance
    return Minimum(point, value, stopping.max_steps, converged)


class _Reached(NamedTuple):
    point: Tensor
    value: float
    gradient: Tensor


def _downhill(
    function: Function, point: Tensor, value: float, gradient: Tensor, direction: Tensor
) -> _Reached | None:
    """The first of 1, 1/2, 1/4... of the way that goes down enough (Armijo 1966).

    Where the decrease is lost in rounding, the gradient along the way tells.
    """
    slope = _dot(gradient, direction)
    if slope >= 0:
        return None
    length, noise = 1.0, _ROUNDING * max(1.0, abs(value))
    for _ in range(_HALVINGS):
        reached = point + length * direction
        there, gradient_there = function(reached)
        if there <= value + _DECREASE * length * slope:
            return _Reached(reached, there, gradient_there)
        if there <= value + noise and abs(_dot(gradient_there, direction)) <= -0.9 * slope:
            return _Reached(reached, there, gradient_there)
        length /= 2
    return None


def _dot(one: Tensor, other: Tensor) -> float:
    return float((one * other).sum())
