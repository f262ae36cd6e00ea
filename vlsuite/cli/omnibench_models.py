"""Models of ``vlsuite omnibench run`` by their specification, with the options they take."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vlsuite.errors import ConfigError

if TYPE_CHECKING:
    from eval.respondents.contract import Respondent
    from eval.respondents.cost import Account, Estimate
    from eval.respondents.question import OmniQuestion, Prompted

_FORMS = (
    "URL#MODEL, transformers:FOLDER_OR_HUB_NAME, dual:CLIP[+AUDIO], random, majority, longest, echo"
)
_HTTP = ("http://", "https://")

#: Options that only some kinds of model take, by kind.
_PROMPTED = ("style", "system", "max_tokens")
_ENDPOINT = (
    "key_env",
    "audio_part",
    "max_side",
    "temperature",
    "max_tokens_field",
    "extra",
    "concurrency",
    "requests_per_minute",
    "tokens_per_minute",
    "timeout",
    "tries",
    "first_wait",
    "cache",
    "no_cache",
    "price_in",
    "price_out",
    "max_cost",
)
_LOCAL = ("batch_size", "device")


class Model(NamedTuple):
    """A respondent, and the style of its prompts; empty for one that gets none."""

    respondent: "Respondent"
    style: str


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """``--model`` and the options of each kind."""
    add = parser.add_argument
    add("--model", required=True, metavar="MODEL", help=_FORMS)
    prompts = parser.add_argument_group("prompts (endpoints and transformers)")
    add = prompts.add_argument
    add("--style", help="vlsuite (default), upstream, lmms or evalscope: order, options, wording")
    add("--system", metavar="TEXT", help="system prompt (default: none)")
    add("--max-tokens", type=int, metavar="N", help="of an answer (default: 512; transformers 128)")
    _add_endpoint(parser.add_argument_group("endpoints"))
    local = parser.add_argument_group("models run here")
    local.add_argument(
        "--batch-size", type=int, metavar="N", help="questions at a time (default 1)"
    )
    local.add_argument("--device", help="cpu, cuda, cuda:1 (default: a GPU where there is one)")


def _add_endpoint(group: "argparse._ArgumentGroup") -> None:
    from eval.respondents.media_parts import AUDIO_FORMS

    add = group.add_argument
    add("--key-env", metavar="NAME", help="environment variable with the API key (default: no key)")
    add(
        "--audio-part",
        choices=AUDIO_FORMS,
        help="how sounds are sent: input_audio (OpenAI, vLLM; default), data_uri (the same with a "
        "data URI: DashScope), audio_url (vLLM)",
    )
    add(
        "--max-side", type=int, metavar="PX", help="scale larger pictures down (default: as stored)"
    )
    add("--temperature", metavar="T", help="0 (default), another number, or none to send none")
    add(
        "--max-tokens-field",
        choices=("max_tokens", "max_completion_tokens"),
        help="how the endpoint calls the limit of an answer (default: max_tokens)",
    )
    add("--extra", metavar="JSON", help="further fields of the request, as a JSON object")
    add("--concurrency", type=int, metavar="N", help="requests at a time (default: 8)")
    add("--requests-per-minute", type=float, metavar="N", help="(default: no limit)")
    add("--tokens-per-minute", type=float, metavar="N", help="as estimated (default: no limit)")
    add("--timeout", type=float, metavar="S", help="seconds a try may take (default: 120)")
    add("--tries", type=int, metavar="N", help="of one question (default: 8)")
    add("--first-wait", type=float, metavar="S", help="before the second try; doubles (default: 1)")
    add(
        "--cache",
        type=Path,
        metavar="DIR",
        help="where paid answers are kept (default: $XDG_CACHE_HOME/vlsuite/answers, else "
        "~/.cache/vlsuite/answers)",
    )
    add("--no-cache", action="store_const", const=True, help="keep no answers, pay each time")
    add("--price-in", type=float, metavar="P", help="of a million tokens sent (default: 0)")
    add("--price-out", type=float, metavar="P", help="of a million tokens written (default: 0)")
    add("--max-cost", type=float, metavar="C", help="stop before this command has cost more")


def build_respondent(args: argparse.Namespace, questions: "Sequence[OmniQuestion]") -> Model:
    """The model that ``--model`` names.

    Raises:
        ConfigError: no such kind of model, or an option it does not take.
        UserError: it cannot be built or loaded.
    """
    spec: str = args.model
    if spec.startswith(_HTTP):
        _refuse(args, _LOCAL, "models run here")
        return _endpoint(args)
    _refuse(args, _ENDPOINT, "endpoints")
    if spec.startswith("transformers:"):
        return _transformers(args)
    _refuse(args, _PROMPTED, "models that are prompted")
    if spec.startswith("dual:"):
        _refuse(args, ("batch_size",), "transformers models")
        return Model(_dual(args), "")
    _refuse(args, _LOCAL, "models run here")
    from eval.respondents.baselines import NAMES, baseline

    if spec not in NAMES:
        raise ConfigError(f"unknown model '{spec}'; forms: {_FORMS}")
    return Model(baseline(spec, questions, seed=args.seed), "")


def account_of(respondent: "Respondent") -> "Account | None":
    """What an endpoint has counted; None for other models."""
    return getattr(respondent, "account", None)


def estimate_of(respondent: "Respondent", questions: "Sequence[Prompted]") -> "Estimate | None":
    """What asking an endpoint would take; None for other models."""
    estimate = getattr(respondent, "estimate", None)
    return None if estimate is None else estimate(questions)


def _endpoint(args: argparse.Namespace) -> Model:
    from eval.respondents.cost import Price
    from eval.respondents.endpoint import Endpoint, api_key_from
    from eval.respondents.endpoint_config import EndpointConfig, EndpointLimits
    from eval.respondents.response_cache import ResponseCache
    from eval.respondents.retry import Backoff

    url, _, name = args.model.partition("#")
    told = {
        "style": args.style,
        "max_tokens": args.max_tokens,
        "max_tokens_field": args.max_tokens_field,
        "audio_form": args.audio_part,
        "extra": _extra(args.extra),
    }
    config = EndpointConfig(
        url=url,
        model=name,
        system=args.system,
        max_side=args.max_side,
        **_given(told),
        **_temperature(args.temperature),
    )
    pressed = {
        "concurrency": args.concurrency,
        "timeout": args.timeout,
        "backoff": Backoff(**_given({"tries": args.tries, "base": args.first_wait})),
    }
    limits = EndpointLimits(
        requests_per_minute=args.requests_per_minute,
        tokens_per_minute=args.tokens_per_minute,
        max_cost=args.max_cost,
        **_given(pressed),
    )
    price = Price(args.price_in or 0.0, args.price_out or 0.0)
    if args.max_cost is not None and not (price.input or price.output):
        raise ConfigError("--max-cost needs the prices: --price-in and --price-out, a million")
    if args.cache is not None and args.no_cache:
        raise ConfigError("--cache and --no-cache exclude each other; leave one of them out")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = args.cache or base / "vlsuite" / "answers"
    respondent = Endpoint(
        config,
        limits=limits,
        cache=None if args.no_cache else ResponseCache(folder),
        api_key=api_key_from(args.key_env),
        price=price,
    )
    return Model(respondent, config.style)


def _transformers(args: argparse.Namespace) -> Model:
    from eval.respondents.omni_transformers import OmniConfig, load_omni

    told = {
        "style": args.style,
        "max_tokens": args.max_tokens,
        "batch_size": args.batch_size,
        "device": args.device,
    }
    name = args.model.removeprefix("transformers:")
    config = OmniConfig(model=name, system=args.system, **_given(told))
    return Model(load_omni(config), config.style)


def _dual(args: argparse.Namespace) -> "Respondent":
    import torch

    from eval.respondents.dual_encoder import load_dual

    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    return load_dual(args.model, device=device)


def _given(told: dict[str, Any]) -> dict[str, Any]:
    """Without what was not given, so that defaults stand in one place."""
    return {name: value for name, value in told.items() if value is not None}


def _refuse(args: argparse.Namespace, names: Sequence[str], what: str) -> None:
    for name in names:
        if getattr(args, name) is not None:
            option = name.replace("_", "-")
            raise ConfigError(f"--{option} is for {what}, not for --model {args.model}; leave it")


def _temperature(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    if text == "none":
        return {"temperature": None}
    try:
        value = float(text)
        if not 0 <= value < float("inf"):
            raise ValueError("it must be 0 or above and finite")
        return {"temperature": value}
    except ValueError as error:
        raise ConfigError(f"--temperature {text}: give a number or none") from error


def _extra(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--extra is no JSON ({error}); give an object") from error
    if not isinstance(found, dict):
        raise ConfigError("--extra is no JSON object; give one like '{\"seed\": 0}'")
    return found
