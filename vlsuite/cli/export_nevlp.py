"""``vlsuite export`` of a NEVLP run: a folder with all its parts, read back and compared."""

import shutil
from collections.abc import Callable
from pathlib import Path

from vlsuite.errors import ConfigError, ModelError


def export_nevlp(
    run: Path, out: Path, *, step: int | None, form: str, take_name: Callable[[Path, Path], None]
) -> int:
    """Write, load again, compare, and only then give the folder its name; returns the exit code.

    Args:
        form: asked for on the command line; only vlsuite's own exists.
        take_name: gives a finished folder its name.
    Raises:
        ConfigError: another form is asked for.
        ModelError: the folder gives another model back.
        CheckpointError, RunFolderError: see ``load_stored_nevlp``, ``write_nevlp_folder``.
    """
    import torch

    from vlsuite.engine.run_folder import RunFolder
    from vlsuite.engine.stored_nevlp import load_stored_nevlp
    from vlsuite.models.nevlp.folder import write_nevlp_folder
    from vlsuite.models.nevlp.model import Nevlp
    from vlsuite.models.opening import open_model

    if form == "huggingface":
        raise ConfigError(
            f"{run} trains a NEVLP model, which transformers has no class for; leave --format out"
        )
    stored = load_stored_nevlp(RunFolder(run), step=step)
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    stored.built.encoder.eval()
    before = Nevlp(
        str(run), stored.built, logit_scale=stored.logit_scale, device=torch.device("cpu")
    )
    try:
        weights = dict(stored.built.encoder.named_parameters())
        weights |= dict(stored.built.encoder.named_buffers())
        kept = stored.built.encoder.state_dict().keys()
        weights = {name: value for name, value in weights.items() if name in kept}
        write_nevlp_folder(unfinished, stored.built, weights, logit_scale=stored.logit_scale)
        if open_model(str(unfinished)).fingerprint != before.fingerprint:
            raise ModelError(
                f"the exported {run} is not the same model when it is loaded again; nothing was "
                "kept. Please report its image tower and language model"
            )
        take_name(unfinished, out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    print(f"{out}: NEVLP model of {run}, step {stored.progress.step}")
    print("loaded again: all weights, the preprocessing and the tokenizers are the same")
    return 0
