"""The model of ``vlsuite omnibench run``: its name, and the settings of its kind as options."""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from vlsuite.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from eval.respondents.contract import Respondent
    from eval.respondents.question import OmniQuestion

_FORMS = (
    "URL#MODEL, transformers:FOLDER_OR_HUB_NAME, dual:CLIP[+AUDIO], random, majority, longest, echo"
)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """``--model`` and the settings of each kind, all None where they are not given."""
    from eval.respondents.endpoint_settings import EndpointSettings
    from eval.respondents.transformers_settings import TransformersSettings
    from vlsuite.cli.options import add_options

    parser.add_argument("--model", required=True, metavar="MODEL", help=_FORMS)
    for told, cls, names in (
        ("prompts (endpoints and transformers)", EndpointSettings, _of_both()),
        ("endpoints", EndpointSettings, _names(EndpointSettings) - _of_both()),
        ("models run here", TransformersSettings, _names(TransformersSettings) - _of_both()),
    ):
        group = parser.add_argument_group(told)
        add_options(group, cls, only=names)
    group.add_argument("--device", help="cpu, cuda, cuda:1 (default: a GPU where there is one)")
    parser.set_defaults(no_cache=None)


def chosen_respondent(
    args: argparse.Namespace, questions: "Sequence[OmniQuestion]"
) -> "Respondent":
    """The model that ``--model`` names, ready to be asked these questions.

    Raises:
        ConfigError: no such kind of model, or an option it does not take.
        UserError: it cannot be built or loaded.
    """
    from eval.opening import ARCHITECTURE, open_model, parsed, settings_of
    from eval.respondents.contract import respondent_of

    name = _full_name(args.model)
    kind = parsed(name)
    if kind.kind == ARCHITECTURE and not kind.halves[1]:
        raise ConfigError(f"unknown model '{args.model}'; forms: {_FORMS}")
    cls = settings_of(name)
    given = _given(args, cls)
    settings = () if cls is None else cls(**given)
    model = open_model(name, device=_device(args, cls), settings=settings)
    respondent = respondent_of(model, questions)
    if respondent is None:
        raise ConfigError(
            f"{args.model} answers no questions; a model that embeds is asked as dual:{args.model}"
        )
    return respondent


def _full_name(model: str) -> str:
    """ "random" is short for "baseline:random"."""
    from eval.respondents.baselines import KIND, NAMES

    return f"{KIND}:{model}" if model in NAMES else model


def _given(args: argparse.Namespace, cls: type | None) -> dict[str, Any]:
    """The settings that the user gave.

    Raises:
        ConfigError: the kind of model does not have one of them.
    """
    from eval.respondents.endpoint_settings import EndpointSettings
    from eval.respondents.transformers_settings import TransformersSettings

    own = set() if cls is None else _names(cls)
    known = _names(EndpointSettings) | _names(TransformersSettings)
    given = {name: getattr(args, name) for name in sorted(known)}
    given = {name: value for name, value in given.items() if value is not None}
    for name in given.keys() - own:
        what = "models run here" if name not in _names(EndpointSettings) else "endpoints"
        what = "models that are prompted" if name in _of_both() else what
        raise _refusal(args, name, what)
    return given | ({"seed": args.seed} if "seed" in own else {})


def _device(args: argparse.Namespace, cls: type | None) -> "str | torch.device":
    from eval.respondents.baselines import RuleSettings
    from eval.respondents.endpoint_settings import EndpointSettings

    if cls in (EndpointSettings, RuleSettings):
        if args.device is not None:
            raise _refusal(args, "device", "models run here")
        return "cpu"
    import torch

    return args.device or ("cuda" if torch.cuda.is_available() else "cpu")


def _refusal(args: argparse.Namespace, name: str, what: str) -> ConfigError:
    option = name.replace("_", "-")
    return ConfigError(f"--{option} is for {what}, not for --model {args.model}; leave it")


def _of_both() -> set[str]:
    """Settings of all models that are prompted."""
    from eval.respondents.endpoint_settings import EndpointSettings
    from eval.respondents.transformers_settings import TransformersSettings

    return _names(EndpointSettings) & _names(TransformersSettings)


def _names(cls: type) -> set[str]:
    return {field.name for field in fields(cls)}
