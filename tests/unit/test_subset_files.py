"""Subset files: made from tables and lists of uids, held against plain sets of uids."""

import json
from collections import Counter

import numpy as np
import pytest

from data_pipelines.errors import DataError
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.manifest import Manifest
from data_pipelines.shards.seen_ids import SeenIds
from data_pipelines.shards.stored_sample import StoredSample
from data_pipelines.subsets.datacomp import write_uids
from data_pipelines.subsets.id_buckets import IdBuckets
from data_pipelines.subsets.kept_rows import KeptRows
from data_pipelines.subsets.making import make_subset
from data_pipelines.subsets.matching import parts_for
from data_pipelines.subsets.pool import open_pool
from data_pipelines.subsets.reshard import FINISHED_NAME, reshard
from data_pipelines.subsets.showing import described
from data_pipelines.subsets.subset import ShardIdentity, Subset, SubsetShard
from data_pipelines.subsets.subset_file import MAGIC, read_subset, write_subset
from data_pipelines.subsets.uid_column import uid_column
from data_pipelines.workers.spread import Workers
from tests.support.subsets import (
    datacomp_entries,
    datacomp_pool,
    kept_table,
    members_of,
    npy,
    own_pool,
    plain_pool,
    rows_of,
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return own_pool(tmp_path_factory.mktemp("pool") / "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    return datacomp_pool(tmp_path_factory.mktemp("pool") / "theirs")


def _random_subset(*, seed=0, most=3):
    rng = np.random.default_rng(seed)
    parts = []
    for number, length in enumerate((0, 1, 7, 8, 9, 511, 512, 513, 1025, 3000)):
        counts = (rng.random(length) < 0.3) * rng.integers(1, most + 1, size=length)
        identity = ShardIdentity(f"{number}.tar", length, f"{number:012x}", f"{number:032x}")
        parts.append(SubsetShard.from_counts(identity, counts.astype(np.int64)))
    return Subset(parts=parts, provenance={"recipe": "drawn", "kept": 3})


def _taken(folder, subset):
    """Uids that a subset takes, as often as it does, by way of its counts alone."""
    uids = {(shard, row): uid for uid, shard, row in rows_of(folder)}
    return Counter({
        uids[part.shard.name, row]: int(times)
        for part in subset.parts
        for row, times in enumerate(part.counts)
        if times
    })  # fmt: skip


def test_places_lead_to_the_kept_rows_and_no_others():
    subset = _random_subset()
    kept = KeptRows([*subset.parts, None])
    for number, part in enumerate(subset.parts):
        rows = [kept.row(number, place) for place in range(part.num_taken)]
        counts = part.counts
        assert rows[: part.num_kept] == np.flatnonzero(counts).tolist()
        assert Counter(rows) == {row: n for row, n in enumerate(counts.tolist()) if n}
    assert kept.row(len(subset.parts), 17) == 17


def test_a_file_gives_the_subset_again_in_an_eighth_of_a_byte_a_sample(tmp_path):
    subset = _random_subset(most=1)
    size = write_subset(subset, tmp_path / "a.subset")
    again = read_subset(tmp_path / "a.subset")
    assert again.digest == subset.digest
    assert again.provenance == subset.provenance
    assert [part.shard for part in again.parts] == [part.shard for part in subset.parts]
    empty = Subset(parts=[part._replace(bits=part.bits[:0]) for part in subset.parts])
    header = write_subset(Subset(parts=[]), tmp_path / "none")
    assert size - header < 0.125 * subset.num_samples + 90 * len(empty.parts) + 60
    bigger = ShardIdentity("big.tar", 10**6, "a" * 12, "b" * 32)
    part = SubsetShard.from_counts(bigger, np.ones(10**6, dtype=np.int64))
    assert write_subset(Subset(parts=[part]), tmp_path / "big") <= 0.125 * 10**6 + 400
    assert f"{subset.num_kept:,} of {subset.num_samples:,} samples" in described(again, size=size)


def test_the_digest_follows_from_choice_and_shards_alone():
    subset = _random_subset()
    told = Subset(parts=subset.parts, provenance={"recipe": "another"})
    assert told.digest == subset.digest
    first = subset.parts[-1]
    counts = first.counts
    for changed in (
        first._replace(shard=first.shard._replace(content="c" * 32)),
        SubsetShard.from_counts(first.shard, np.roll(counts, 1)),
        SubsetShard.from_counts(first.shard, counts * 2),
    ):
        assert Subset(parts=[*subset.parts[:-1], changed]).digest != subset.digest


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"other" + data[5:],
        lambda data: data[: len(MAGIC) + 3],
        lambda data: data[: len(MAGIC)] + b"\xff" * 8 + data[len(MAGIC) + 8 :],
        lambda data: data.replace(b'"shards":[[', b'"shards":[7,['),
        lambda data: data.replace(b"drawn", b"other", 1)[:-900] + b"\x55" * 900,
        lambda data: data.replace(b'"0.tar",0', b'"0.tar",8'),
        lambda _: b"",
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path, damage):
    path = tmp_path / "a.subset"
    write_subset(_random_subset(), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"a\.subset is no subset that can be used") as refused:
        read_subset(path)
    assert "\n" not in str(refused.value)


def test_bits_behind_the_last_sample_are_refused(tmp_path):
    identity = ShardIdentity("a.tar", 3, "a" * 12, "b" * 32)
    part = SubsetShard(identity, np.array([0b1001], dtype=np.uint8))
    write_subset(Subset(parts=[part]), tmp_path / "a")
    with pytest.raises(DataError, match="behind the end of a"):
        read_subset(tmp_path / "a")


@pytest.mark.parametrize("pool_of", ["ours", "theirs"])
def test_a_table_of_kept_samples(request, tmp_path, pool_of):
    folder = request.getfixturevalue(pool_of)
    rows = rows_of(folder)
    kept = [row for number, row in enumerate(rows) if number % 3 == 1]
    table = kept_table(tmp_path / "kept.parquet", kept[::-1])
    made = make_subset(open_pool([str(folder)]), table, recipe="every third")
    assert _taken(folder, made.subset) == {uid: 1 for uid, _, _ in kept}
    told = made.subset.provenance
    assert (told["kept"], told["dropped"]) == (len(kept), len(rows) - len(kept))
    assert told["recipe"] == "every third"


def test_what_a_run_of_filters_says_of_itself_is_remembered(ours, tmp_path):
    rows = rows_of(ours)
    kept_table(tmp_path / "kept.parquet", rows[:20])
    stage = {"stage": "size", "given": 60, "kept": 20, "dropped": 40, "reasons": {"small": 40}}
    stored = {"recipe": "basic", "recipe_sha256": "ab", "samples": 60, "kept": 20}
    run = stored | {"stages": [stage | {"warnings": []}], "files": []}
    (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    made = make_subset(open_pool([str(ours)]), tmp_path)  # the folder of the run
    told = made.subset.provenance
    assert (told["recipe"], told["run"], told["stages"]) == ("basic", stored, [stage])
    assert made.subset.num_kept == 20


def test_tables_for_other_shards_are_refused(ours, theirs, tmp_path):
    rows, pool = rows_of(ours), open_pool([str(ours)])
    swapped = [(rows[1][0], *rows[0][1:])]
    beyond = [(rows[0][0], rows[0][1], 99)]
    for kept, told in (
        (rows_of(theirs), "00000000.tar, which is not among the 4 shards"),
        (swapped, f"row 0 of {rows[0][1]} is {rows[0][0]}, not {rows[1][0]}"),
        (beyond, "row 99 of shard-000000.tar is to be kept, which has 16 samples"),
    ):
        with pytest.raises(DataError, match=told):
            make_subset(pool, kept_table(tmp_path / "kept.parquet", kept))


@pytest.mark.parametrize("pool_of", ["ours", "theirs"])
@pytest.mark.parametrize("form", ["npy", "bare", "text"])
def test_lists_of_uids_as_datacomp_has_them(request, tmp_path, pool_of, form):
    folder = request.getfixturevalue(pool_of)
    uids = [uid for uid, _, _ in rows_of(folder)]
    gone = ["0" * 32, "f" * 32, "0123456789abcdef" * 2]
    wanted = [*uids[::2], *uids[4:9:2], uids[4], *gone, gone[0]]  # some twice, one three times
    entries = datacomp_entries(wanted)
    path = tmp_path / f"uids.{form}"
    content = {"npy": npy(entries), "bare": entries.tobytes(), "text": "\n".join(wanted).encode()}
    path.write_bytes(content[form])
    made = make_subset(open_pool([str(folder)]), path)
    assert _taken(folder, made.subset) == Counter(uid for uid in wanted if uid in set(uids))
    assert sorted(made.missing) == sorted(gone)
    assert made.num_missing == made.subset.provenance["uids_missing"] == 3
    # and back: the entries that were found, as NumPy itself sorts them
    out = tmp_path / "again.npy"
    count = write_uids(open_pool([str(folder)]), made.subset, out)
    found = np.load(out)
    assert found.dtype == np.dtype("u8,u8")
    assert count == len(found)
    assert found.tolist() == datacomp_entries([u for u in wanted if u in set(uids)]).tolist()


def test_a_list_of_no_uid_of_these_shards_is_refused(ours, tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"kept": 12, "of": 18}, indent=1))
    with pytest.raises(DataError, match=r"none of the 4 uids listed in .*run\.json is in these"):
        make_subset(open_pool([str(ours)]), path)
    with pytest.raises(DataError, match=r"gone\.parquet does not exist; check the path"):
        make_subset(open_pool([str(ours)]), tmp_path / "gone.parquet")


def test_a_list_that_is_not_sorted_is_refused(ours, tmp_path):
    entries = datacomp_entries([uid for uid, _, _ in rows_of(ours)])
    entries[[3, 4]] = entries[[4, 3]]
    for content in (npy(entries), entries.tobytes()):
        (tmp_path / "uids").write_bytes(content)
        with pytest.raises(DataError, match=r"not sorted \(entry 4 is less"):
            make_subset(open_pool([str(ours)]), tmp_path / "uids")
    for content, told in (
        (npy(np.arange(4)), "holds int64 of shape"),
        (b"\0" * 17, "17 bytes are not whole entries"),
        (b"\x93NUMPY\x01\x00", "as .npy"),
    ):
        (tmp_path / "uids").write_bytes(content)
        with pytest.raises(DataError, match=told):
            make_subset(open_pool([str(ours)]), tmp_path / "uids")


def test_equal_first_halves_are_told_apart(tmp_path):
    """A search by the first 64 bits alone would take one for the other."""
    wanted = [f"{7:016x}{low:016x}" for low in range(0, 40, 2)]
    entries = datacomp_entries(wanted)
    from data_pipelines.subsets.uid_list import SortedIds

    ids = np.array([[7, low] for low in range(40)], dtype=np.uint64)
    found = SortedIds(entries).find(ids)
    assert found.counts.tolist() == [1, 0] * 20


def test_samples_without_ids_are_named_by_shard_and_key(tmp_path):
    folder = plain_pool(tmp_path / "pool")
    pool = open_pool([str(folder)])
    names = [
        StoredSample(key, members, name=index.name(row)).uid
        for index in pool.indexes
        for row, (key, members) in enumerate(index)
    ]
    assert len(set(names)) == 20
    (tmp_path / "uids.txt").write_text("\n".join([*names[3:7], "nobody"]), encoding="utf-8")
    made = make_subset(pool, tmp_path / "uids.txt")
    assert [part.num_kept for part in made.subset.parts] == [4, 0, 0]
    assert list(made.missing) == ["nobody"]
    with pytest.raises(DataError, match="DataComp's files hold 32 hexadecimal digits"):
        write_uids(pool, made.subset, tmp_path / "uids.npy")


def test_a_part_of_a_subset_is_a_subset_of_fewer_shards(ours, tmp_path):
    kept = rows_of(ours)[::2]
    whole = make_subset(open_pool([str(ours)]), kept_table(tmp_path / "kept.parquet", kept))
    write_subset(whole.subset, tmp_path / "whole.subset")
    one = open_pool([str(ours / "shard-000001.tar")])
    made = make_subset(one, tmp_path / "whole.subset")
    assert _taken(ours, made.subset) == {u: 1 for u, s, _ in kept if s == "shard-000001.tar"}
    assert made.subset.provenance["of"] == whole.subset.digest
    with pytest.raises(DataError, match="3 of them are not among the 1 given"):
        parts_for(whole.subset, one.identities, name="whole.subset")


def test_uids_are_read_once(theirs, monkeypatch):
    index = ShardIndex.open(next(iter(sorted(theirs.glob("*.tar")))))
    first = uid_column(index)
    monkeypatch.setattr(ShardIndex, "read_member", lambda *_: pytest.fail("read again"))
    again = uid_column(index)
    assert [again.uid(row) for row in range(len(index))] == [
        first.uid(row) for row in range(len(index))
    ]


def _subset_of(folder, tmp_path, *, step=2, twice=()):
    rows = rows_of(folder)
    kept = [*rows[::step], *(rows[::step][place] for place in twice)]
    pool = open_pool([str(folder)])
    return pool, make_subset(pool, kept_table(tmp_path / "kept.parquet", kept)).subset, kept


@pytest.mark.parametrize("pool_of", ["ours", "theirs"])
def test_resharding_writes_each_kept_sample_once_as_it_was(request, tmp_path, pool_of):
    folder = request.getfixturevalue(pool_of)
    pool, subset, kept = _subset_of(folder, tmp_path)
    done = reshard(pool, subset, tmp_path / "new", name="x", max_samples=8)
    sizes = [entry.samples for entry in done.manifest.shards]
    assert sum(sizes) == len(kept)
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 8
    assert Manifest.load(tmp_path / "new").verify(tmp_path / "new") == []
    assert not list(tmp_path.glob(".new*"))
    assert not (tmp_path / "new" / FINISHED_NAME).exists()
    before = {
        json.loads(members["json"])["uid"]: members
        for path in folder.glob("*.tar")
        for _, members in members_of(path)
    }
    after = [one for path in sorted((tmp_path / "new").glob("*.tar")) for one in members_of(path)]
    assert [json.loads(members["json"])["uid"] for _, members in after] == [u for u, _, _ in kept]
    assert all(members == before[key] for key, members in after)  # the key is the uid


def test_an_interrupted_resharding_goes_on_and_gives_the_same_bytes(ours, tmp_path):
    pool, subset, _ = _subset_of(ours, tmp_path)
    reshard(pool, subset, tmp_path / "whole", name="x", max_samples=4)

    def breaks_off(work):
        for number, one in enumerate(work):
            if number == 3:
                raise KeyboardInterrupt
            yield one

    with pytest.raises(KeyboardInterrupt):
        reshard(pool, subset, tmp_path / "cut", name="x", max_samples=4, progress=breaks_off)
    assert not (tmp_path / "cut").exists()
    done = reshard(pool, subset, tmp_path / "cut", name="x", max_samples=4)
    assert done.num_kept_shards == 3
    files = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "cut").iterdir()}
    two = Workers(processes=2)
    reshard(pool, subset, tmp_path / "two", name="x", max_samples=4, workers=two)
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    # another subset does not go on with what this one left
    with pytest.raises(KeyboardInterrupt):
        reshard(pool, subset, tmp_path / "other", name="x", max_samples=4, progress=breaks_off)
    other = _subset_of(ours, tmp_path, step=3)[1]
    assert reshard(pool, other, tmp_path / "other", name="x", max_samples=4).num_kept_shards == 0


def test_repeated_samples_get_keys_of_their_own(ours, tmp_path):
    pool, subset, kept = _subset_of(ours, tmp_path, twice=(0, 0, 5))
    reshard(pool, subset, tmp_path / "new", name="x", max_samples=100)
    found = [one for path in sorted((tmp_path / "new").glob("*.tar")) for one in members_of(path)]
    keys = [key for key, _ in found]
    assert len(set(keys)) == len(kept)
    first = kept[0][0]
    assert keys[:3] == [first, f"{first}-1", f"{first}-2"]
    uids = Counter(json.loads(members["json"])["uid"] for _, members in found)
    assert uids == Counter(uid for uid, _, _ in kept)


def test_samples_without_ids_keep_their_names_in_new_shards(tmp_path):
    folder = plain_pool(tmp_path / "pool")
    pool = open_pool([str(folder)])
    names = [index.name(row) for index in pool.indexes for row in range(len(index))]
    (tmp_path / "uids.txt").write_text("\n".join(names[::2]), encoding="utf-8")
    subset = make_subset(pool, tmp_path / "uids.txt").subset
    reshard(pool, subset, tmp_path / "new", name="x", max_samples=100)
    new = open_pool([str(tmp_path / "new")])
    (index,) = new.indexes
    assert [uid_column(index).uid(row) for row in range(len(index))] == names[::2]
    captions = [StoredSample(key, members).captions.texts for key, members in index]
    assert captions == [(f"n {number}",) for number in range(0, 20, 2)]


def test_ids_that_were_met_are_those_of_a_set():
    rng = np.random.default_rng(1)
    known = [rng.bytes(16) for _ in range(300)]
    known += [bytes(16), b"\0" * 15 + b"\1", b"\1" + b"\0" * 15, b"ab" * 8]
    asked = [known[place] for place in rng.integers(0, len(known), 2000)]
    met = set()
    with SeenIds(recent=7) as seen:
        for one in asked:
            assert seen.add(one) == (one not in met)
            met.add(one)


def test_ids_sorted_on_the_disk_are_those_of_numpy(tmp_path):
    rng = np.random.default_rng(2)
    ids = rng.integers(0, 2**64, size=(500, 2), dtype=np.uint64)
    ids[:50, 0] = 2**64 - 1
    with IdBuckets(500, folder=tmp_path, bucket_ids=40) as buckets:
        for first in range(0, 500, 60):
            buckets.add(ids[first : first + 60])
        found = np.concatenate(list(buckets.sorted()))
    assert found.tolist() == sorted(map(tuple, ids.tolist()))
    assert list(tmp_path.iterdir()) == []
