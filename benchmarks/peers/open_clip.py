"""open_clip_train, the reference CLIP trainer, in an environment of its own.

What each setting of :func:`train` is for:

- ``--dataset-type webdataset --train-num-samples N --epochs 1``: the N samples as one epoch. The
  loader repeats the shards by itself, in a new order each time, so it neither restarts nor
  refills between passes as it would with ``--epochs``. This favours the peer slightly.
- ``--workers``: 1 is the most useful on two cores (0 decodes inside the train loop, 2 take turns
  with the two compute threads); the loader refuses more workers than shards.
- ``--precision fp32 --device cpu``: its default, mixed precision, is slower than fp32 on a CPU.
- ``--beta1 --beta2 --eps``: its ViT defaults, given because it chooses them by looking for "vit"
  anywhere in the model's name, and ours is a folder.
- ``--log-every-n-steps``: few lines; nothing is reported elsewhere (``--report-to`` unset).
- no ``--grad-clip-norm``, ``--lr-scheduler cosine``, default augmentation: its defaults.
- no validation data, one checkpoint at the end.
"""

import json
import re
from pathlib import Path

from benchmarks.peers import environment as peer_environment
from benchmarks.peers.environment import PeerEnvironment
from benchmarks.support.timed_process import BenchmarkError, ProcessReport, run_timed
from benchmarks.support.trainer_settings import MODEL_CONFIG, Progress, TrainerRun, TrainerSettings

VERSION = "3.3.0"

#: With webdataset 1.0.2 its loader stops with KeyError: 'fname'; with numpy 2.4 its zero-shot
#: accuracy stops with "only 0-dimensional arrays can be converted to Python scalars".
_REQUIREMENTS = (f"open_clip_torch[training]=={VERSION}", "webdataset==0.2.86", "numpy<2.4")

_REPORTED_PACKAGES = ("open_clip_torch", "webdataset", "torch", "torchvision", "numpy", "pillow")

_PROGRESS = re.compile(r"Train Epoch: \d+ \[\s*(\d+)/\d+ ")


def default_environment() -> Path:
    """Folder where the peer is installed unless another is asked for."""
    return Path.home() / ".cache" / "vlsuite" / "peers" / f"open_clip_train-{VERSION}"


def prepare_environment(path: Path) -> PeerEnvironment:
    """open_clip_train's environment; see ``peer_environment.prepare``."""
    return peer_environment.prepare(
        path,
        title=f"open_clip_train {VERSION}",
        requirements=_REQUIREMENTS,
        reported=_REPORTED_PACKAGES,
    )


def train(settings: TrainerSettings, environment: PeerEnvironment, folder: Path) -> TrainerRun:
    """Train with the peer; its log, checkpoint and exported model end up in ``folder``.

    The process runs inside ``folder`` and the model is named by a relative path, because the
    peer looks for "vit" and "coca" in the whole name.

    Raises:
        BenchmarkError: the peer fails or prints no progress.
    """
    folder.mkdir(parents=True)
    _write_description(folder / "architecture")
    command = [environment.python, "-m", "open_clip_train.main", *_arguments(settings)]
    report = run_timed(command, cwd=folder, threads=settings.threads, log=folder / "output.txt")
    model = folder / "model"
    _export(folder / "logs" / "run" / "checkpoints" / "epoch_1.pt", model)
    return TrainerRun(
        progress=parse_progress(report),
        seconds=report.seconds,
        peak_bytes=report.peak_bytes,
        model=model,
    )


def parse_progress(report: ProcessReport) -> tuple[Progress, ...]:
    """Samples seen by the arrival time of each progress line.

    The rate the peer prints is that of the last batch alone, so it is not used.
    """
    matches = [(line.seconds, _PROGRESS.search(line.text)) for line in report.lines]
    # the log goes to standard error and to a file; each line arrives once
    return tuple(
        Progress(samples_seen=int(match[1]), seconds=seconds) for seconds, match in matches if match
    )


def zero_shot_top1(
    model: Path,
    environment: PeerEnvironment,
    *,
    shard: Path,
    class_names: Path,
    templates: tuple[str, ...],
    threads: int,
    log: Path,
) -> float:
    """Share of right answers that the peer's own evaluation code gives a model, 0 to 1."""
    command = [
        environment.python,
        Path(__file__).parent / "inside" / "zero_shot.py",
        *("--model", model, "--shard", shard, "--class-names", class_names),
        *(word for template in templates for word in ("--template", template)),
    ]
    report = run_timed(command, cwd=model, threads=threads, log=log)
    return json.loads(report.lines[-1].text)["top1"]


def _arguments(settings: TrainerSettings) -> list[str | Path]:
    beta1, beta2 = settings.betas
    options = {
        "train-data": "::".join(str(shard) for shard in settings.shards),
        "dataset-type": "webdataset",
        "train-num-samples": settings.num_samples,
        "epochs": 1,
        "model": "local-dir:architecture",
        "device": "cpu",
        "precision": "fp32",
        "batch-size": settings.batch_size,
        "workers": settings.workers,
        "lr": settings.learning_rate,
        "wd": settings.weight_decay,
        "warmup": settings.warmup_steps,
        "beta1": beta1,
        "beta2": beta2,
        "eps": settings.eps,
        "log-every-n-steps": settings.log_every,
        "seed": settings.seed,
        "logs": "logs",
        "name": "run",
    }
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def _write_description(folder: Path) -> None:
    folder.mkdir()
    content = {"model_cfg": json.loads(MODEL_CONFIG.read_text()), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(content, indent=2) + "\n")


def _export(checkpoint: Path, folder: Path) -> None:
    """The peer's checkpoint as a folder that open_clip's "local-dir:" scheme loads."""
    import torch
    from safetensors.torch import save_file

    if not checkpoint.is_file():
        raise BenchmarkError(f"open_clip_train left no checkpoint at {checkpoint}")
    weights = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    _write_description(folder)
    contiguous = {name: value.contiguous() for name, value in weights.items()}
    save_file(contiguous, folder / "open_clip_model.safetensors")
