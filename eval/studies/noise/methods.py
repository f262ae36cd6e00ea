"""The methods of the study, as objectives for the same towers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from eval.errors import EvaluationError
from vlsuite.objectives.clip import ClipConfig
from vlsuite.objectives.elr import ElrConfig
from vlsuite.objectives.kl_robust import KlRobustConfig
from vlsuite.objectives.label_smoothing import LabelSmoothingConfig
from vlsuite.objectives.nitc import NitcConfig
from vlsuite.objectives.rde import RdeConfig
from vlsuite.objectives.siglip import SiglipConfig
from vlsuite.objectives.triplet import TripletConfig


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the study.

    Attributes:
        objective: makes the config of its objective.
        clean_only: trained on the pairs that the noise leaves alone (an oracle).
        token_selection: the model has RDE's second embedding.
    """

    objective: Callable[[], Any]
    clean_only: bool = False
    token_selection: bool = False


# At larger ones, wrong pairs cost a pretrained model so much that its first steps undo it; the
# same for all softmax methods, the oracle included.
_SCALE = 5.0


def _rde(*, divide: bool = True) -> RdeConfig:
    return RdeConfig(tau=0.05, divide=divide)


METHODS: Mapping[str, Method] = {
    "infonce": Method(lambda: ClipConfig(init_logit_scale=_SCALE)),
    "siglip": Method(SiglipConfig),
    "triplet": Method(TripletConfig),
    "label_smoothing": Method(lambda: LabelSmoothingConfig(init_logit_scale=_SCALE)),
    "kl_robust": Method(lambda: KlRobustConfig(init_logit_scale=_SCALE)),
    "elr": Method(lambda: ElrConfig(init_logit_scale=_SCALE)),
    "nitc": Method(lambda: NitcConfig(form="targets", init_logit_scale=_SCALE)),
    "nitc_weights": Method(lambda: NitcConfig(form="weights", init_logit_scale=_SCALE)),
    "tal": Method(lambda: _rde(divide=False), token_selection=True),
    "rde": Method(_rde, token_selection=True),
    "rde_global": Method(_rde),
    "oracle": Method(lambda: ClipConfig(init_logit_scale=_SCALE), clean_only=True),
    "oracle_rde": Method(lambda: _rde(divide=False), clean_only=True, token_selection=True),
}

#: Trained on the same images with every caption right, as far as the data are.
ORACLES = {"rde": "oracle_rde", "tal": "oracle_rde"}


def oracle_of(method: str) -> str:
    """The oracle of the same architecture and kind of loss."""
    return ORACLES.get(method, "oracle")


def method_named(name: str) -> Method:
    """A method by name.

    Raises:
        EvaluationError: there is none.
    """
    if name not in METHODS:
        raise EvaluationError(f"no method '{name}' in the study; there are: {', '.join(METHODS)}")
    return METHODS[name]
