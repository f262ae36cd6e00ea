"""Searches: the nearest of all vectors, or as many of them as an index was asked to find."""

import html
import json
import re

import numpy as np
import pytest
from PIL import Image

import vlsuite
from data_pipelines.embeddings import approximate
from data_pipelines.embeddings.approximate import build_index, cost, open_index
from data_pipelines.embeddings.exact import nearest
from data_pipelines.embeddings.folder import open_embeddings
from data_pipelines.embeddings.index_tuning import IndexChoice
from data_pipelines.embeddings.item import Item
from data_pipelines.embeddings.listed_items import Listed, ListedPart
from data_pipelines.embeddings.writing import EmbeddingsWriter
from data_pipelines.errors import ConfigError, DataError
from eval.search.found_files import Answer, Hit, write_sheet
from tests.support.embedding_model import SmallClip
from tests.support.shards import picture
from vlsuite.cli.main import main


def _unit(rng, count, width):
    vectors = rng.normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("k", [1, 7, 400])
def test_exact_search_equals_a_sort_of_all_cosines(dtype, k, monkeypatch):
    monkeypatch.setattr("data_pipelines.embeddings.exact._BLOCK", 64)
    rng = np.random.default_rng(k)
    stored = _unit(rng, 300, 12).astype(dtype)
    stored[100:110] = stored[5]  # equal ones: the first in order is the nearest
    queries = np.concatenate([_unit(rng, 3, 12), stored[5:6].astype(np.float32)])
    found = nearest([stored[:130], stored[130:130], stored[130:]], queries, k)
    cosines = queries.astype(np.float64) @ stored.astype(np.float64).T
    for query, own in enumerate(cosines):
        wanted = np.lexsort((np.arange(300), -own))[:k]
        here = found.rows[query][: len(wanted)]
        assert np.abs(own[here] - own[wanted]).max() < 1e-6
        assert len(set(here.tolist())) == len(wanted)
        assert (found.rows[query][300:] == -1).all()
    assert found.rows[3][: min(k, 11)].tolist() == [5, *range(100, 110)][:k]
    assert np.isneginf(found.cosines[:, 300:]).all()


def _stored(folder, vectors):
    """A folder of given vectors, in two parts."""
    settings = {
        "kind": "both" if len(vectors) > 1 else "images",
        "layout": "npy",
        "embed_dim": vectors["images"].shape[1],
        "fingerprint": "f",
        "precision": "fp32",
        "pixels": "exact",
    }
    writer = EmbeddingsWriter(folder=folder, settings=settings, count=2)
    count = len(vectors["images"])
    done, parts = [], []
    for number, (first, last) in enumerate([(0, count // 3), (count // 3, count)]):
        entries = tuple(Listed("", f"text {row}") for row in range(first, last))
        parts.append(ListedPart(root=folder, key=folder, first=first, entries=entries))
        items = [Item(row, f"u{row}", "", f"text {row}", None) for row in range(first, last)]
        own = {kind: array[first:last] for kind, array in vectors.items()}
        done.append(writer.write(number, parts[-1], items=items, vectors=own, skips=[]))
    writer.finish(parts, done, "none")
    return open_embeddings(folder)


@pytest.fixture(scope="module")
def clustered(tmp_path_factory):
    """6,000 vectors around 60 centres, with texts that lie beside their pictures."""
    rng = np.random.default_rng(0)
    images = np.repeat(_unit(rng, 60, 32), 100, axis=0) + 0.1 * rng.normal(size=(6000, 32))
    texts = images + 0.1 * rng.normal(size=images.shape)
    arrays = {
        kind: (array / np.linalg.norm(array, axis=1, keepdims=True)).astype(np.float16)
        for kind, array in (("images", images), ("texts", texts))
    }
    return _stored(tmp_path_factory.mktemp("stored") / "both", arrays)


@pytest.mark.parametrize("name", ["ivf", "hnsw"])
def test_an_index_finds_what_it_was_asked_to_and_says_how_much(clustered, tmp_path, name):
    choice = IndexChoice(kind="images", name=name, recall=0.97)
    index = build_index(clustered, choice, tmp_path)
    assert index.recall.queries == "200 texts"
    assert index.recall.low <= index.recall.share <= index.recall.high
    queries = np.asarray(clustered.array("texts")[::17], dtype=np.float32)
    wanted = nearest(clustered.vectors("images"), queries, 10)
    found = index.nearest(clustered, queries, 10)
    shares = [len(set(a) & set(b)) / 10 for a, b in zip(found.rows, wanted.rows, strict=True)]
    assert np.mean(shares) >= 0.95
    same = found.rows == wanted.rows
    assert np.array_equal(found.cosines[same], wanted.cosines[same]) or (
        np.abs(found.cosines[same] - wanted.cosines[same]).max() < 1e-6
    )
    again = open_index(clustered, choice, tmp_path)
    assert again is not None
    assert np.array_equal(again.nearest(clustered, queries, 10).rows, found.rows)
    assert open_index(clustered, IndexChoice(kind="images", name=name), tmp_path) is None
    cut = (tmp_path / "index.faiss").read_bytes()[:-1]
    (tmp_path / "index.faiss").unlink()  # it is mapped: a new file, not another content
    (tmp_path / "index.faiss").write_bytes(cut)
    assert open_index(clustered, choice, tmp_path) is None


@pytest.mark.parametrize("name", ["ivf", "hnsw"])
def test_without_texts_the_questions_are_put_in_last(clustered, tmp_path, name):
    images = _stored(tmp_path / "stored", {"images": clustered.array("images")[::5]})
    index = build_index(images, IndexChoice(kind="images", name=name), tmp_path)
    assert index.recall.queries == "200 images that were not in it yet"
    queries = np.asarray(images.array("images"), dtype=np.float32)
    found = index.nearest(images, queries, 3)
    firsts = found.rows[:, 0]
    assert np.mean(firsts == np.arange(1200)) > 0.95
    last = list(index.recall.added_last)
    assert np.mean(firsts[last] == np.array(last)) > 0.95
    assert found.cosines[:, 0].min() > 0.9


@pytest.mark.parametrize("name", ["ivf", "hnsw"])
def test_captions_that_repeat_are_as_near_as_each_other(tmp_path, name):
    """Of 40 equal texts any 10 are the nearest: a recall by number would find too few of them."""
    rng = np.random.default_rng(0)
    texts = np.tile(_unit(rng, 15, 16), (40, 1))
    images = _unit(rng, len(texts), 16)
    folder = _stored(tmp_path / "e", {"images": images, "texts": texts})
    choice = IndexChoice(kind="texts", name=name, recall=0.98)
    index = build_index(folder, choice, tmp_path / "i")
    assert index.recall.share >= 0.98
    found = index.nearest(folder, images[:20], 10)
    whole = nearest(folder.vectors("texts"), images[:20], 10)
    np.testing.assert_allclose(found.cosines, whole.cosines, atol=2e-3)
    assert all(len(set(rows)) == 10 for rows in found.rows.tolist())


def test_memory_is_asked_for_before_it_is_taken(clustered, tmp_path, monkeypatch):
    monkeypatch.setattr(approximate, "memory_free", lambda: 1000)
    with pytest.raises(ConfigError, match=r"needs 0\.\d GB of memory and 0.0 GB are free"):
        build_index(clustered, IndexChoice(kind="images"), tmp_path)
    assert 1.0e9 < cost(10**6, 512, "ivf").disk < 1.1e9
    assert 1.2e9 < cost(10**6, 512, "hnsw").memory < 1.6e9


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A dozen pictures, embedded by a small model."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(12):
        (root / f"{number:02d}.png").write_bytes(picture(number, side=24))
        (root / f"{number:02d}.txt").write_text(f"<b>caption</b> {number}")
    clip = SmallClip()
    found = vlsuite.embed(clip, root, out=root / "out", kind="both", pixels="exact", workers=1)
    return clip, root, found


def test_pictures_words_and_uids_find_their_nearest(photos):
    clip, root, stored = photos
    asked = str(root / "03.png")
    found = vlsuite.search(root / "out", [asked, "a cat"], model=clip, top=4)
    assert found.how == "compared with all 12 vectors"
    first, second = found.answers
    assert (first.hits[0].path, first.hits[0].row) == ("03.png", 3)
    assert first.hits[0].cosine == pytest.approx(1, abs=1e-3)
    cosines = stored.array("images").astype(np.float32) @ clip.embed_texts(["a cat"])[0].numpy()
    assert [hit.row for hit in second.hits] == np.argsort(-cosines)[:4].tolist()
    among = vlsuite.search(root / "out", "a cat", model=clip, among="texts", top=99)
    assert len(among.answers[0].hits) == 12
    with pytest.raises(ConfigError, match="is not the model of"):
        vlsuite.search(root / "out", "a cat", model=SmallClip(seed=3))
    with pytest.raises(DataError, match=r"gone.png does not exist; search these words by --text"):
        vlsuite.search(root / "out", "gone.png", model=clip)
    with pytest.raises(ConfigError, match="nothing to search for"):
        vlsuite.search(root / "out", [], model=clip)
    with pytest.raises(ConfigError, match="a query is empty; give words"):
        vlsuite.search(root / "out", ["a cat", " "], model=clip)


def test_command_shows_a_table_json_a_page_and_a_sheet(photos, tmp_path, capsys):
    _, root, stored = photos
    uid = stored.rows()["uid"][5].as_py()
    words = ["search", str(root / "out"), "--uid", uid, "--top", "3"]
    page, sheet = tmp_path / "found.html", tmp_path / "found.png"
    assert main([*words, "--page", str(page), "--sheet", str(sheet)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"1   1\.000  05\.png  <b>caption</b> 5", out)
    text = page.read_text()
    assert text.count("data:image/jpeg;base64,") == 3
    assert "<b>caption" not in text
    assert "<b>caption</b> 5" in html.unescape(text)
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert Image.open(sheet).width == 3 * 136 + 8
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["answers"][0]["hits"][0]["uid"] == uid
    assert main(["search", str(root / "out"), "--uid", "none"]) == 2
    assert main(["search", str(root), "x"]) == 2
    assert "run 'vlsuite embed'" in capsys.readouterr().err


def test_rows_of_a_sheet_say_what_was_asked_with(tmp_path):
    hits = tuple(Hit(n, 0.5, "u", "a.png", None, "s", n, picture(n)) for n in range(3))
    few = hits[:1]

    def drawn(*answers):
        write_sheet(tmp_path / "s.png", [Answer(*answer) for answer in answers])
        return np.asarray(Image.open(tmp_path / "s.png").convert("RGB"))

    words = drawn(("a red car", None, few), ("no hits", None, ()), ("a dog", None, hits))
    assert words.shape == (3 * 21 + 2 * (128 + 39 + 2 * 8), 3 * 136 + 8, 3)
    twins = drawn(("z/x/a.png", picture(0), few), ("y/a.png", picture(1), hits))
    assert np.array_equal(twins, drawn(("x/a.png", None, few), ("y/a.png", None, hits)))
    named = drawn(("z/x/a.png", picture(0), few), ("b.png", picture(1), hits))
    assert np.array_equal(named, drawn(("a.png", None, few), ("b.png", None, hits)))
    assert not np.array_equal(named[:21], drawn(("c.png", None, hits))[:21])
    long = drawn(("word \u202e\n" * 80, None, few))
    assert (long[:21, -8:] == long[0, 0]).all()
    assert (long[:21, -40:-8] != long[0, 0]).any()


def test_above_the_limit_an_index_is_built_once_and_its_memory_told(photos, tmp_path, capsys):
    _, root, stored = photos
    words = ["search", str(root / "out"), "--uid", stored.rows()["uid"][0].as_py()]
    words += ["--exact-below", "5", "--cache", str(tmp_path), "--recall", "0.5"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "building an ivf index of 12 vectors" in told.err
    assert "GB of memory" in told.err
    assert "ivf index over 12 vectors: finds" in told.out
    assert main(words) == 0
    assert capsys.readouterr().err == ""


def test_every_finite_half_is_compared_as_the_number_it_is():
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)][:, None]
    found = nearest([halves], np.ones((1, 1), dtype=np.float32), len(halves))
    assert np.array_equal(found.cosines[0], -np.sort(-halves[:, 0].astype(np.float32)))
    assert np.array_equal(found.rows[0], np.argsort(-halves[:, 0].astype(float), kind="stable"))
