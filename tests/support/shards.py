"""Pictures, samples and tars for tests of the data pipeline."""

import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_pipelines.schema import Sample, make_uid

#: Shards that this project did not write; absent on most machines.
SHARED_DATA = Path(
    os.environ.get("VLSUITE_BENCH_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data"
)

needs_shared_data = pytest.mark.skipif(
    not SHARED_DATA.is_dir(), reason=f"needs the real shards in {SHARED_DATA}"
)


def picture(number: int, *, side: int = 8, format: str = "PNG") -> bytes:
    """An encoded picture of noise, another for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, size=(side, side, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format=format)
    return stream.getvalue()


def sample(number: int, *, captions: Sequence[str] | None = None, **fields) -> Sample:
    """A valid sample with two captions, another for each number."""
    image = picture(number)
    return Sample(
        uid=make_uid("test", str(number), image),
        image=image,
        image_suffix="png",
        captions=(f"picture {number}", f"number {number}") if captions is None else tuple(captions),
        provenance={"source": "test", "key": str(number)},
        **fields,
    )


def samples(count: int) -> list[Sample]:
    """Samples with different uids."""
    return [sample(number) for number in range(count)]


def write_tar(path: Path, members: Sequence[tuple[str, bytes]], *, mtime: int = 0) -> Path:
    """A tar with the given members in the given order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            entry.mtime = mtime
            tar.addfile(entry, io.BytesIO(data))
    return path
