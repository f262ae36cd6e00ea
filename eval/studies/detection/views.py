"""What the frozen localizer says of training pictures, kept so that heads need not ask it again.

A draw of the random view of every training picture, as the reader of training draws it, goes
through trunk and proposals once; maps, proposals, boxes and cached regions are kept in fp32. Losses
of names computed from them are those of ``VildNetwork.forward`` (``VildNetwork.name_terms``).
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from data_pipelines.shards.stored_sample import StoredSample
from eval.errors import EvaluationError
from eval.progress import Progress
from eval.studies.detection.base import detector_config
from eval.studies.detection.folders import StudyFolders
from eval.studies.detection.settings import Cell, DetectionStudyConfig
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.pair_shards import PairShards
from vlsuite.batches.sample_reader import BatchFacts
from vlsuite.models.vild.built import PREPROCESS
from vlsuite.models.vild.reader import DetectionReader, SizeRule
from vlsuite.models.vild.region_cache import RegionCache
from vlsuite.models.vild.targets import PictureTargets, targets_of
from vlsuite.models.vild.trainable import TrainableVild

_MAPS, _ROWS = "maps.npy", "rows.pt"


class KeptRow(NamedTuple):
    """One picture of a draw without its map.

    Attributes:
        target: boxes, labels and cached regions, in pixels of the view; the vectors are not kept.
        proposals: of training.
        uid: of the picture.
        is_there: which of its cached regions lie in the view.
    """

    target: PictureTargets
    proposals: Tensor
    uid: str
    is_there: Tensor


class KeptViews:
    """All draws of a study.

    Args:
        folders: of the study.
        config: its settings.
    """

    def __init__(self, folders: StudyFolders, config: DetectionStudyConfig) -> None:
        places = [folders.views(number) for number in range(config.views)]
        self._maps = [np.load(place / _MAPS, mmap_mode="r") for place in places]
        self.rows: list[KeptRow] = []
        for place in places:
            loaded = torch.load(place / _ROWS, weights_only=False)
            self.rows += [KeptRow(PictureTargets(*one[0]), *one[1:]) for one in loaded]
        self._ends = np.cumsum([len(maps) for maps in self._maps])
        if self._ends[-1] != len(self.rows):
            raise EvaluationError(f"{places[0].parent} is damaged; remove it and go on")

    def __len__(self) -> int:
        return len(self.rows)

    def maps(self, rows: Sequence[int]) -> Float32[Tensor, "b c height width"]:
        """Of some pictures."""
        found = []
        for row in rows:
            part = int(np.searchsorted(self._ends, row, side="right"))
            first = int(self._ends[part]) - len(self._maps[part])
            found.append(self._maps[part][row - first])
        return torch.from_numpy(np.stack(found))


def vectors_of(
    rows: Sequence[KeptRow], folder: Path, *, shuffle_seed: int | None = None
) -> list[Tensor]:
    """The teacher's vectors of the regions of each kept row.

    Args:
        folder: of the cache.
        shuffle_seed: give every region the vector of another one, drawn from all, as a control.
    """
    cache = RegionCache.open(folder)
    found = [cache.regions(row.uid).embeds[row.is_there] for row in rows]
    if shuffle_seed is None:
        return found
    joined = torch.cat(found)
    order = torch.randperm(len(joined), generator=torch.Generator().manual_seed(shuffle_seed))
    return list(joined[order].split([len(one) for one in found]))


def is_kept(folders: StudyFolders, number: int) -> bool:
    """Whether a draw is complete."""
    return (folders.views(number) / _ROWS).is_file()


@torch.no_grad()
def keep_view(config: DetectionStudyConfig, folders: StudyFolders, number: int) -> None:
    """Draw a view of each training picture, and keep what the localizer says of it."""
    torch.set_num_threads(1)
    folder = folders.views(number)
    part = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    built = detector_config(config, folders, Cell("vild")).build()
    network = built.network.eval()
    progress = Progress(f"views {number + 1} of {config.views}", total=config.train,
                        unit="pictures")  # fmt: skip
    shape = (config.train, config.width, config.side // 8, config.side // 8)
    maps = np.lib.format.open_memmap(part / _MAPS, mode="w+", dtype=np.float32, shape=shape)
    kept: list[tuple] = []
    for contents, uids, flags in _batches(config, folders, built, number):
        pixels = contents.pixels(PREPROCESS, device=torch.device("cpu"), dtype=torch.float32)
        found, proposals = network.localise(pixels, contents.sizes, keep=config.proposals)
        (values,) = found.values()
        maps[len(kept) : len(kept) + len(values)] = values.numpy()
        for target, boxes, uid, is_there in zip(
            targets_of(contents, torch.device("cpu")), proposals.boxes, uids, flags, strict=True
        ):
            bare = target._replace(region_embeds=torch.zeros(len(target.regions), 0))
            cloned = [v.clone() if isinstance(v, Tensor) else v for v in bare]
            kept.append((cloned, boxes.clone(), uid, is_there))
        progress.add(len(values))
    if len(kept) != config.train:
        raise EvaluationError(
            f"{len(kept)} of {config.train} training pictures can be read; remove {folders.scenes}"
        )
    maps.flush()
    torch.save(kept, part / _ROWS)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    progress.close()


def _batches(
    config: DetectionStudyConfig, folders: StudyFolders, built: TrainableVild, number: int
) -> Iterator[tuple]:
    """Batches as training reads them, with the uid and the regions in view of each picture."""
    settings = built.config
    reader = DetectionReader(
        built.vocabulary,
        views=settings.view,
        sizes=SizeRule(settings.sizes, settings.size_every),
        regions=RegionCache.open(folders.regions()),
        masks=False,
    )
    shards = PairShards.open(DataConfig(train=(str(folders.split("train")),)))
    contents, uids, flags = [], [], []
    facts = BatchFacts((), (), (), ())
    for position, sample in enumerate(_samples(shards)):
        rng = np.random.Generator(np.random.Philox(key=[config.seed + 1000 * number, position]))
        contents.append(reader.read(sample, rng).content)
        uids.append(sample.uid)
        flags.append(contents[-1].is_region_there)
        if len(contents) == config.batch_size:
            yield reader.collate(contents, facts), uids, flags
            contents, uids, flags = [], [], []
    if contents:
        yield reader.collate(contents, facts), uids, flags


def _samples(shards: PairShards) -> Iterator[StoredSample]:
    for number in range(len(shards.facts)):
        index = shards.shard_set[number]
        for row in range(len(index)):
            yield StoredSample(index.key(row), index.read(row), name=index.name(row))
