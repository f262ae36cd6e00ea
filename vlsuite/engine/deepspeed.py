"""The one place where a training config becomes a DeepSpeed engine."""

import difflib
from importlib import resources
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from data_pipelines.bounded_json import read_json
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.distributed import Context
from vlsuite.engine.full_precision import optimizer_that_keeps_fp32
from vlsuite.errors import ConfigError

#: Keys the training config owns; a DeepSpeed file that sets one of them is refused.
_OWNED = {
    "train_batch_size",
    "train_micro_batch_size_per_gpu",
    "gradient_accumulation_steps",
    "gradient_clipping",
    "optimizer",
    "scheduler",
    "bf16",
    "fp16",
    "amp",
    "torch_autocast",
    "steps_per_print",
}


def deepspeed_settings(config: TrainConfig, *, world_size: int) -> dict[str, Any]:
    """DeepSpeed's own settings merged with what the training config decides.

    Every key whose default has changed between DeepSpeed versions is written out.

    Raises:
        ConfigError: no such settings file, not JSON, a key that the training config owns, or
            ``compile`` with ZeRO 3, whose parameters have no shape while torch traces.
    """
    settings = _read_settings(config.deepspeed)
    doubled = sorted(_OWNED & settings.keys())
    if doubled:
        raise ConfigError(
            f"deepspeed={config.deepspeed}: {', '.join(doubled)} belongs to the training config; "
            f"remove it there and use --set (precision, optim.grad_clip_norm, micro_batch_size)"
        )
    if config.compile and _zero_stage(settings) == 3:
        raise ConfigError(
            f"compile=true does not go with deepspeed={config.deepspeed}: torch cannot trace "
            "weights that ZeRO 3 keeps apart; leave compile out, or take deepspeed=zero2"
        )
    micro = config.micro_batch_of(world_size)
    return {
        **settings,
        "train_batch_size": config.global_batch_size,
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": config.global_batch_size // (micro * world_size),
        "gradient_clipping": config.optim.grad_clip_norm or 0.0,
        "bf16": {"enabled": config.precision == "bf16"},
        "fp16": {
            "enabled": config.precision == "fp16",
            "loss_scale": 0,
            "initial_scale_power": 16,
            "loss_scale_window": 1000,
            "hysteresis": 2,
        },
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 2**62,
        "wall_clock_breakdown": False,
    }


def offloads_optimizer(settings: dict[str, Any]) -> bool:
    """Whether optimizer states live in host memory."""
    return "offload_optimizer" in settings.get("zero_optimization", {})


def _zero_stage(settings: dict[str, Any]) -> int:
    zero = settings.get("zero_optimization")
    return zero.get("stage", 0) if isinstance(zero, dict) else 0


def start_engine(
    encoder: nn.Module, optimizer: Optimizer, settings: dict[str, Any], *, ctx: Context
) -> Any:
    """Wrap the towers in a DeepSpeed engine; world size 1 included.

    Raises:
        ConfigError: parameters must stay fp32 where DeepSpeed cannot keep them so.
    """
    import deepspeed

    encoder.to(ctx.device)
    given = optimizer_that_keeps_fp32(encoder, optimizer, settings)
    engine, *_ = deepspeed.initialize(model=encoder, optimizer=given, config=settings)
    return engine


def _read_settings(name: str) -> dict[str, Any]:
    folder = resources.files("deepspeed_configs")
    if name.endswith(".json"):
        source: Any = Path(name)
    else:
        source = folder.joinpath(f"{name}.json")
    try:
        settings = read_json(source)
    except OSError as error:
        known = sorted(p.name.removesuffix(".json") for p in folder.iterdir() if ".json" in p.name)
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
        raise ConfigError(
            f"no DeepSpeed settings '{name}'; {hint}, or give a .json path"
        ) from error
    except ValueError as error:
        raise ConfigError(f"DeepSpeed settings {name} are not JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"DeepSpeed settings {name} must be a JSON object")
    return settings
