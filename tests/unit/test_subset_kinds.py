"""Subsets of videos and of pictures with boxes, in training and in evaluation."""

from collections import Counter

import pytest

from data_pipelines.subsets.making import make_subset
from data_pipelines.subsets.pool import open_pool
from data_pipelines.subsets.subset_file import write_subset
from eval.data.folders import locate
from eval.data.read_samples import read_dataset
from eval.data.sample_subset import with_subset
from eval.detection.picture_set import DetectionPictures
from eval.errors import EvaluationError
from eval.running.selection import select
from eval.video.open_set import Videos
from tests.support.clip_shards import write_clips, write_pictures
from tests.support.detection_shards import write_squares
from tests.support.subsets import datacomp_pool, kept_table, rows_of
from tests.support.words import word_tokenizer
from vlsuite.batches.clips import ClipReader
from vlsuite.batches.curriculum import FrameCurriculum
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.pair_shards import PairShards
from vlsuite.batches.stream import Place, TrainStream
from vlsuite.batches.transforms import AugmentConfig, TrainTransform
from vlsuite.errors import DataError

BATCH = 4


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def _chosen(folder, out, *, first=0, step=2):
    """A subset of every second sample, and the uids in it."""
    kept = rows_of(folder)[first::step]
    pool = open_pool([str(folder)])
    write_subset(make_subset(pool, kept_table(out / "kept.parquet", kept)).subset, out / "some")
    return out / "some", [uid for uid, _, _ in kept]


def test_clips_and_pictures_of_a_subset_are_seen_once_an_epoch(tmp_path):
    for write, count in ((write_clips, 10), (write_pictures, 6)):
        write(tmp_path / write.__name__, count)
    clips, pictures = tmp_path / "write_clips", tmp_path / "write_pictures"
    file, uids = _chosen(clips, tmp_path)
    rest = [uid for uid, _, _ in rows_of(pictures)]
    data = DataConfig(train=(str(clips), str(pictures)), subset=(str(file), "all"), num_workers=0)
    stream = TrainStream(
        data,
        PairShards.open(data),
        place=Place(rank=0, world_size=1, global_batch_size=BATCH, micro_batch_size=BATCH),
        reader=ClipReader(
            transform=TrainTransform(AugmentConfig(), size=(16, 16), interpolation="bilinear"),
            tokenizer=word_tokenizer(),
            data=data,
            curriculum=FrameCurriculum.parsed(("2",)),
            end_of_text=None,
        ),
        seed=0,
        pin_memory=False,
    )
    steps = stream.from_position(0)
    count = len(uids) + len(rest)
    seen = [uid for _ in range(count) for batch in next(steps) for uid in batch.uids]
    assert set(seen[:count]) == {*uids, *rest}
    assert Counter(seen) == dict.fromkeys([*uids, *rest], BATCH)


def test_videos_of_a_subset_are_measured(tmp_path):
    write_clips(tmp_path / "clips", 9)
    file, uids = _chosen(tmp_path / "clips", tmp_path, first=1)
    whole = Videos.open(str(tmp_path / "clips"))
    some = Videos.open_chosen(str(tmp_path / "clips"), file)
    keys = [some.images.key(i) for i in range(len(some))]
    assert keys == uids
    assert len(whole) == 9
    assert whole.revision != some.revision
    assert some.name == f"{whole.name}-some"
    (tmp_path / "msrvtt_data.json").write_text("{}")
    with pytest.raises(EvaluationError, match="lists videos, and --subset chooses"):
        Videos.open_chosen(str(tmp_path / "msrvtt_data.json"), file)


def test_pictures_with_boxes_of_a_subset_are_measured(tmp_path):
    folder = write_squares(tmp_path / "squares", 20)
    file, uids = _chosen(folder, tmp_path, step=3)
    whole, some = DetectionPictures.open(str(folder)), DetectionPictures.open_chosen(
        str(folder), file
    )  # fmt: skip
    assert [some.images.key(i) for i in range(len(some))] == uids
    own = dict(zip(whole.images.keys, whole.images.annotations, strict=True))
    for uid, found in zip(uids, some.images.annotations, strict=True):
        assert found.boxes.tolist() == own[uid].boxes.tolist()
    assert whole.revision != some.revision
    (folder / "instances_x.json").write_text("{}")
    with pytest.raises((EvaluationError, DataError)):
        DetectionPictures.open_chosen(str(folder / "instances_x.json"), file)


def test_pictures_of_a_subset_are_measured(tmp_path):
    folder = datacomp_pool(tmp_path / "pool", 20, per_shard=8)
    file, uids = _chosen(folder, tmp_path, step=3)
    layout = locate(str(folder))
    whole, some = read_dataset(layout), read_dataset(with_subset(layout, file))
    captions = dict(zip((u for u, _, _ in rows_of(folder)), whole.captions, strict=True))
    assert list(some.captions) == [captions[uid] for uid in uids]
    pictures = {whole.images.read(i) for i in range(len(whole))}
    assert {some.images.read(i) for i in range(len(some))} < pictures
    assert whole.images.fingerprint() != some.images.fingerprint()
    assert whole.revision != some.revision
    other, _ = _chosen(folder, tmp_path, first=1, step=3)
    again = read_dataset(with_subset(layout, other))
    assert len({one.revision for one in (whole, some, again)}) == 3


def test_a_subset_for_each_data_set_or_one_for_all(tmp_path):
    one = datacomp_pool(tmp_path / "one", 12, per_shard=4)
    file, uids = _chosen(one, tmp_path)
    found = select([str(one)], subsets=[str(file)]).benchmarks
    assert {len(benchmark.dataset) for benchmark in found} == {len(uids)}
    both = select([str(one), str(one)], subsets=["all", str(file)]).benchmarks
    assert {len(benchmark.dataset) for benchmark in both} == {12, len(uids)}
    with pytest.raises(EvaluationError, match="--subset names 3 files for 2 data sets"):
        select([str(one), str(one)], subsets=["all"] * 3)
