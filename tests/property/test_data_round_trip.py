"""Whatever the samples, shards give them back, to our reader and to webdataset."""

import string
from pathlib import Path
from tempfile import TemporaryDirectory

import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.schema import Sample, make_uid
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of, image_of, label_of, uid_of
from data_pipelines.shards.write import write_benchmark, write_pairs

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).map(str.strip)
PLAIN = st.text(string.ascii_letters + "\u00e9\u4e2d '", min_size=1, max_size=20).map(str.strip)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "image": st.binary(max_size=2000),
            "image_suffix": st.sampled_from(["png", "jpg", "webp"]),
            "captions": st.lists(TEXT.filter(bool), min_size=1, max_size=3).map(tuple),
            "label": st.none() | st.integers(0, 9),
            "provenance": st.dictionaries(PLAIN, PLAIN | st.integers(), max_size=2),
        }
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=15, deadline=None)
@given(rows=ROWS, max_samples=st.integers(1, 5))
def test_training_shards_round_trip(rows, max_samples):
    rows = _samples(rows)
    with TemporaryDirectory() as folder:
        write_pairs(rows, Path(folder), max_samples=max_samples)
        read = _read(folder, one_per_line=False)
        keys = [row["__key__"] for row in webdataset.WebDataset(_urls(folder), shardshuffle=False)]
    assert read == [(r.uid, r.image, r.image_suffix, r.captions, r.label) for r in rows]
    assert keys == [r.uid for r in rows]


@settings(max_examples=15, deadline=None)
@given(rows=ROWS)
def test_captions_of_a_benchmark_take_one_line_each(rows):
    rows = _samples(rows)
    with TemporaryDirectory() as folder:
        write_benchmark(
            rows, Path(folder), kind="retrieval", class_names=[str(i) for i in range(10)]
        )
        texts = [row["txt"] for row in webdataset.WebDataset(_urls(folder), shardshuffle=False)]
        read = _read(folder, one_per_line=True)
    assert [len(text.decode().splitlines()) for text in texts] == [len(r.captions) for r in rows]
    assert read == [(r.uid, r.image, r.image_suffix, r.captions, r.label) for r in rows]


def _samples(rows):
    return [
        Sample(uid=make_uid("test", str(number), row["image"]), **row)
        for number, row in enumerate(rows)
    ]


def _urls(folder):
    return [str(path) for path in find_shards([folder])]


def _read(folder, *, one_per_line):
    read = []
    for path in find_shards([folder]):
        index = ShardIndex.open(path)
        for i in range(len(index)):
            members = index.read(i)
            image = image_of(members)
            captions = captions_of(members, one_per_line=one_per_line)
            read.append(
                (uid_of("", members), image.data, image.suffix, captions, label_of(members))
            )
    return read
