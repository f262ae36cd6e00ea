"""The regions of a training set, embedded as the settings of a run say."""

from pathlib import Path
from typing import Any

from vlsuite.batches.data_config import DataConfig
from vlsuite.errors import ConfigError
from vlsuite.models.vild.config import VildConfig, proposal_digest
from vlsuite.models.vild.model import Vild
from vlsuite.models.vild.write_region_cache import (
    ProposalChoice,
    Written,
    write_regions,
)


def embed_training_regions(
    out: Path,
    config: VildConfig,
    data: DataConfig,
    localizer: Vild,
    *,
    keep: int = 300,
    nms: float = 0.9,
    form: str = "int8",
    progress: Any = iter,
) -> Written:
    """Propose and embed regions for runs of ``config`` on ``data``; see ``write_regions``.

    Args:
        out: folder, new or begun.
        config: says teacher, crops and vocabulary.
        localizer: proposes; trained on base names alone.
        keep: regions of a picture, at most.
        nms: IoU above which the worse of two goes.
        form: "int8" or "fp32".
    Raises:
        ConfigError: the settings have no teacher, or ``nms`` is out of range.
    """
    if not 0 < nms <= 1:
        raise ConfigError(f"nms={nms} must lie in (0, 1]")
    teacher = config.build_teacher()
    if teacher is None:
        raise ConfigError(
            f"model.mode={config.mode} has no teacher; set model.mode=vild (or image, ensemble)"
        )
    teacher.to(localizer.device)
    proposals = proposal_digest(localizer.fingerprint, keep=keep, nms=nms)
    source = config.region_source(teacher, proposals, form=form)
    choice = ProposalChoice(localizer, keep, nms)
    return write_regions(out, data, teacher, choice, source, progress=progress)
