"""Stored embeddings: every sample has a row or a reason, whatever the form."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import vlsuite
from data_pipelines.embeddings.folder import open_embeddings
from data_pipelines.embeddings.opening import Reading, open_parts
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.schema import make_uid
from tests.support.curation import mixed_shards
from tests.support.embedding_model import SmallClip
from tests.support.shards import picture
from vlsuite.api.embeddings import EmbedRequest, embed_data
from vlsuite.cli.main import main
from vlsuite.models.embed_parts import embed_part
from vlsuite.models.embedding import Embedding


@pytest.fixture(scope="module")
def clip():
    return SmallClip()


@pytest.fixture
def folder(tmp_path):
    """Nine pictures in folders, two of which cannot be read, some with captions beside them."""
    root = tmp_path / "photos"
    for number in range(9):
        kind = ("JPEG", "PNG", "WEBP")[number % 3]
        place = root / f"s{number % 2}" / f"{number}.{kind.lower()}"
        place.parent.mkdir(parents=True, exist_ok=True)
        data = picture(number, side=20 + number, format=kind)
        place.write_bytes(data[: len(data) // 2] if number in (4, 5) else data)
        if number % 2:
            place.with_suffix(".txt").write_text(f"picture number {number}\nanother")
    return root


def _embed(clip, data, out, *, rows=64, workers=1, **how):
    paths = tuple(map(str, data if isinstance(data, list | tuple) else [data]))
    how = Embedding(**{"batch_size": 2, "dtype": "fp32", "pixels": "exact"} | how)
    return embed_data(clip, EmbedRequest(paths=paths, out=out, how=how, rows=rows, workers=workers))


def _bytes(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _reasons(found):
    paths = sorted((found.folder / "skipped").glob("*.parquet"))
    return {row["path"]: row["reason"] for path in paths for row in pq.read_table(path).to_pylist()}


def test_a_folder_gives_vectors_of_the_model_and_reasons_for_the_rest(clip, folder, tmp_path):
    found = _embed(clip, folder, tmp_path / "out")
    rows = found.rows().to_pylist()
    assert [row["path"] for row in rows] == [
        "s0/0.jpeg", "s0/2.webp", "s0/6.jpeg", "s0/8.webp", "s1/1.png", "s1/3.jpeg", "s1/7.png"
    ]  # fmt: skip
    assert [row["row"] for row in rows] == [0, 1, 3, 4, 5, 6, 8]
    assert [row["caption"] for row in rows][:5] == [None] * 4 + ["picture number 1"]
    assert rows[0]["uid"] == make_uid(
        "image-folder", "s0/0.jpeg", picture(0, side=20, format="JPEG")
    )
    assert set(_reasons(found)) == {"s0/4.png", "s1/5.webp"}
    assert found.about["rows"] == len(rows) + sum(found.about["skipped"].values())
    wanted = vlsuite.embed_images(clip, [folder / row["path"] for row in rows])
    assert np.abs(found.array("images") - wanted.numpy()).max() < 1e-5


def test_all_kinds_of_inputs_give_the_same_vectors(clip, folder, tmp_path):
    wanted = _embed(clip, folder, tmp_path / "folder")
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.*"))]
    names = [name for name in names if not name.endswith(".txt")]
    (folder / "list.txt").write_text("\n".join(names))
    (folder / "table.csv").write_text("\n".join(["image_path,caption", *(f"{n},c" for n in names)]))
    read = [(folder / name).read_bytes() for name in names]
    tables = {
        "plain.parquet": pa.table({"jpg": read, "txt": ["c"] * 9}),
        "hub.parquet": pa.table(
            {"image": [{"bytes": b, "path": n} for b, n in zip(read, names, strict=True)]}
        ),
    }
    for name, table in tables.items():
        pq.write_table(table, tmp_path / name, row_group_size=5)
    for place in (folder / "list.txt", folder / "table.csv", *(tmp_path / name for name in tables)):
        found = _embed(clip, place, tmp_path / f"out-{place.name}")
        assert np.array_equal(found.array("images"), wanted.array("images")), place
        assert found.about["skipped"] == wanted.about["skipped"]
    hub = open_embeddings(tmp_path / "out-hub.parquet").rows().to_pylist()
    assert [row["path"] for row in hub] == [row["path"] for row in wanted.rows().to_pylist()]
    assert [row["row"] for row in hub] == [0, 1, 3, 4, 5, 6, 8]
    one = _embed(clip, folder / names[0], tmp_path / "one")
    assert np.array_equal(one.array("images"), wanted.array("images")[:1])


@pytest.mark.parametrize("layout", ["npy", "parquet", "clip-retrieval"])
@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
def test_layouts_hold_the_same(clip, tmp_path, layout, dtype):
    shards = mixed_shards(tmp_path / "shards")
    found = _embed(clip, shards, tmp_path / "out", kind="both", layout=layout, dtype=dtype)
    plain = _embed(clip, shards, tmp_path / "plain", kind="both")
    kind = {"fp16": np.float16, "fp32": np.float32}[dtype]
    for what in ("images", "texts"):
        array = found.array(what)
        assert array.dtype == kind
        assert np.array_equal(array, plain.array(what).astype(kind))
    assert found.rows().equals(plain.rows())
    assert found.rows()["caption"].to_pylist()[:3] == [f"picture number {n}" for n in (0, 1, 3)]
    assert found.rows()["path"].to_pylist()[0] == "00000.tar/0000"
    texts = clip.embed_texts(found.rows()["caption"].to_pylist())
    assert np.abs(plain.array("texts") - texts.numpy()).max() < 1e-5


def test_clip_retrieval_finds_the_names_and_columns_that_it_writes_itself(clip, tmp_path):
    mixed_shards(tmp_path / "shards")
    out = tmp_path / "out"
    _embed(clip, tmp_path / "shards", out, rows=1, kind="both", layout="clip-retrieval")
    assert sorted(path.name for path in out.iterdir()) == [
        "embeddings.json", "img_emb", "metadata", "parts", "skipped", "text_emb"
    ]  # fmt: skip
    assert (out / "img_emb/img_emb_00.npy").is_file()
    assert np.load(out / "text_emb/text_emb_17.npy").shape == (0, 16)
    columns = pq.read_table(out / "metadata/metadata_00.parquet").column_names
    assert {"image_path", "caption"} <= set(columns)


def test_texts_alone(clip, tmp_path):
    texts = ["a cat", "", "two dogs", "a cat"]
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    pq.write_table(pa.table({"caption": texts, "path": ["x"] * 4}), tmp_path / "texts.parquet")
    wanted = clip.embed_texts(["a cat", "two dogs", "a cat"]).numpy()
    for name in ("texts.txt", "texts.parquet"):
        found = _embed(clip, tmp_path / name, tmp_path / f"out-{name}", kind="texts")
        assert found.kinds == ("texts",)
        assert np.abs(found.array("texts") - wanted).max() < 1e-5
        assert found.about["skipped"] == {"no caption": 1}
        assert len(set(found.rows()["uid"].to_pylist())) == 3


class _Stopping(SmallClip):
    """Stops after some batches, as if it were killed."""

    def __init__(self, batches):
        super().__init__()
        self._left = batches

    def embed_images(self, images):
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        return super().embed_images(images)


def test_stopped_and_shared_work_ends_in_the_same_bytes(clip, folder, tmp_path, monkeypatch):
    shards = mixed_shards(tmp_path / "shards", shards=2)
    data = [*shards, folder]
    _embed(clip, data, tmp_path / "whole", rows=4, kind="both")
    whole = _bytes(tmp_path / "whole")
    for batches in range(0, 6, 2):
        out = tmp_path / f"stopped-{batches}"
        with pytest.raises(KeyboardInterrupt):
            _embed(_Stopping(batches), data, out, rows=4, kind="both")
        with pytest.raises(DataError, match="is not finished; run that command again"):
            open_embeddings(out)
        (out / ".rest.npy.0123456789abcdef0123456789abcdef.unfinished").write_bytes(b"x")
        _embed(clip, data, out, rows=4, kind="both")
        assert _bytes(out) == whole
    torch.set_num_threads(2)
    _embed(clip, data, tmp_path / "shared", rows=4, kind="both", workers=3)
    assert _bytes(tmp_path / "shared") == whole
    assert torch.get_num_threads() == 2


def test_only_what_changed_is_made_again(clip, folder, tmp_path):
    out = tmp_path / "out"
    _embed(clip, folder, out, rows=4)
    counting = SmallClip()
    _embed(counting, folder, out, rows=4)
    assert counting.image_batch_sizes == []
    (folder / "s0/0.jpeg").write_bytes(picture(77, side=33, format="JPEG"))
    found = _embed(counting, folder, out, rows=4)
    assert sum(counting.image_batch_sizes) == 2
    assert np.array_equal(
        found.array("images"), _embed(clip, folder, tmp_path / "new", rows=4).array("images")
    )
    for path in sorted(folder.glob("s1/*")):
        path.unlink()
    _embed(clip, folder, out, rows=4)
    _embed(clip, folder, tmp_path / "fewer", rows=4)
    assert _bytes(out) == _bytes(tmp_path / "fewer")


def test_small_sets_come_in_parts_enough_for_several_processes(tmp_path):
    (tmp_path / "texts.txt").write_text("".join(f"text {n}\n" for n in range(1000)))
    texts = open_parts([str(tmp_path / "texts.txt")], Reading(kind="texts"))
    assert [part.num_rows for part in texts] == [250] * 4
    (tmp_path / "texts.txt").write_text("text\n" * 1_000_000)
    texts = open_parts([str(tmp_path / "texts.txt")], Reading(kind="texts"))
    assert max(part.num_rows for part in texts) <= 8192
    assert sum(part.num_rows for part in texts) == 1_000_000


def test_other_embeddings_and_other_files_are_kept(clip, folder, tmp_path):
    out = tmp_path / "out"
    _embed(clip, folder, out)
    before = _bytes(out)
    with pytest.raises(ConfigError, match=r"another model \(small-clip-0"):
        _embed(SmallClip(seed=1), folder, out)
    with pytest.raises(ConfigError, match=r"another layout \(npy\), dtype \(fp32\)"):
        _embed(clip, folder, out, layout="parquet", dtype="fp16")
    assert _bytes(out) == before
    (out / "embeddings.json").unlink()
    with pytest.raises(ConfigError, match="another model"):
        _embed(SmallClip(seed=1), folder, out)
    with pytest.raises(ConfigError, match="holds other files"):
        _embed(clip, folder, folder)
    with pytest.raises(ConfigError, match="is a file; give a folder"):
        _embed(clip, folder, folder / "s0/0.jpeg")


def test_threads_that_decode_ahead_change_nothing(clip, folder):
    (part,) = open_parts([str(folder)], Reading(kind="both", rows=64))
    how = Embedding(kind="both", batch_size=2, pixels="exact")
    items, vectors, skips = embed_part(clip, part, how)
    again, same, skipped = embed_part(clip, part, how, threads=3)
    assert (again, skipped) == (items, skips)
    assert len(items) == 3
    assert all(np.array_equal(vectors[kind], same[kind]) for kind in ("images", "texts"))
    assert {skip.reason for skip in skips} >= {"no caption"}


def test_a_note_of_strange_files_is_not_believed(clip, folder, tmp_path):
    out = tmp_path / "out"
    _embed(clip, folder, out)
    whole, mine = _bytes(out), tmp_path / "mine.txt"
    mine.write_text("x")
    note = json.loads((out / "parts/00000.json").read_text())
    note["files"]["../mine.txt"] = [1, ""]
    (out / "parts/00000.json").write_text(json.dumps(note))
    _embed(clip, folder, out)
    assert _bytes(out) == whole
    assert mine.exists()


class _Broken(SmallClip):
    def embed_images(self, images):
        return super().embed_images(images) * float("nan")


def test_nan_is_refused_and_names_the_model(folder, tmp_path):
    with pytest.raises(DataError, match="model small-clip gives vectors that are no numbers"):
        _embed(_Broken(), folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("nowhere", "nowhere does not exist"),
        ("empty", "has neither tars, pictures nor Parquet files in it"),
        ("a.pdf", "'.pdf' is none of .tar, .txt"),
        ("names.csv", "has no column that is known to hold images (a, b); name it by"),
        ("no.txt", "nothing to embed in"),
        ("bad.parquet", "cannot read"),
    ],
)
def test_inputs_that_are_none_end_in_one_line(tmp_path, capsys, data, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.pdf").write_bytes(b"x")
    (tmp_path / "no.txt").write_text("")
    (tmp_path / "names.csv").write_text("a,b\n1,2\n")
    (tmp_path / "bad.parquet").write_bytes(b"no")
    words = [
        "embed",
        str(tmp_path / data),
        "--model",
        "RN50:openai",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_command_line(clip, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("vlsuite.api.embeddings.load_model", lambda name, device: clip)
    words = [
        "embed",
        str(folder),
        "--model",
        "RN50:openai",
        "--out",
        str(tmp_path / "out"),
        "--workers",
        "1",
    ]
    assert main(words) == 0
    assert "7 samples embedded (images, 16 numbers, fp16)" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["stored"], told["embed_dim"]) == (9, 7, 16)
    assert open_embeddings(tmp_path / "out").model == "RN50:openai"


def test_python_door(clip, folder, tmp_path):
    found = vlsuite.embed(clip, folder, out=tmp_path / "out", workers=1)
    assert (len(found), found.array("images").dtype) == (7, np.float16)
    with pytest.raises(ConfigError, match="kind='words' is unknown; give one of images"):
        vlsuite.embed(clip, folder, out=tmp_path / "out", kind="words")
