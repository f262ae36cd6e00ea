"""``vlsuite export``: a trained model as a folder that open_clip or transformers loads."""

import argparse
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vlsuite.export.run_history import RunHistory
    from vlsuite.models.dual_encoder.clip import Clip
    from vlsuite.models.dual_encoder.config import BuiltModel, OpenClipConfig
    from vlsuite.models.dual_encoder.export_forms import Difference, Form

HELP = """\
write a model as a folder that open_clip or transformers loads, with a model card

  vlsuite export runs/first                                  to runs/first/export
  vlsuite export runs/first --step 2000 --out step2000
  vlsuite export runs/first --format huggingface --out hf    CLIPModel and CLIPProcessor
  vlsuite export ViT-B-32:weights.pt --out converted

The folder is loaded again with that library alone, and kept only if random pictures and captions
get the same embeddings.
"""

_DEFAULT_FOLDERS = {"open_clip": "export", "huggingface": "export_huggingface"}

#: Names of files that an export may consist of; a folder with any other is never replaced.
_EXPORTED = ("*config.json", "*.safetensors", "*token*.json", "README.md")
_EXPORTED += ("vocab.*", "merges.txt", "*.model")
_EXPORTED += ("image_tower", "language_model", "concepts.jsonl")


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
        help="new folder (default for a run: its export/ or export_huggingface/)",
    )
    parser.add_argument(
        "--format",
        choices=tuple(_DEFAULT_FOLDERS),
        default="open_clip",
        help="which library is to load it (default: open_clip)",
    )
    parser.add_argument(
        "--step", type=int, metavar="N", help="checkpoint of a run (default: the newest)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an export that is there already"
    )


class Exportable(NamedTuple):
    """A model ready to be written; ``history`` is None where no run folder tells of it."""

    clip: "Clip"
    built: "BuiltModel"
    logit_bias: float | None
    history: "RunHistory | None"


def run(args: argparse.Namespace) -> int:
    """Export; returns the exit code."""
    from vlsuite.errors import ConfigError

    out = args.out or _default_out(args.model, args.format)
    if out is None:
        raise ConfigError(f"'{args.model}' is not a run folder, so name the new one with --out DIR")
    _check_free(out, overwrite=args.overwrite)
    if _is_nevlp_run(Path(args.model)):
        from vlsuite.cli.export_nevlp import export_nevlp

        return export_nevlp(
            Path(args.model), out, step=args.step, form=args.format, take_name=_take_name
        )

    from vlsuite.models.dual_encoder.export_forms import FORMS

    model = _open(args.model, args.step)
    found = export_verified(model, FORMS[args.format], out)
    of_step = f", step {model.history.step}" if model.history else ""
    print(f"{out}: {args.format} form of {args.model}{of_step}")
    print(f"largest difference after loading it with {FORMS[args.format].library} alone:")
    print(
        f"  images {found.images:.1e}  texts {found.texts:.1e}  scale and bias {found.logits:.1e}"
    )
    return 0


def export_verified(model: Exportable, form: "Form", out: Path) -> "Difference":
    """Write, load again, compare, and only then give the folder its name.

    Returns:
        The largest differences found.
    Raises:
        ModelError: the form cannot express the model, or gives other embeddings.
        RunFolderError: the folder cannot be written.
    """
    from vlsuite.errors import ModelError
    from vlsuite.models.dual_encoder.export_forms import TOLERANCE, difference
    from vlsuite.models.dual_encoder.model_card import write_model_card

    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        form.write(
            unfinished,
            model.built,
            model.built.encoder.state_dict(),
            logit_scale=model.clip.logit_scale,
            logit_bias=model.logit_bias,
        )
        found = difference(model.clip, form.reload(unfinished))
        if not found.is_small:
            raise ModelError(
                f"{form.library} gives other embeddings for the exported {model.clip.name} "
                f"(images {found.images:.1e}, texts {found.texts:.1e}, scale and bias "
                f"{found.logits:.1e}; at most {TOLERANCE:.0e}); nothing was kept. Please report "
                f"this architecture"
            )
        name = Path(model.clip.name).name
        write_model_card(
            unfinished, model.built, name=name, library=form.library, history=model.history
        )
        _take_name(unfinished, out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return found


def _open(spec: str, step: int | None) -> Exportable:
    """The model of a run's checkpoint, or any that ``open_model`` knows.

    Raises:
        ConfigError: --step without a run.
        UserError: see ``load_stored_model`` and ``config_of``.
    """
    from vlsuite.errors import ConfigError
    from vlsuite.models.dual_encoder.specification import config_of

    if _is_run(Path(spec)):
        return _open_run(Path(spec), step)
    if step is not None:
        raise ConfigError(f"--step needs a run folder, and '{spec}' is none")
    config = config_of(spec)
    built = config.build()
    assert built.logit_scale is not None, "config_of asks for weights"
    scale, bias = built.logit_scale, built.logit_bias
    clip = _clip(spec, config, built, logit_scale=scale, logit_bias=bias)
    return Exportable(clip, built, bias, None)


def _open_run(run: Path, step: int | None) -> Exportable:
    from eval.running.probe import probe_model
    from vlsuite.engine.run_folder import RunFolder
    from vlsuite.engine.stored_model import load_stored_model
    from vlsuite.export.run_history import read_run

    folder = RunFolder(run)
    stored = load_stored_model(folder, step=step)
    scale, bias = stored.logit_scale, stored.logit_bias
    clip = _clip(str(run), stored.config, stored.built, logit_scale=scale, logit_bias=bias)
    history = read_run(
        run,
        step=stored.progress.step,
        samples_seen=stored.progress.samples_seen,
        probe=probe_model(clip) if any(folder.results.glob("*.json")) else None,
    )
    return Exportable(clip, stored.built, bias, history)


def _clip(
    name: str,
    config: "OpenClipConfig",
    built: "BuiltModel",
    *,
    logit_scale: float,
    logit_bias: float | None,
) -> "Clip":
    import torch

    from vlsuite.models.dual_encoder.clip import Clip, tokenizer_of

    return Clip(
        name,
        built,
        tokenizer_of(config, built),
        encode=built.encoder.eval(),
        logit_scale=logit_scale,
        logit_bias=logit_bias or 0.0,
        device=torch.device("cpu"),
    )


def _default_out(spec: str, form: str) -> Path | None:
    return Path(spec) / _DEFAULT_FOLDERS[form] if _is_run(Path(spec)) else None


def _is_run(path: Path) -> bool:
    return (path / "config.json").is_file() and (path / "environment.json").is_file()


def _is_nevlp_run(path: Path) -> bool:
    from vlsuite.engine.run_folder import RunFolder
    from vlsuite.engine.stored_nevlp import is_nevlp_run

    return _is_run(path) and is_nevlp_run(RunFolder(path))


def _check_free(out: Path, *, overwrite: bool) -> None:
    """Refuse to write over anything but an export.

    Raises:
        RunFolderError: the folder is in use.
    """
    from vlsuite.errors import RunFolderError

    if not out.exists():
        return
    if not out.is_dir():
        raise RunFolderError(f"{out} is a file; choose another folder with --out")
    entries = sorted(path.name for path in out.iterdir())
    foreign = [name for name in entries if not any(fnmatch(name, p) for p in _EXPORTED)]
    if foreign:
        raise RunFolderError(
            f"{out} holds other files ('{foreign[0]}'); choose another folder with --out"
        )
    if entries and not overwrite:
        raise RunFolderError(
            f"{out} holds an export already; replace it with --overwrite, or choose another "
            f"folder with --out"
        )


def _take_name(unfinished: Path, out: Path) -> None:
    from vlsuite.errors import RunFolderError

    replaced = out.with_name(f".{out.name}.replaced")
    try:
        shutil.rmtree(replaced, ignore_errors=True)
        if out.exists():
            out.rename(replaced)
        unfinished.rename(out)
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        raise RunFolderError(
            f"cannot write {out}: {error.strerror}; choose another folder with --out"
        ) from error
