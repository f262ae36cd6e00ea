"""Processor time and results of imagehash.phash over the pictures of a folder.

Runs inside the peer's environment (see peers/imagehash.py), so it imports nothing of ours. The
last line printed is one JSON object.
"""

import io
import json
import sys
import time
from pathlib import Path

import imagehash  # pyright: ignore[reportMissingImports]
from PIL import Image


def main() -> None:
    """Hash all pictures as often as asked, after a first pass that does not count."""
    pictures = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
    found = _hashes(pictures)
    seconds = []
    for _ in range(int(sys.argv[2])):
        start = time.process_time()
        _hashes(pictures)
        seconds.append(time.process_time() - start)
    print(json.dumps({"hashes": found, "seconds": seconds}))


def _hashes(pictures: list[bytes]) -> list[str]:
    phash = imagehash.phash  # type: ignore[attr-defined]
    return [str(phash(Image.open(io.BytesIO(data)))) for data in pictures]


if __name__ == "__main__":
    main()
