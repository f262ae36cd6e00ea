"""Contamination is what loops over all pairs find, and each hit names its set and sample."""

import hashlib
import io
import random

import numpy as np
import pytest
from PIL import Image

from data_pipelines.curation.filters.decontaminate import Decontaminate
from data_pipelines.curation.perceptual_hash import perceptual_hash
from data_pipelines.curation.picture_facts import picture_facts
from data_pipelines.curation.recipe import load_recipe
from data_pipelines.curation.run import run_recipe
from data_pipelines.curation.stages import Stages
from data_pipelines.errors import ConfigError, DataError
from tests.support.curation import add_vectors, files_of, table_of


def _rows(number, seed, prefix):
    rng = random.Random(seed)
    shared = random.Random(99)
    pool = [shared.getrandbits(64) for _ in range(20)]
    rows = []
    for i in range(number):
        bits = rng.choice(pool) if rng.random() < 0.5 else rng.getrandbits(64)
        for _ in range(rng.randrange(6)):
            bits ^= 1 << rng.randrange(64)
        caption = " ".join(rng.choices(["a", "Dog", "dog", "on"], k=rng.randrange(2, 7)))
        rows.append(
            {
                "uid": f"{prefix}{i:04d}",
                "sha256": bytes([rng.randrange(250)]) * 32,
                "phash": bits,
                "phash_path": "full",
                "caption": caption,
                "caption_words": len(caption.split()),
            }
        )
    return rows


def _fates(table, chosen, threads=2):
    with Stages(table, threads=threads) as stages:
        counts = stages.run("it", chosen)
        rows = stages.sql(
            f"SELECT uid, reason, value, detail FROM ({stages.fates.all()}) WHERE stage = 'it'"
        ).fetchall()
    assert counts.dropped == len(rows)
    return counts, {row[0]: row[1:] for row in rows}


def _expected(own, sets, *, bits, cosines, threshold, words):
    """First kind that holds, with the value and the sample of the set: the nearest, then first."""
    found = {}
    for i, row in enumerate(own):
        others = [(name, other) for name, rows in sets for other in rows]
        same = [j for j, (_, other) in enumerate(others) if other["sha256"] == row["sha256"]]
        apart = [((row["phash"] ^ o["phash"]).bit_count(), j) for j, (_, o) in enumerate(others)]
        like = [one for one in apart if one[0] <= bits]
        close = [(-c, j) for j, c in enumerate(cosines[i]) if c >= threshold]
        told = [
            j
            for j, (_, other) in enumerate(others)
            if other["caption"].lower() == row["caption"].lower() and row["caption_words"] >= words
        ]
        if same:
            hit = ("picture of an evaluation set", None, same[0])
        elif like:
            hit = ("like a picture of an evaluation set", *min(like))
        elif close:
            hit = ("close to an evaluation set", -min(close)[0], min(close)[1])
        elif told:
            hit = ("caption of an evaluation set", None, told[0])
        else:
            continue
        name, other = others[hit[2]]
        found[row["uid"]] = (hit[0], hit[1], f"{name}: {other['uid']}")
    return found


def _unit(vectors):
    wide = vectors.astype(np.float16).astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def test_each_kind_of_hit_is_found_and_names_its_source(tmp_path, monkeypatch):
    monkeypatch.setattr("data_pipelines.curation.filters.decontaminate.BLOCK", 64)
    monkeypatch.setattr("data_pipelines.curation.set_vectors.BLOCK", 16)
    own, first, second = _rows(300, 1, "own"), _rows(40, 2, "a"), _rows(30, 3, "b")
    table = table_of(tmp_path / "pool", [own[:100], own[100:]], has_hash=True)
    sets = {"first": first, "second": second}
    rng = np.random.default_rng(0)
    vectors = {name: rng.standard_normal((n, 5)) for name, n in (("first", 40), ("second", 30))}
    for name, rows in sets.items():
        made = table_of(tmp_path / name / "curation", [rows[:7], rows[7:]], has_hash=True)
        add_vectors(made, "clip", vectors[name])
    theirs = rng.standard_normal((300, 5))
    add_vectors(table, "clip", theirs)
    chosen = Decontaminate(
        against=(str(tmp_path / "first"), str(tmp_path / "second" / "curation")),
        bits=4,
        vectors="clip",
        threshold=0.93,
        captions=True,
        caption_words=3,
    )
    cosines = _unit(theirs) @ _unit(np.concatenate([vectors["first"], vectors["second"]])).T
    expected = _expected(own, list(sets.items()), bits=4, cosines=cosines, threshold=0.93, words=3)
    counts, found = _fates(table, chosen)
    assert set(counts.reasons) == {reason for reason, _, _ in expected.values()}
    assert len(counts.reasons) == 4
    for uid, (reason, value, detail) in expected.items():
        assert (found[uid][0], found[uid][2]) == (reason, detail)
        assert found[uid][1] == (None if value is None else pytest.approx(value, abs=1e-5))
    assert set(found) == set(expected)


def _picture(number, side=90):
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((side * 4 // 3, side), Image.Resampling.BICUBIC)


def _encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


def _hashed(uid, data):
    facts = picture_facts(data, decode=False)
    found = perceptual_hash(data, facts, decoding="scaled")
    digest = hashlib.sha256(data).digest()
    return {"uid": uid, "sha256": digest, "phash": found.bits, "phash_path": found.path}


def test_a_folder_of_pictures_is_a_set_too(tmp_path):
    folder = tmp_path / "photos" / "inner"
    folder.mkdir(parents=True)
    (folder / "one.jpg").write_bytes(_encoded(_picture(1), "JPEG"))
    (folder / "two.png").write_bytes(_encoded(_picture(2), "PNG"))
    (folder / "broken.png").write_bytes(b"no picture")
    rows = [
        _hashed("same", _encoded(_picture(1), "JPEG")),
        _hashed("smaller", _encoded(_picture(1, side=70), "JPEG", quality=60)),
        _hashed("recoded", _encoded(_picture(2), "WEBP", quality=70)),
        _hashed("other", _encoded(_picture(3), "JPEG")),
    ]
    table = table_of(tmp_path / "pool", [rows], has_hash=True)
    _, found = _fates(table, Decontaminate(against=(str(tmp_path / "photos"),), bits=6))
    assert {uid: row[2] for uid, row in found.items()} == {
        "same": "photos: inner/one.jpg",
        "smaller": "photos: inner/one.jpg",
        "recoded": "photos: inner/two.png",
    }
    with pytest.raises(ConfigError, match="without vectors"):
        Decontaminate(against=(str(tmp_path / "photos"),), vectors="clip").digests()


def test_a_run_names_its_sets_and_notices_when_they_change(tmp_path):
    own = _rows(80, 1, "own")
    table = table_of(tmp_path / "pool", [own], has_hash=True)
    table_of(tmp_path / "set", [_rows(30, 2, "a")], has_hash=True)
    (tmp_path / "r.toml").write_text(
        f'[[stage]]\nfilter = "decontaminate"\nagainst = ["{tmp_path / "set"}"]\n'
    )
    for threads in (1, 4):
        recipe = load_recipe(str(tmp_path / "r.toml"))
        run_recipe(recipe, table, tmp_path / str(threads), threads=threads)
    assert files_of(tmp_path / "1") == files_of(tmp_path / "4")
    table_of(tmp_path / "set", [_rows(31, 2, "a")], has_hash=True)
    with pytest.raises(DataError, match="other stages or settings"):
        run_recipe(load_recipe(str(tmp_path / "r.toml")), table, tmp_path / "1")


def test_sets_that_cannot_be_compared_are_refused(tmp_path):
    table = table_of(tmp_path / "pool", [_rows(5, 1, "own")], has_hash=True)
    with pytest.raises(ConfigError, match="one evaluation set"):
        Decontaminate(against=())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no evaluation set"):
        Decontaminate(against=(str(tmp_path / "empty"),)).digests()
    table_of(tmp_path / "plain", [[{}]])
    with pytest.raises(DataError, match="no perceptual hashes"):
        _fates(table, Decontaminate(against=(str(tmp_path / "plain"),)))
    assert _fates(table, Decontaminate(against=(str(tmp_path / "plain"),), hashes=False))[1] == {}
    scaled = [{**row, "phash_path": "jpeg-scaled-64"} for row in _rows(5, 2, "a")]
    table_of(tmp_path / "x" / "scaled", [scaled], has_hash=True)
    counts, _ = _fates(table, Decontaminate(against=(str(tmp_path / "x" / "scaled"),)))
    assert "decoded as full" in counts.warnings[0]
    table_of(tmp_path / "scaled", [scaled], has_hash=True)
    with pytest.raises(ConfigError, match="two evaluation sets are called 'scaled'"):
        Decontaminate(against=(str(tmp_path / "x" / "scaled"), str(tmp_path / "scaled"))).digests()


def test_vectors_of_another_model_are_refused(tmp_path):
    table = table_of(tmp_path / "pool", [[{}]])
    other = table_of(tmp_path / "set", [[{}]])
    add_vectors(table, "clip", np.ones((1, 2)))
    add_vectors(other, "clip", np.ones((1, 2)), model="another")
    with pytest.raises(DataError, match="another model"):
        _fates(table, Decontaminate(against=(str(tmp_path / "set"),), hashes=False, vectors="clip"))
