"""imagecorruptions, the usual package of ImageNet-C's corruptions, in an environment of its own.

Its release stops with current NumPy and scikit-image in three of nineteen corruptions (arguments
and names that no longer exist). :mod:`benchmarks.peers.inside.corruption_cells` puts those back and
compiles the loop of glass blur with numba, as the repository's later state does, so that all
nineteen run at the best speed that is published.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.peers import environment as peer_environment
from benchmarks.peers.environment import PeerEnvironment
from benchmarks.support.timed_process import BenchmarkError, run_timed
from eval.corruptions.severities import SEVERITIES, constants_of

VERSION = "1.1.2"

#: setuptools from 81 on lacks pkg_resources, which the package imports.
_REQUIREMENTS = (
    f"imagecorruptions=={VERSION}",
    "numba==0.68.1",
    "opencv-python==4.13.0.92",
    "setuptools<81",
)
_SHARED = ("numpy", "scipy", "scikit-image", "pillow")

#: Corruption and severity.
Cell = tuple[str, int]


class PeerRound(NamedTuple):
    """One pass of the peer over all cells.

    Attributes:
        seconds: processor time of each cell for all pictures together.
        stopped: corruptions that the release cannot run here as it is, and why.
    """

    seconds: dict[Cell, float]
    stopped: dict[str, str]


def prepare_environment(path: Path | None) -> PeerEnvironment:
    """The peer's environment; see ``peer_environment.prepare``."""
    return peer_environment.prepare(
        path or peer_environment.folder_of(f"imagecorruptions-{VERSION}"),
        title=f"imagecorruptions {VERSION}",
        requirements=_REQUIREMENTS,
        reported=("imagecorruptions", "opencv-python", "numba", *_SHARED),
        shared=_SHARED,
    )


def time_round(
    environment: PeerEnvironment,
    pictures: np.ndarray,
    cells: list[Cell],
    *,
    source: Path | None,
    work: Path,
    seed: int,
) -> PeerRound:
    """Corrupt all pictures in every cell, one thread, after a warm-up of each corruption.

    Args:
        pictures: bytes, (pictures, height, width, 3).
        source: folder with the repository's own ``imagecorruptions`` package instead of the
            release.
        work: for files of this round.
    Raises:
        BenchmarkError: the peer fails.
    """
    given = work / "pictures.npy"
    np.save(given, pictures, allow_pickle=False)
    glass = [list(constants_of("glass_blur", severity)) for severity in SEVERITIES]
    options: dict[str, Any] = {"cells": cells, "glass": glass, "seed": seed}
    if source is not None:
        if not (source / "imagecorruptions" / "corruptions.py").is_file():
            raise BenchmarkError(f"no imagecorruptions/corruptions.py in {source}")
        options["source"] = str(source.resolve())
    script = Path(__file__).parent / "inside" / "corruption_cells.py"
    command = [environment.python, "-W", "ignore", script, given, json.dumps(options)]
    report = run_timed(command, cwd=work, threads=1, log=work / "peer.txt")
    shown = json.loads(report.lines[-1].text)
    seconds = {(name, severity): spent for name, severity, spent in shown["seconds"]}
    return PeerRound(seconds, shown["stopped"])
