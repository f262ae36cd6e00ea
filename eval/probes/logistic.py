"""Multinomial logistic regression with an L2 penalty, on embeddings.

minimise  sum_i -log softmax(W x_i + b)[y_i] + l2 / 2 |W|^2,

the bias b without penalty: scikit-learn's objective with C = 1 / l2. Its Hessian is at most half of
the features' second moments, for each class, plus the penalty (Boehning 1992, Annals of the
Institute of Statistical Mathematics 44, 197); that bound starts the search.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from eval.metrics.ranking import full_precision
from eval.probes.preconditioned import Stopping, minimise

#: Logits held at a time: 32 MiB as fp32.
_LOGITS_AT_A_TIME = 2**23
_MOST_SAMPLES = 2**15
#: Features up to so many numbers are fitted in fp64, where it costs nothing.
_SMALL = 2**22
#: Keeps the bound invertible where features repeat each other.
_JITTER = 1e-10


class Classifier(NamedTuple):
    """A fitted classifier.

    Attributes:
        weights: fp64; the last column is the bias.
        loss: nats a sample, with the penalty.
        steps: of the search.
        converged: whether the search reached its tolerance.
    """

    weights: Float64[Tensor, "classes features_and_bias"]
    loss: float
    steps: int
    converged: bool


class LogisticProblem:
    """Some labelled features, to be fitted with any penalty.

    Args:
        features: fp32, on any device; one copy is held, less their mean: the bias makes up for it,
            and fp32 is lost on what all features have in common.
        labels: from 0 on, every class at least once.
        num_classes: two at least.
    """

    def __init__(
        self,
        features: Float[Tensor, "samples features"],
        labels: Int64[Tensor, " samples"],
        *,
        num_classes: int,
    ) -> None:
        self._mean = features.mean(dim=0, dtype=torch.float64)
        dtype = torch.float64 if features.numel() <= _SMALL else torch.float32
        self._features = features.to(dtype) - self._mean.to(dtype)
        self._labels = labels.to(features.device)
        self._num_classes = num_classes
        self._moments = _second_moments(self._features)

    def fit(
        self,
        l2: float,
        *,
        stopping: Stopping,
        start: Float64[Tensor, "classes features_and_bias"] | None = None,
    ) -> Classifier:
        """The minimum for one penalty.

        Args:
            l2: of the sum over samples, as in the module's formula; positive.
            stopping: its tolerance is that of the gradient of the mean over samples.
            start: weights to begin with; None begins at 0. It changes the time, not the minimum.
        """
        num_samples, num_features = self._features.shape
        penalty = l2 / num_samples
        factor = self._bound(penalty)
        if start is None:
            shape = (self._num_classes, num_features + 1)
            start = torch.zeros(shape, dtype=torch.float64, device=self._features.device)
        with full_precision(), torch.no_grad():
            found = minimise(
                lambda weights: self._value(weights, penalty),
                self._moved(start, 1.0),
                solve=lambda weights: torch.cholesky_solve(weights.T, factor).T,
                stopping=stopping,
            )
        weights = self._moved(found.point, -1.0)
        return Classifier(weights, found.value, found.steps, found.converged)

    def _moved(self, weights: Tensor, direction: float) -> Tensor:
        """With the bias that belongs to features less their mean (1), or to those given (-1)."""
        bias = weights[:, -1] + direction * (weights[:, :-1] @ self._mean)
        return torch.cat([weights[:, :-1], bias[:, None]], dim=1)

    def _bound(self, penalty: float) -> Tensor:
        """Cholesky factor of what no Hessian exceeds."""
        bound = self._moments / 2
        diagonal = torch.full((len(bound),), penalty, dtype=bound.dtype, device=bound.device)
        diagonal[-1] = 0.0
        diagonal += _JITTER * float(bound.diagonal().mean())
        return torch.linalg.cholesky(bound + torch.diag(diagonal))

    def _value(self, weights: Tensor, penalty: float) -> tuple[float, Tensor]:
        """Mean loss with penalty, and its gradient; classes come first, which is the faster way."""
        dtype = self._features.dtype
        linear, bias = weights[:, :-1].to(dtype), weights[:, -1:].to(dtype)
        gradient = torch.zeros_like(linear)
        gradient_of_bias = torch.zeros_like(weights[:, -1])
        loss = 0.0
        for span in _spans(len(self._features), self._num_classes):
            features, labels = self._features[span], self._labels[None, span]
            logs = F.log_softmax(torch.addmm(bias, linear, features.T), dim=0)
            loss -= float(logs.gather(0, labels).sum(dtype=torch.float64))
            errors = logs.exp_()
            errors.scatter_add_(0, labels, errors.new_full(labels.shape, -1.0))
            gradient.addmm_(errors, features)
            gradient_of_bias += errors.sum(dim=1, dtype=torch.float64)
        count = len(self._features)
        whole = torch.cat([gradient.double(), gradient_of_bias[:, None]], dim=1) / count
        whole[:, :-1] += penalty * weights[:, :-1]
        square = float(weights[:, :-1].square().sum())
        return loss / count + penalty / 2 * square, whole


def logits_of(
    classifier: Float64[Tensor, "classes features_and_bias"],
    features: Float[Tensor, "samples features"],
) -> Float[Tensor, "samples classes"]:
    """Scores of the classes, fp32."""
    weights = classifier.float().to(features.device)
    with full_precision():
        return F.linear(features, weights[:, :-1], weights[:, -1])


def places(
    classifier: Float64[Tensor, "classes features_and_bias"],
    features: Float[Tensor, "samples features"],
    labels: Int64[np.ndarray, " samples"],
) -> Int64[np.ndarray, " samples"]:
    """How many classes are ahead of each sample's own; at equal scores the lower class is ahead."""
    device, found = classifier.device, []
    numbers = torch.arange(len(classifier), device=device)
    for span in _spans(len(features), len(classifier)):
        logits = logits_of(classifier, features[span].to(device))
        targets = torch.from_numpy(labels[span]).to(device)[:, None]
        own = logits.gather(1, targets)
        ahead = (logits > own) | ((logits == own) & (numbers < targets))
        found.append(ahead.sum(dim=1).cpu().numpy())
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def _second_moments(features: Tensor) -> Tensor:
    """Means of the products of two features, the constant 1 being the last of them; fp64."""
    num_features = features.shape[1]
    moments = torch.zeros(
        (num_features + 1, num_features + 1), dtype=torch.float64, device=features.device
    )
    with full_precision():
        for span in _spans(len(features), num_features):
            part = features[span]
            moments[:-1, :-1] += part.T @ part
            moments[:-1, -1] += part.sum(dim=0)
    moments[-1, :-1], moments[-1, -1] = moments[:-1, -1], len(features)
    return moments / len(features)


def _spans(num_samples: int, width: int) -> list[slice]:
    size = min(max(_LOGITS_AT_A_TIME // width, 1), _MOST_SAMPLES)
    return [slice(start, start + size) for start in range(0, num_samples, size)]
