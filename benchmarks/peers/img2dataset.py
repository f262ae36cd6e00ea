"""img2dataset, the usual downloader of URL lists, in an environment of its own."""

import sys
from pathlib import Path

from benchmarks.peers import environment as peer_environment
from benchmarks.peers.environment import PeerEnvironment
from benchmarks.support.timed_process import BenchmarkError

VERSION = "1.47.0"

_LAST_PYTHON = (3, 12)  # it imports imghdr, which later ones lack


def prepare_environment(path: Path | None) -> PeerEnvironment:
    """The peer's environment; see ``peer_environment.prepare``.

    Raises:
        BenchmarkError: this Python is too new for it, or it cannot be installed.
    """
    if path is None and sys.version_info[:2] > _LAST_PYTHON:
        raise BenchmarkError(
            f"img2dataset {VERSION} needs Python 3.12 or older; make an environment with it and "
            "name that with --peer-env"
        )
    return peer_environment.prepare(
        path or peer_environment.folder_of(f"img2dataset-{VERSION}"),
        title=f"img2dataset {VERSION}",
        requirements=(f"img2dataset=={VERSION}",),
        reported=("img2dataset", "opencv-python-headless", "albumentations", "numpy"),
        shared=(),
    )


def command(environment: PeerEnvironment, urls: Path, out: Path, *, threads: int) -> list[str]:
    """Words that fetch a list by one process, as the other side does."""
    return [
        str(environment.python.with_name("img2dataset")),
        f"--url_list={urls}",
        f"--output_folder={out}",
        "--output_format=webdataset",
        "--processes_count=1",
        f"--thread_count={threads}",
        "--image_size=256",
        "--resize_mode=border",
        "--compute_hash=sha256",
        "--encode_quality=95",
    ]
