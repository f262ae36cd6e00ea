"""``vlsuite export``: a trained model as a folder that other libraries load."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vlsuite.cli.answers import tell
from vlsuite.cli.inputs import refuse_missing_file, refuse_missing_models

if TYPE_CHECKING:
    from vlsuite.export.form import Exported, Form
    from vlsuite.models.family import TrainableModel

HELP = """\
write a model as a folder that open_clip, transformers or plain torch loads, with a model card

  vlsuite export runs/first                                  to runs/first/export
  vlsuite export runs/first --step 2000 --out step2000
  vlsuite export runs/first --format huggingface --out hf    CLIPModel and CLIPProcessor
  vlsuite export ViT-B-32:weights.pt --out converted
  vlsuite export runs/vild --format torchscript --names names.txt    a detector of fixed names

The folder is loaded again with that library alone, and kept only if random pictures and captions
get the same embeddings (of a detector: the same detections).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument(
        "model",
        metavar="RUN_OR_MODEL",
        help="run folder, exported folder, ARCHITECTURE:WEIGHTS, local-dir:FOLDER or hf-hub:NAME",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="new folder (default for a run: its export/ or export_FORM/)",
    )
    parser.add_argument(
        "--format",
        metavar="FORM",
        help="which library is to load it: of dual encoders open_clip (default) or huggingface; "
        "of detectors vild (default: with its teacher, for any names) or torchscript (one file for "
        "fixed names, without teacher); models of other families have their own form",
    )
    parser.add_argument(
        "--names",
        type=Path,
        metavar="FILE",
        help="names that a detector's torchscript is to find, one a line (default: those of its "
        "training)",
    )
    parser.add_argument(
        "--step", type=int, metavar="N", help="checkpoint of a run (default: the newest)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an export that is there already"
    )


def run(args: argparse.Namespace) -> int:
    """Export; returns the exit code.

    Raises:
        UserError: see ``load_stored_model``, ``open_trainable`` and ``export_verified``.
    """
    from vlsuite.errors import ConfigError

    refuse_missing_models(args.model)
    refuse_missing_file(args.names, option="--names", form="a text file, one name a line")
    run_folder = Path(args.model) if _is_run(Path(args.model)) else None
    if args.out is None and run_folder is None:
        raise ConfigError(f"'{args.model}' is not a run folder, so name the new one with --out DIR")
    if args.step is not None and run_folder is None:
        raise ConfigError(f"--step needs a run folder, and '{args.model}' is none")
    from vlsuite.export.verified import check_free, export_verified

    source = _of_run(run_folder, args.step) if run_folder else _of_name(args.model)
    form = _chosen_form(source.built, args.format, args.model)
    names = _names(args.names, form)
    out = args.out or _default_out(Path(args.model), form, source.built)
    check_free(out, form, overwrite=args.overwrite)
    lines = export_verified(_exported(args.model, source, names), form, out)
    tell(folder=out, form=form.name, model=args.model, step=source.step, checks=lines)
    of_step = f", step {source.step}" if source.run else ""
    print(f"{out}: {form.name} form of {args.model}{of_step}")
    for line in lines:
        print(line)
    return 0


class _Source(NamedTuple):
    """What is exported: a model with its weights, and where a run is how far it was."""

    built: "TrainableModel"
    scalars: Mapping[str, float]
    run: Path | None = None
    step: int = 0
    samples_seen: int = 0


def _of_run(run: Path, step: int | None) -> _Source:
    from vlsuite.engine.run_folder import RunFolder
    from vlsuite.engine.stored_model import load_stored_model

    stored = load_stored_model(RunFolder(run), step=step)
    progress = stored.progress
    return _Source(stored.built, stored.scalars, run, progress.step, progress.samples_seen)


def _of_name(name: str) -> _Source:
    from vlsuite.models.dual_encoder.specification import config_of
    from vlsuite.models.folders import open_trainable

    built = open_trainable(Path(name)) if Path(name).is_dir() else config_of(name).build()
    return _Source(built, built.stored_scalars() or {})


def _chosen_form(built: "TrainableModel", name: str | None, model: str) -> "Form":
    from vlsuite.errors import ConfigError

    forms = built.forms()
    chosen = name or next(iter(forms))
    if chosen not in forms:
        raise ConfigError(
            f"{model} cannot be exported as '{chosen}'; its forms: {', '.join(forms)} (--format)"
        )
    return forms[chosen]


def _default_out(run: Path, form: "Form", built: "TrainableModel") -> Path:
    is_own = form.name == next(iter(built.forms()))
    return run / ("export" if is_own else f"export_{form.name}")


def _names(file: Path | None, form: "Form") -> tuple[str, ...]:
    """The lines of the file; none where none is given."""
    from data_pipelines.text_lines import lines_of
    from vlsuite.errors import ConfigError

    if file is None:
        return ()
    if not form.takes_names:
        raise ConfigError(
            f"--names is for a vocabulary that is folded in, which --format {form.name} does not; "
            "leave it out (for a detector: --format torchscript)"
        )
    try:
        lines = lines_of(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--names {file} is no readable text file: {error}") from error
    names = tuple(line.strip() for line in lines if line.strip())
    repeated = [name for name in names if names.count(name) > 1]
    if not names or repeated:
        told = f"'{repeated[0]}' occurs twice" if repeated else "it has no name"
        raise ConfigError(f"--names {file}: {told}; write one name a line, each once")
    return names


def _exported(name: str, source: _Source, names: tuple[str, ...]) -> "Exported":
    import torch

    from vlsuite.engine.state import persistent_buffers
    from vlsuite.export.form import Exported

    module = source.built.module.eval()
    model = source.built.evaluated(name, scalars=source.scalars, device=torch.device("cpu"))
    weights = {n: p.detach() for n, p in module.named_parameters()} | persistent_buffers(module)
    return Exported(
        built=source.built,
        weights=weights,
        scalars=source.scalars,
        model=model,
        name=Path(name).name,
        history=_history(source, model),
        names=names,
    )


def _history(source: _Source, model: Any) -> Any:
    from eval.running.probe import probe_model
    from vlsuite.engine.run_folder import RunFolder
    from vlsuite.export.run_history import read_run

    if source.run is None:
        return None
    has_results = any(RunFolder(source.run).results.glob("*.json"))
    return read_run(
        source.run,
        step=source.step,
        samples_seen=source.samples_seen,
        probe=probe_model(model) if has_results else None,
    )


def _is_run(path: Path) -> bool:
    return (path / "config.json").is_file() and (path / "environment.json").is_file()
