"""SPICE (Anderson et al. 2016, arXiv 1607.08822) by its authors' Java program.

The program parses captions into scene graphs and cannot be replaced by a few formulas. It comes
with the package pycocoevalcap (extra "captioning"), needs Java, and needs Stanford's CoreNLP 3.6.0,
which that package downloads when its own SPICE is first used. Nothing is downloaded here.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from data_pipelines.bounded_json import read_json
from eval.errors import EvaluationError

_JAR = "spice-1.0.jar"
_PARSER = "lib/stanford-corenlp-3.6.0.jar"
_MEMORY = "-Xmx8G"


def spice_missing() -> str | None:
    """What SPICE lacks on this machine, in one line; None: nothing."""
    if shutil.which("java") is None:
        return "SPICE needs Java; install a Java runtime"
    folder = _folder()
    if folder is None:
        return "SPICE needs the package pycocoevalcap: pip install 'vlsuite[captioning]'"
    if not (folder / _PARSER).is_file():
        return (
            "SPICE needs CoreNLP; fetch it once with python -c "
            "'from pycocoevalcap.spice.spice import Spice; Spice()'"
        )
    return None


def spice_values(
    captions: Sequence[str], references: Sequence[Sequence[str]]
) -> Float64[np.ndarray, " images"]:
    """SPICE (the F value over all tuples) of each image, in [0, 1].

    Args:
        captions: of each image, as words joined by spaces.
        references: the same of its reference captions.
    Raises:
        EvaluationError: what ``spice_missing`` says, or the program fails.
    """
    folder = _folder()
    if (lack := spice_missing()) is not None or folder is None:
        raise EvaluationError(lack or "SPICE is not installed")
    entries = [
        {"image_id": i, "test": caption, "refs": list(own)}
        for i, (caption, own) in enumerate(zip(captions, references, strict=True))
    ]
    with tempfile.TemporaryDirectory(prefix="vlsuite-spice-") as temporary:
        given, answered = Path(temporary, "captions.json"), Path(temporary, "scores.json")
        given.write_text(json.dumps(entries))
        command = ["java", _MEMORY, "-jar", _JAR, str(given), "-out", str(answered)]
        outcome = subprocess.run(
            [*command, "-subset", "-silent"], cwd=folder, capture_output=True, text=True
        )
        if outcome.returncode or not answered.is_file():
            lines = [
                line for line in outcome.stderr.splitlines() if "Error" in line or "Exce" in line
            ]
            reason = lines[0].strip()[:200] if lines else f"exit code {outcome.returncode}"
            raise EvaluationError(f"SPICE failed: {reason}; it was made for Java 8")
        found = {item["image_id"]: item["scores"]["All"]["f"] for item in _read(answered)}
    return np.array([float(found[i]) for i in range(len(entries))], dtype=np.float64)


def _read(path: Path) -> list[dict]:
    return read_json(path)


def _folder() -> Path | None:
    found = find_spec("pycocoevalcap")
    places = found.submodule_search_locations if found else None
    return Path(next(iter(places)), "spice") if places else None
