"""One broken file through the readers of training, and what came of it, as a word."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.support.broken_files import Kind
from data_pipelines.errors import ShardError
from data_pipelines.shards.counts import count_problems
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.manifest import Manifest, Origin, ShardEntry
from data_pipelines.shards.pairs import image_of, read_captions, uid_of
from data_pipelines.shards.text import MAX_CAPTION_BYTES
from data_pipelines.video.process import ProcessLimits, VideoProcess
from vlsuite.batches.bad_input import BadInputHandler, SampleAddress
from vlsuite.batches.transforms import AugmentConfig, TrainTransform
from vlsuite.errors import BadSampleError, DataError

_SIZE = (32, 32)
_FRAMES = 4


class Readers:
    """Reads cases with the parts that training reads with.

    Args:
        folder: for the tars.
        seconds: that one video may take.
        num_tar_samples: in each tar before it was damaged.
    """

    def __init__(self, folder: Path, *, seconds: float, num_tar_samples: int) -> None:
        self._path = folder / "shard.tar"
        entry = ShardEntry(name="shard.tar", samples=num_tar_samples, bytes=0, sha256="")
        Manifest(origin=Origin(), layout="pairs", shards=(entry,)).save(folder)
        self._handler = BadInputHandler("skip")
        self._transform = TrainTransform(AugmentConfig(), size=_SIZE, interpolation="bicubic")
        self._decoder = VideoProcess(ProcessLimits(seconds=seconds))
        self._num_samples = num_tar_samples
        stream = io.BytesIO()
        Image.new("RGB", (8, 8)).save(stream, "PNG")
        self._picture = stream.getvalue()

    def close(self) -> None:
        """End the process that decodes videos."""
        self._decoder.close()

    def outcome(self, kind: Kind, data: bytes, rng: np.random.Generator) -> str:
        """ "delivered", "refused: ...", "unaccounted ..." or "error ..."."""
        read = {"image": self._image, "text": self._text, "video": self._video, "tar": self._tar}
        try:
            return read[kind](data, rng)
        except BadSampleError as error:
            return f"refused: {error.kind}"
        except DataError as error:
            return f"refused: {type(error).__name__}"
        except Exception as error:
            return f"error {type(error).__name__}: {' '.join(str(error).split())[:200]}"

    def _image(self, data: bytes, rng: np.random.Generator) -> str:
        view = self._transform.view(data, rng)
        if tuple(view.pixels.shape) != (3, *_SIZE) or str(view.pixels.dtype) != "torch.uint8":
            return f"error picture of shape {tuple(view.pixels.shape)} {view.pixels.dtype}"
        return "delivered, mended" if view.mended else "delivered"

    def _video(self, data: bytes, rng: np.random.Generator) -> str:
        frames = self._decoder.sample(data, _FRAMES, generator=rng).frames
        return "delivered" if len(frames) == _FRAMES else f"error {len(frames)} frames"

    def _text(self, data: bytes, rng: np.random.Generator) -> str:
        suffix = "json" if b'"' in data[:20] or rng.random() < 0.1 else "txt"
        members = {suffix: data}
        uid = uid_of("key", members)
        captions = read_captions(members)
        for text in (uid, *captions.texts):
            size = len(text.encode())  # raises where a tokenizer would
            if not text.strip() or size > MAX_CAPTION_BYTES or "\0" in text:
                return f"error unclean text of {size} bytes"
        return "delivered, mended" if captions.mended else "delivered"

    def _tar(self, data: bytes, rng: np.random.Generator) -> str:
        # The file is written anew in place (readers keep it open), so its index may look fresh.
        self._path.with_name(f"{self._path.name}.index.npz").unlink(missing_ok=True)
        self._path.write_bytes(data)
        try:
            index = ShardIndex.open(self._path)
        except ShardError:
            return "refused: whole tar"
        num_known = 0
        for row, (key, members) in enumerate(index):
            if index.read(row) != members or index.key(row) != key:
                return "error two ways of reading differ"
            if sum(map(len, members.values())) > len(data):
                return "error bytes from nowhere"
            num_known += self._sample(row, key, members, rng)
        problems = [*index.problems, *count_problems([(self._path, len(index))])]
        if num_known != len(index) or (num_known < self._num_samples and not problems):
            return f"unaccounted {self._num_samples - num_known} samples"
        return "delivered in part, said so" if problems else "delivered"

    def _sample(self, row: int, key: str, members: dict, rng: np.random.Generator) -> bool:
        """Whether the sample was delivered or counted."""
        try:
            captions = read_captions(members)
            uid = uid_of(key, members)
            image_of(members)
            self._transform.view(self._picture, rng)
            return bool(captions.texts and uid.encode())
        except DataError as error:
            skipped = self._handler.handle(error, SampleAddress("s.tar", row, key), members)
            return bool(skipped.kind and skipped.uid.encode() and skipped.reason)
