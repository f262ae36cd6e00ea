"""Embeddings on disk: each view of a data set is computed once, whoever asks for it.

Under ``root/<model>/<data>/<view>/`` lies one array of embeddings, in the order of the images,
and the rows they belong to. It is computed in parts of ``ROWS_IN_PART`` images, each written
whole or not at all, so an interrupted evaluation goes on at the part it was at; parts always
hold the same batches, so the numbers are the same to the last bit as without the interruption.
Finished arrays are read through a memory map: a data set of any size takes no more memory than
the part of it that is being scored.

The key of a model covers its identity (weights, architecture, preprocessing, tokenizer, logit
scale, the words it is asked in), the kind of device and the versions of the libraries that compute;
that of a data set every image, label and class name; that of a view everything its pixels depend
on.
Commands that want the same data at the same time wait for each other.
"""

import contextlib
import fcntl
import functools
import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import Tensor

from data_pipelines.bounded_json import read_json
from data_pipelines.printable import printable
from data_pipelines.shards.atomic import (
    TEMPORARY_SUFFIX,
    make_folder,
    replacing,
    write_file,
)
from data_pipelines.shards.file_lock import open_lock, release, try_lock
from data_pipelines.texts import listed
from eval.capabilities import device_of, identity_of
from eval.contract import (
    EmbeddingModel,
    ImageEmbeddings,
    Model,
    Need,
    PictureBatch,
    PictureModel,
)
from eval.data.dataset import EvalDataset
from eval.data.views import PLAIN, View
from eval.embedding.embedder import (
    StreamingEmbedder,
    refuse_all_broken,
    refuse_not_finite,
    stream_views,
)
from eval.errors import EvaluationError
from eval.process_group import all_agree, barrier, ranks
from eval.progress import Progress

#: Images whose embeddings are written at once; interrupted work loses at most this much.
ROWS_IN_PART = 1024

_FORMAT = 2
_COMPUTE_WITH = ("vlsuite", "torch", "torchvision", "open_clip_torch", "timm", "transformers")
_COMPUTE_WITH += ("tokenizers", "pillow", "numpy")
_EMBEDS, _ROWS, _ABOUT = "embeds.f32", "rows.i64", "about.json"


class StoredEmbedder:
    """Embeds what is not on disk yet, all wanted views of a data set in one pass.

    Args:
        inner: streams and embeds.
        root: folder of the store; with several processes all of them must see it.
        batch_size: images in a batch; parts hold whole batches.
    """

    def __init__(self, inner: StreamingEmbedder, root: Path, *, batch_size: int) -> None:
        self._inner = inner
        self._root = root
        self._rows_in_part = -(-ROWS_IN_PART // batch_size) * batch_size
        self._batch_size = batch_size

    def prepare(self, model: EmbeddingModel, needs: Sequence[Need]) -> None:
        """Compute every missing view; each picture of a data set is read and decoded once.

        Raises:
            EvaluationError: no image of a data set can be decoded, or the model gives NaN.
            DataError: the store cannot be written.
        """
        wanted: dict[str, tuple[EvalDataset, dict[str, View]]] = {}
        for dataset, views in needs:
            _, by_key = wanted.setdefault(dataset.pictures_revision, (dataset, {}))
            by_key.update({view.key: view for view in views})
        for dataset, by_key in wanted.values():
            todo = self._unfinished(model, dataset, by_key)
            if not all_agree(not todo, device=model.device):
                with self._alone(model, dataset):
                    todo = self._unfinished(model, dataset, by_key)
                    barrier(device=model.device)
                    if todo:
                        self._compute(model, dataset, todo)

    def _unfinished(
        self, model: EmbeddingModel, dataset: EvalDataset, by_key: Mapping[str, View]
    ) -> list["_Target"]:
        targets = [_Target(view, self._place(model, dataset, view)) for view in by_key.values()]
        return [target for target in targets if not target.place.is_finished]

    @contextmanager
    def _alone(self, model: EmbeddingModel, dataset: EvalDataset) -> Iterator[None]:
        """Keep other commands from computing the same data: they wait, then find it done."""
        with ExitStack() as stack:
            if ranks().rank == 0:
                folder = self._root / _model_key(model) / dataset.pictures_revision[:32]
                make_folder(folder)
                stack.enter_context(_lock(folder / ".lock", dataset))
            barrier(device=model.device)
            yield

    def images(
        self, model: EmbeddingModel, dataset: EvalDataset, view: View = PLAIN
    ) -> ImageEmbeddings:
        """See ``Embedder``; the embeddings are a read-only map of the file."""
        self.prepare(model, (Need(dataset, (view,)),))
        return self._place(model, dataset, view).load(len(dataset), model.embed_dim)

    def pictures(
        self,
        model: PictureModel,
        dataset: EvalDataset,
        rows: Int64[np.ndarray, " rows"],
        view: View = PLAIN,
    ) -> Iterator[PictureBatch]:
        """See ``Embedder``; pictures are not stored."""
        return self._inner.pictures(model, dataset, rows, view)

    def remembered(self, model: Model, key: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """See ``Embedder``."""
        path = self._root / _model_key(model) / "arrays" / f"{_digest([key])}.safetensors"
        kept = _read_arrays(path, "array")
        if kept is not None:
            return kept["array"]
        array = compute()
        make_folder(path.parent)
        write_file(path, save({"array": array}))
        return array

    def folder(self, model: Model, key: str) -> Path | None:
        """See ``Embedder``; made if need be."""
        folder = self._root / _model_key(model) / "files" / _digest([key])[:32]
        make_folder(folder)
        return folder

    def texts(
        self, model: EmbeddingModel, texts: Sequence[str]
    ) -> Float[Tensor, "texts embed_dim"]:
        """See ``Embedder``; kept on disk for the next model run."""
        texts = listed(texts)
        return self._kept(model, "texts", texts, lambda: self._inner.texts(model, texts))

    def class_embeds(
        self, model: EmbeddingModel, class_names: Sequence[str], templates: Sequence[str]
    ) -> Float[Tensor, "classes embed_dim"]:
        """See ``Embedder``; the averages are kept on disk, not each prompt."""
        names = [*listed(class_names), "", *listed(templates)]
        return self._kept(
            model, "classes", names, lambda: self._inner.class_embeds(model, class_names, templates)
        )

    def _kept(
        self, model: EmbeddingModel, kind: str, key: Sequence[str], compute: Callable[[], Tensor]
    ) -> Float[Tensor, "rows embed_dim"]:
        """Embeddings from disk where every process finds them; computing is collective."""
        path = self._root / _model_key(model) / kind / f"{_digest(key)}.safetensors"
        kept = _read_arrays(path, "embeds")
        if all_agree(kept is not None, device=model.device) and kept is not None:
            return torch.from_numpy(kept["embeds"])
        embeds = compute().cpu()
        if ranks().rank == 0:
            make_folder(path.parent)
            write_file(path, save({"embeds": embeds.numpy()}))
        return embeds

    def _place(self, model: EmbeddingModel, dataset: EvalDataset, view: View) -> "_Place":
        parts = (_model_key(model), dataset.pictures_revision[:32], _short(view.key))
        return _Place(self._root.joinpath(*parts))

    def _compute(
        self, model: EmbeddingModel, dataset: EvalDataset, targets: list["_Target"]
    ) -> None:
        """All parts of all targets, parts shared among the processes in turn."""
        distinct = np.unique(dataset.images.same_as)
        starts = range(0, len(distinct), self._rows_in_part)
        rank, world_size = ranks()
        mine = list(starts)[rank::world_size]
        total = sum(min(self._rows_in_part, len(distinct) - start) for start in mine)
        progress = self._progress(dataset, targets, total * len(targets))
        for start in mine:
            rows = distinct[start : start + self._rows_in_part]
            missing = [t for t in targets if not t.place.has_part(start, model, len(rows))]
            if progress:
                progress.add(len(rows) * (len(targets) - len(missing)))
            self._compute_part(model, dataset, rows, start, missing, progress)
        if progress:
            progress.close()
        barrier(device=model.device)
        if rank == 0:
            for target in targets:
                target.place.join(dataset, model, list(starts), target.view)
        barrier(device=model.device)
        for target in targets:
            if not target.place.is_finished:
                raise EvaluationError(
                    f"{target.place.folder} was not written by the first process; with several "
                    "hosts give a folder that all of them see: --cache DIR"
                )

    def _compute_part(
        self,
        model: EmbeddingModel,
        dataset: EvalDataset,
        rows: Int64[np.ndarray, " rows"],
        start: int,
        targets: list["_Target"],
        progress: Progress | None,
    ) -> None:
        if not targets:
            return
        embeds = np.zeros((len(targets), len(rows), model.embed_dim), dtype=np.float32)
        is_good = np.zeros((len(targets), len(rows)), dtype=bool)
        views = [target.view for target in targets]
        for batch in stream_views(self._inner.decoder, model, dataset, rows, views):
            if progress:
                progress.add(len(batch.is_good))
            if not batch.is_good.any():
                continue
            with torch.no_grad():
                local = model.embed_images(batch.images).float().cpu()
            refuse_not_finite(
                local[torch.from_numpy(batch.is_good)], model, f"images of {dataset.title}"
            )
            span = slice(batch.first, batch.first + len(local))
            embeds[batch.view, span] = local.numpy()
            is_good[batch.view, span] = batch.is_good
        for number, target in enumerate(targets):
            target.place.write_part(start, embeds[number], is_good[number])

    def _progress(
        self, dataset: EvalDataset, targets: list["_Target"], total: int
    ) -> Progress | None:
        if not self._inner.show_progress or ranks().rank:
            return None
        if len(targets) == 1:
            return Progress(f"embedding {dataset.title}", total=total, unit="images")
        what = f"embedding {dataset.title} in {len(targets)} views"
        return Progress(what, total=total, unit="pictures")


class _Place:
    """The folder of one view: its parts while it is computed, then one array."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def is_finished(self) -> bool:
        """Whether the joined array is there; ``about.json`` is written last."""
        return (self.folder / _ABOUT).is_file()

    def has_part(self, start: int, model: EmbeddingModel, count: int) -> bool:
        part = _read_part(self._part(start))
        return part is not None and part["embeds"].shape == (count, model.embed_dim)

    def write_part(self, start: int, embeds: np.ndarray, is_good: np.ndarray) -> None:
        make_folder(self.folder)
        write_file(self._part(start), save({"embeds": embeds, "is_good": is_good}))

    def join(
        self, dataset: EvalDataset, model: EmbeddingModel, starts: list[int], view: View
    ) -> None:
        """One array of all good images in order, equal pictures repeated; then drop the parts.

        Raises:
            EvaluationError: no image can be decoded, or another process's part is not here.
        """
        distinct, positions = np.unique(dataset.images.same_as, return_inverse=True)
        is_good = np.concatenate([self._load_part(start)["is_good"] for start in starts])
        good = is_good[positions]
        refuse_all_broken(good, dataset, model, view)
        rows = np.flatnonzero(good).astype(np.int64)
        in_order = bool((positions[rows] == np.arange(len(rows))).all())
        with replacing(self.folder / _EMBEDS) as file:
            if in_order:
                for start in starts:
                    part = self._load_part(start)
                    file.write(part["embeds"][part["is_good"]].tobytes())
            else:
                parts = np.concatenate([self._load_part(start)["embeds"] for start in starts])
                file.write(parts[positions[rows]].tobytes())
        write_file(self.folder / _ROWS, rows.tobytes())
        about = {"format": _FORMAT, "count": len(rows), "view": view.key, "of": len(distinct)}
        write_file(self.folder / _ABOUT, (json.dumps(about) + "\n").encode())
        for start in starts:
            self._part(start).unlink(missing_ok=True)
        # the lock of the data set is held, so these are of commands that were killed
        for left in self.folder.glob(f".*{TEMPORARY_SUFFIX}"):
            left.unlink(missing_ok=True)

    def load(self, num_images: int, embed_dim: int) -> ImageEmbeddings:
        """Map the finished array.

        Raises:
            EvaluationError: the files do not fit each other; names the folder.
        """
        try:
            count = int(read_json(self.folder / _ABOUT)["count"])
            rows = np.fromfile(self.folder / _ROWS, dtype=np.int64)
            size = (self.folder / _EMBEDS).stat().st_size
        except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise EvaluationError(f"{self.folder} is damaged: {error}; delete it") from error
        if len(rows) != count or size != count * embed_dim * 4:
            raise EvaluationError(f"{self.folder} is damaged: sizes differ; delete it")
        embeds = torch.from_file(
            str(self.folder / _EMBEDS), shared=False, size=count * embed_dim, dtype=torch.float32
        )
        return ImageEmbeddings(embeds.reshape(count, embed_dim), rows, num_images - count)

    def _part(self, start: int) -> Path:
        return self.folder / f"part-{start:09d}.safetensors"

    def _load_part(self, start: int) -> dict[str, np.ndarray]:
        part = _read_part(self._part(start))
        if part is None:
            raise EvaluationError(
                f"{self._part(start)} is missing or damaged; with several hosts give a folder "
                "that all of them see: --cache DIR"
            )
        return part


class _Target(NamedTuple):
    view: View
    place: _Place


@contextmanager
def _lock(path: Path, dataset: EvalDataset) -> Iterator[None]:
    """Hold the lock file; say so where another command has it."""
    try:
        descriptor = open_lock(path)
    except OSError as error:
        raise EvaluationError(
            f"cannot write {path}: {error.strerror or error}; choose another folder with --cache"
        ) from error
    if not try_lock(descriptor):
        print(
            printable(f"waiting for another evaluation of {dataset.title} ..."),
            file=sys.stderr,
            flush=True,
        )
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        release(descriptor)


def _fits_together(part: Mapping[str, np.ndarray]) -> bool:
    """Whether it holds embeddings in rows, and whether each is good."""
    embeds, is_good = part["embeds"], part["is_good"]
    return embeds.ndim == 2 and is_good.shape == embeds.shape[:1] and is_good.dtype == bool


def _read_part(path: Path) -> dict[str, np.ndarray] | None:
    """None for a part that is not there or was damaged: it is computed again."""
    part = _read_arrays(path, "embeds", "is_good")
    return part if part is not None and _fits_together(part) else None


def _read_arrays(path: Path, *names: str) -> dict[str, np.ndarray] | None:
    """The arrays of a file; None where it is not there, damaged, or lacks one of them."""
    try:
        arrays = load_file(path)
    except (OSError, SafetensorError, ValueError, TypeError, KeyError):
        return None
    return arrays if all(name in arrays and arrays[name].ndim for name in names) else None


def _model_key(model: Model) -> str:
    precision = torch.get_float32_matmul_precision()
    told = [_FORMAT, identity_of(model), precision, _versions()]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return f"{digest[:32]}-{torch.device(device_of(model)).type}"


@functools.cache
def _versions() -> dict[str, str]:
    """Of the libraries that compute embeddings, and of this package."""
    found = {}
    for name in _COMPUTE_WITH:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _short(key: str) -> str:
    """A view's key as a folder name: readable, and different for different keys."""
    readable = "".join(c if c.isalnum() or c in "._-" else "-" for c in key)[:60]
    return f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def _digest(texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(len(text.encode()).to_bytes(8, "little") + text.encode())
    return digest.hexdigest()[:32]
