"""Several columns of captions in one training stream, drawn by weights."""

import json
from collections import Counter

import numpy as np
import pytest
import torch

from data_pipelines.captions.column_file import ShardTexts, write_column
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.stored_sample import MAX_CAPTIONS, StoredSample
from data_pipelines.sources.source import Target
from data_pipelines.sources.synthetic import SyntheticSource
from data_pipelines.subsets.subset import ShardIdentity
from tests.support.pair_streams import BATCH, pair_stream
from tests.support.shards import picture, write_tar
from tests.support.words import word_tokenizer
from vlsuite.batches.caption_columns import ONLY_OWN, CaptionColumns, column_of
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.pair_shards import PairShards
from vlsuite.engine.stream_counts import StreamCounts
from vlsuite.errors import ConfigError, DataError

NUM_SAMPLES = 60


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("captioned") / "shards"
    SyntheticSource(num_samples=NUM_SAMPLES, side=16).build(Target(out_dir=out, max_samples=16))
    return out


def column(folder, path, name, text=lambda shard, row: f"{shard} {row}"):
    """A column over the shards of a folder; texts by number of the shard and row."""
    shards = []
    for number, shard in enumerate(find_shards(folder)):
        identity = ShardIdentity.of(shard)
        texts = [text(number, row) for row in range(identity.num_samples)]
        shards.append(ShardTexts(identity.name, identity.content, texts))
    write_column(path, shards, name=name, provenance={})
    return str(path)


def batches(made, start, count):
    source = made.from_position(start)
    return [batch for _ in range(count) for batch in next(source)]


def shown(made, start, count):
    """(uid, number of the caption) by position."""
    return [
        pair
        for batch in batches(made, start, count)
        for pair in zip(batch.uids, batch.caption_numbers, strict=True)
    ]


def test_columns_are_drawn_by_weight_the_same_for_any_processes_and_restart(folder, tmp_path):
    paths = [column(folder, tmp_path / name, name) for name in "ab"]
    columns = {
        "captions": ("own", *paths),
        "caption_weights": (1.0, 3.0, 0.0),
    }
    whole = shown(pair_stream(folder, **columns), 0, 40)
    assert {number // MAX_CAPTIONS for _, number in whole} == {0, 1}
    share = np.mean([number >= MAX_CAPTIONS for _, number in whole])
    assert share == pytest.approx(0.75, abs=0.1)  # 320 draws: standard deviation 0.024
    assert shown(pair_stream(folder, workers=2, **columns), 30 * BATCH, 10) == whole[30 * BATCH :]
    halves = [shown(pair_stream(folder, rank=r, world_size=2, **columns), 0, 40) for r in range(2)]
    half = BATCH // 2
    joined = [
        pair
        for step in range(40)
        for part in halves
        for pair in part[step * half : (step + 1) * half]
    ]
    assert joined == whole


def test_the_text_is_that_of_the_row_and_pictures_stay_as_they_are(folder, tmp_path):
    path = column(folder, tmp_path / "a", "a", lambda shard, row: f"red {shard}")
    plain = batches(pair_stream(folder, caption="first"), 0, 8)
    other = batches(pair_stream(folder, caption="first", captions=(path,)), 0, 8)
    tokenizer = word_tokenizer()
    shard_of = {
        key: number
        for number, shard in enumerate(find_shards(folder))
        for key in ShardIndex.open(shard).keys
    }
    for one, two in zip(plain, other, strict=True):
        assert one.uids == two.uids
        assert torch.equal(one.images, two.images)
        expected = tokenizer([f"red {shard_of[uid]}" for uid in two.uids])
        assert torch.equal(two.token_ids, expected[:, : two.token_ids.shape[1]])


def test_samples_without_a_text_take_what_they_have(folder, tmp_path):
    half = column(folder, tmp_path / "h", "half", lambda _, row: "half" if row % 2 else None)
    full = column(folder, tmp_path / "f", "full")
    made = pair_stream(folder, captions=("own", half, full), caption_weights=(0.0, 1.0, 1.0))
    numbers = [number for _, number in shown(made, 0, 60)]
    counts = Counter(number // MAX_CAPTIONS for number in numbers)
    assert counts[0] == 0
    assert counts[1] / len(numbers) == pytest.approx(0.25, abs=0.07)
    made = pair_stream(folder, captions=("own", half), caption_weights=(0.0, 1.0))
    told = batches(made, 0, 30)
    lacking = sum(note == ONLY_OWN for batch in told for note in batch.mended)
    assert lacking == sum(n < MAX_CAPTIONS for batch in told for n in batch.caption_numbers) > 0
    counts = StreamCounts()
    counts.add(told, ("source",), ("own", "half"))
    counts.merge(world_size=1)
    assert counts.captions == {"own": lacking, "half": 30 * BATCH - lacking}
    assert StreamCounts(counts.to_dict()).captions == counts.captions


def test_texts_and_weights_are_part_of_what_the_run_is(folder, tmp_path):
    texts = [column(folder, tmp_path / n, "a", lambda s, r, n=n: f"{n} {r}") for n in "abc"]
    same = column(folder, tmp_path / "other-place", "a", lambda s, r: f"a {r}")

    def opened(**data):
        return PairShards.open(DataConfig(train=(str(folder),), **data))

    plain, one = opened(), opened(captions=("own", texts[0]))
    two, weighted = (
        opened(captions=("own", texts[1])),
        opened(captions=("own", texts[0]), caption_weights=(1.0, 2.0)),
    )
    words = [each.fingerprint(8, 0) for each in (plain, one, two, weighted)]
    assert len(set(words)) == 4
    assert opened(captions=("own", same)).fingerprint(8, 0) == words[1]
    assert len({each.content for each in (plain, one, two)}) == 3
    assert weighted.content == one.content
    assert opened(captions=("own",)).content == plain.content
    assert "own 33.3%; a 66.7%, which 100.0% of samples have" in weighted.remarks[0]


def test_columns_of_other_or_changed_shards_are_refused(folder, tmp_path):
    path = column(folder, tmp_path / "a", "a")
    other, changed = tmp_path / "other", tmp_path / "changed"
    source = SyntheticSource(num_samples=20, side=16, seed=7)
    source.build(Target(out_dir=other, max_samples=16))
    for shard in find_shards(other):
        shard.rename(shard.with_name(f"other-{shard.name}"))
    SyntheticSource(num_samples=NUM_SAMPLES, side=16, seed=5).build(
        Target(out_dir=changed, max_samples=16)
    )
    for train, told in ((other, "other shards .shard-000000.tar"), (changed, "other content of")):
        with pytest.raises(DataError, match=told) as refused:
            PairShards.open(DataConfig(train=(str(train),), captions=(path,)))
        assert "\n" not in str(refused.value)
    with pytest.raises(DataError, match="cannot read the captions"):
        PairShards.open(DataConfig(train=(str(folder),), captions=(str(tmp_path / "none"),)))
    both = PairShards.open(DataConfig(train=(str(other), str(folder)), captions=("own", path)))
    assert both.captions.facts[1].num_texts == NUM_SAMPLES


def test_fields_of_the_json_are_columns_too(tmp_path):
    fields = [{"syn": ["two words", "", 3, "three"]}, {"syn": "one"}, {"syn": 7}, {}]
    members = [
        member
        for n, told in enumerate(fields)
        for member in (
            (f"{n}.png", picture(n)),
            (f"{n}.txt", b"own"),
            (f"{n}.json", json.dumps(told).encode()),
        )
    ]
    shard = write_tar(tmp_path / "0.tar", members)
    config = DataConfig(captions=("json:syn",))
    columns = CaptionColumns(config, [ShardIdentity.of(shard)])
    found = []
    for row, (key, stored) in enumerate(ShardIndex.open(shard)):
        sample = StoredSample(key, stored)
        columns.choose(sample, shard=0, row=row, seed=0, position=row)
        found.append((sample.captions.texts, sample.first_caption))
    assert found == [
        (("two words", "three"), MAX_CAPTIONS),
        (("one",), MAX_CAPTIONS),
        (("own",), 0),
        (("own",), 0),
    ]
    assert columns.rule == [["json:syn", 1.0]]
    assert column_of(MAX_CAPTIONS + 2, names=columns.names) == "syn"
    assert column_of(2, names=columns.names) == "own"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"captions": ("own", "own")}, "names a column twice"),
        ({"captions": ("own", "json:")}, "column without a name"),
        ({"caption_weights": (1.0,)}, "1 values for 0 columns"),
        ({"captions": ("own", "a"), "caption_weights": (1.0,)}, "1 values for 2 columns"),
        ({"captions": ("own", "a"), "caption_weights": (1.0, -1.0)}, "must be 0 or more"),
        ({"captions": ("own", "a"), "caption_weights": (0.0, 0.0)}, "must be 0 or more"),
        ({"captions": ("own",), "caption_weights": (float("nan"),)}, "must be 0 or more"),
    ],
)
def test_settings_that_do_not_fit_are_refused(given, told):
    with pytest.raises(ConfigError, match=told):
        DataConfig(**given)
