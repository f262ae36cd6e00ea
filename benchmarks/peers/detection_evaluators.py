"""pycocotools and lvis, the published evaluators of detectors, in an environment of their own."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from benchmarks.peers import environment as peer_environment
from benchmarks.peers.environment import PeerEnvironment
from benchmarks.support.timed_process import run_timed

_REQUIREMENTS = ("pycocotools==2.0.11", "lvis==0.5.3")
_SHARED = ("numpy", "matplotlib")


class PeerFigures(NamedTuple):
    """What a peer made of a set; NaN where nothing is.

    Attributes:
        seconds: processor time from parsed JSON to figures.
        precision, recall: of each class.
    """

    seconds: float
    precision: Float64[np.ndarray, "thresholds classes areas"]
    recall: Float64[np.ndarray, "thresholds classes areas"]


def prepare_environment(path: Path | None) -> PeerEnvironment:
    """The peers' environment; see ``peer_environment.prepare``."""
    return peer_environment.prepare(
        path or peer_environment.folder_of("detection-evaluators"),
        title="pycocotools and lvis",
        requirements=_REQUIREMENTS,
        reported=("pycocotools", "lvis", *_SHARED),
        shared=_SHARED,
    )


def measure(
    environment: PeerEnvironment,
    kind: str,
    annotations: dict[str, Any],
    results: list[dict[str, Any]],
    *,
    work: Path,
) -> PeerFigures:
    """Figures of boxes by one of the peers, on one thread.

    Args:
        kind: "coco" or "lvis".
        work: for files of this round.
    Raises:
        BenchmarkError: the peer fails.
    """
    given = work / "asked.json"
    asked = {"kind": kind, "annotations": annotations, "results": results}
    given.write_text(json.dumps(asked))
    script = Path(__file__).parent / "inside" / "detection_figures.py"
    command = [environment.python, "-W", "ignore", script, given]
    report = run_timed(command, cwd=work, threads=1, log=work / "peer.txt")
    shown = json.loads(report.lines[-1].text)

    def known(name: str) -> np.ndarray:
        values = np.array(shown[name])
        return np.where(values == -1, np.nan, values)

    return PeerFigures(shown["seconds"], known("precision"), known("recall"))
