"""imagehash, the usual package of perceptual hashes, in an environment of its own."""

import json
from pathlib import Path
from typing import NamedTuple

from benchmarks.peers import environment as peer_environment
from benchmarks.peers.environment import PeerEnvironment
from benchmarks.support.timed_process import run_timed

VERSION = "4.3.2"

_SHARED = ("numpy", "scipy", "pillow")


class PeerHashes(NamedTuple):
    """Hashes of pictures in their order, and processor seconds a pass over all, of each pass."""

    bits: list[int]
    seconds: list[float]


def prepare_environment(path: Path | None) -> PeerEnvironment:
    """The peer's environment; see ``peer_environment.prepare``."""
    return peer_environment.prepare(
        path or peer_environment.folder_of(f"imagehash-{VERSION}"),
        title=f"imagehash {VERSION}",
        requirements=(f"ImageHash=={VERSION}",),
        reported=("ImageHash", *_SHARED),
        shared=_SHARED,
    )


def hashes(environment: PeerEnvironment, folder: Path, *, rounds: int) -> PeerHashes:
    """``imagehash.phash`` of every file of a folder in the order of their names, decode included.

    Raises:
        BenchmarkError: the peer fails.
    """
    script = Path(__file__).parent / "inside" / "imagehash_rates.py"
    command = [environment.python, script, folder, str(rounds)]
    log = folder.with_name(f"{folder.name}-peer.txt")
    report = run_timed(command, cwd=folder, threads=1, log=log)
    shown = json.loads(report.lines[-1].text)
    return PeerHashes([int(text, 16) for text in shown["hashes"]], shown["seconds"])
