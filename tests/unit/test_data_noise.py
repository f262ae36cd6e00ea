"""Noisy shards: the protocol, what reaches the shards, and what the truth beside them says."""

import json
import tarfile
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from data_pipelines.errors import DataError, ShardError
from data_pipelines.noise.build import NoiseTarget, write_noisy
from data_pipelines.noise.captions import CaptionPair, Captions, read_samples
from data_pipelines.noise.plan import NoiseConfig, make_plan
from data_pipelines.noise.truth import TRUTH_NAME, read_truth
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.manifest import Manifest, Origin
from data_pipelines.shards.pairs import read_captions
from data_pipelines.shards.validate import validate
from data_pipelines.shards.write import write_pairs
from data_pipelines.skips import Skips
from tests.support.shards import SHARED_DATA, needs_shared_data, picture, sample, write_tar
from vlsuite.cli.main import main

NOUNS = ("cat", "dog", "bus", "tree", "house", "boat", "lamp")


def _captions(number):
    noun, other = NOUNS[number % 7], NOUNS[number % 5]
    return (
        f"a small {noun} number{number} beside a  red {other}",
        f"thing{number}",
        f"the {noun}",
    )


def _write(folder, numbers, **fields):
    rows = [sample(number, captions=_captions(number), **fields) for number in numbers]
    write_pairs(rows, folder, max_samples=16, origin=Origin(source="toys", licence="CC0"))
    return folder


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return _write(tmp_path_factory.mktemp("noise") / "clean", range(40))


def _noisy(paths, out, *, clean_only=False, **config):
    target = NoiseTarget(out_dir=out, clean_only=clean_only)
    write_noisy([str(path) for path in paths], NoiseConfig(**config), target)
    return out


def _members(folder):
    """All samples of a folder: (key, members) in order."""
    shards = sorted(folder.glob("*.tar"))
    return [entry for path in shards for entry in ShardIndex.open(path)]


def _stored(folder):
    """Captions by uid, as the json has them."""
    rows = (json.loads(members["json"]) for _, members in _members(folder))
    return {row["uid"]: row["captions"] for row in rows}


def _mixed(**more):
    return {"mismatched": 0.4, "partial": 0.3, "seed": 3, **more}


def test_truth_says_where_every_caption_came_from(clean, tmp_path):
    out = _noisy([clean], tmp_path / "out", **_mixed())
    truth = read_truth(out)
    before = {
        uid: [" ".join(text.split()) for text in texts] for uid, texts in _stored(clean).items()
    }
    after = _stored(out)
    assert list(after) == list(before)
    assert len(truth) == 120
    assert [(u, n) for u, n in zip(truth.uids, truth.caption_numbers, strict=True)] == [
        (uid, n) for uid in after for n in range(3)
    ]
    for row, (uid, number) in enumerate(zip(truth.uids, truth.caption_numbers, strict=True)):
        came_from = before[truth.source_uids[row]][truth.source_caption_numbers[row]]
        if truth.is_partial[row]:
            assert truth.source_uids[row] == uid
            assert after[uid][number] != came_from
        else:
            assert after[uid][number] == came_from
            assert truth.is_mismatched[row] == (came_from not in before[uid])
    assert truth.is_mismatched.sum() == 48  # 0.4 of 120
    # "thing7" cannot lose a phrase, "the cat" neither: only a third of 36 draws succeeds at best.
    assert 0 < truth.is_partial.sum() <= 36
    counts = Manifest.load(out).origin.details["noise"]["counts"]
    assert truth.is_partial.sum() + counts["delete not possible"] == 36
    assert not (truth.is_mismatched & truth.is_partial).any()
    assert Counter(truth.source_uids) == dict.fromkeys(after, 3)  # no caption lost or doubled


def test_rows_of_the_truth_by_uid_and_number(clean, tmp_path):
    truth = read_truth(_noisy([clean], tmp_path / "out", mismatched=0.5))
    picks = [5, 117, 0]
    rows = truth.rows_of([truth.uids[i] for i in picks], truth.caption_numbers[picks])
    assert rows == picks
    with pytest.raises(ShardError, match="no caption 3 of sample"):
        truth.rows_of([truth.uids[0]], [3])


def test_nothing_in_the_shards_tells_the_noise(clean, tmp_path):
    """All that may differ from the set without noise are the caption texts themselves."""
    zero = _noisy([clean], tmp_path / "zero")
    noisy = _noisy([clean], tmp_path / "noisy", **_mixed())
    truth = read_truth(noisy)
    own = _stored(zero)
    wrong = {uid for uid, bad in zip(truth.uids, truth.is_mismatched, strict=True) if bad}
    assert wrong
    for (key_0, members_0), (key_1, members_1) in zip(_members(zero), _members(noisy), strict=True):
        assert key_0 == key_1
        assert list(members_0) == list(members_1) == ["json", "png", "txt"]
        assert members_0["png"] == members_1["png"]
        fields = json.loads(members_1["json"])
        assert set(fields) == {"uid", "captions"}
        assert members_1["txt"].decode() == fields["captions"][0]
        assert read_captions(members_1).texts == tuple(fields["captions"])  # what training numbers
        for number, text in enumerate(own[key_1]):
            row = truth.rows_of([key_1], [number])[0]
            if truth.is_mismatched[row]:
                assert json.dumps(text).encode() not in members_1["json"]
    for path in noisy.glob("*.tar"):
        with tarfile.open(path) as tar:
            assert {(m.mtime, m.mode, m.uid, m.uname, m.type) for m in tar} == {
                (0, 0o644, 0, "", b"0")
            }


def test_images_keep_their_bytes_and_other_members_stay_behind(clean, tmp_path):
    row = sample(1, captions=("a cat", "b"), label=4)
    write_pairs([row, sample(2)], tmp_path / "in")
    skips = Skips()
    found = list(read_samples([str(tmp_path / "in")], skips))
    assert found[0].image == row.image
    assert (found[0].label, found[0].provenance) == (None, {})
    assert skips.counts == {"member .cls dropped": 1}
    for _, members in _members(_noisy([clean], tmp_path / "out", mismatched=1.0)):
        assert members["png"] in {picture(number) for number in range(40)}


def test_same_input_gives_same_bytes_and_shard_order_does_not_matter(clean, tmp_path):
    outs = [_noisy([clean], tmp_path / name, **_mixed(kind="swap")) for name in ("a", "b")]
    for path in sorted(outs[0].iterdir()):
        assert path.read_bytes() == (outs[1] / path.name).read_bytes(), path.name
    backwards = _write(tmp_path / "backwards", reversed(range(40)))
    other = _noisy([backwards], tmp_path / "c", **_mixed(kind="swap"))
    assert _stored(other) == _stored(outs[0])
    assert _stored(_noisy([clean], tmp_path / "d", **_mixed(kind="swap", seed=4))) != _stored(other)


def test_oracle_keeps_exactly_the_clean_pairs(clean, tmp_path):
    noisy = _noisy([clean], tmp_path / "noisy", **_mixed(mismatched=0.6))
    oracle = _noisy([clean], tmp_path / "oracle", clean_only=True, **_mixed(mismatched=0.6))
    truth, kept = read_truth(noisy), read_truth(oracle)
    is_clean = ~(truth.is_mismatched | truth.is_partial)
    expected = [
        (uid, number, _stored(noisy)[uid][number])
        for uid, number, good in zip(truth.uids, truth.caption_numbers, is_clean, strict=True)
        if good
    ]
    stored = _stored(oracle)
    assert [
        (uid, source, stored[uid][number])
        for uid, number, source in zip(
            kept.uids, kept.caption_numbers, kept.source_caption_numbers, strict=True
        )
    ] == expected
    assert not (kept.is_mismatched | kept.is_partial).any()
    images = {key: members["png"] for key, members in _members(noisy)}
    assert all(images[key] == members["png"] for key, members in _members(oracle))
    assert len(stored) < 40  # some images have no clean caption left
    details = Manifest.load(oracle).origin.details["noise"]
    assert details["counts"]["images without a clean caption"] == 40 - len(stored)
    assert (
        details["captions_sha256"]
        == (Manifest.load(noisy).origin.details["noise"]["captions_sha256"])
    )


def _single(texts, identities=()):
    pairs = [CaptionPair(f"{i:032x}", 0) for i in range(len(texts))]
    named = {pair.uid: name for pair, name in zip(pairs, identities, strict=False)}
    return Captions(pairs, texts, named)


def test_uniform_permutations_are_equally_likely():
    """RDE's protocol: each of the 24 permutations of four captions, chi-square over 4,800 seeds."""
    captions = _single(["a", "b", "c", "d"])
    seen = Counter()
    for seed in range(4800):
        plan = make_plan(captions, NoiseConfig(mismatched=1.0, permutation="uniform", seed=seed))
        seen["".join(caption.text for caption in plan.noisy)] += 1
    assert len(seen) == 24
    assert chisquare(list(seen.values())).pvalue > 0.01
    fixed = sum(n * sum(x == y for x, y in zip(p, "abcd", strict=True)) for p, n in seen.items())
    assert fixed / 4800 == pytest.approx(1, abs=0.05)  # expected fixed points of a permutation


def test_derangements_of_four_are_all_reached():
    captions = _single(["a", "b", "c", "d"])
    seen = Counter(
        "".join(c.text for c in make_plan(captions, NoiseConfig(mismatched=1.0, seed=s)).noisy)
        for s in range(900)
    )
    assert len(seen) == 9  # subfactorial of 4
    assert all(x != y for text in seen for x, y in zip(text, "abcd", strict=True))


def test_captions_of_the_same_identity_or_text_are_no_mismatch():
    texts = ["Red hat", "red hat", "blue coat", "green bag", "bag", "boots"]
    captions = _single(texts, identities=["1", "2", "3", "3", "3", "4"])
    for seed in range(50):
        plan = make_plan(captions, NoiseConfig(mismatched=1.0, seed=seed))
        received = [caption.text for caption in plan.noisy]
        assert sorted(received) == sorted(texts)
        for i, caption in enumerate(plan.noisy):
            group = {0, 1} if i < 2 else {2, 3, 4} if i < 5 else {5}
            is_true = caption.text in {texts[j] for j in group}
            assert (caption.kind == "clean") == is_true
        assert plan.counts["mismatched"] == 6


def test_what_cannot_be_mismatched_keeps_its_caption():
    captions = _single(["same"] * 8 + ["other"])
    plan = make_plan(captions, NoiseConfig(mismatched=1.0))
    received = [caption.text for caption in plan.noisy]
    assert sorted(received) == sorted(captions.texts)
    assert plan.counts["mismatch not possible or true by chance"] == 7
    assert plan.counts["mismatched"] == 2
    alone = make_plan(_single(["only"]), NoiseConfig(mismatched=1.0))
    assert alone.noisy[0].kind == "clean"


@pytest.mark.parametrize("kind", ["delete", "truncate", "swap"])
def test_partial_captions_share_words_with_the_original(clean, tmp_path, kind):
    out = _noisy([clean], tmp_path / kind, partial=1.0, kind=kind)
    truth, before, after = read_truth(out), _stored(clean), _stored(out)
    assert truth.is_partial.sum() >= 40
    for row in np.flatnonzero(truth.is_partial):
        uid, number = truth.uids[row], truth.caption_numbers[row]
        old, new = before[uid][number].split(), after[uid][number].split()
        assert new != old
        assert set(new) & set(old)
        if kind == "truncate":
            assert new == old[:4]
        if kind == "delete":
            assert len(new) < len(old)
            assert not Counter(new) - Counter(old)


def test_altered_files_are_refused(clean, tmp_path):
    out = _noisy([clean], tmp_path / "out", mismatched=0.5)
    text = (out / TRUTH_NAME).read_text()
    (out / TRUTH_NAME).write_text(text.replace("mismatched", "clean", 1))
    with pytest.raises(ShardError, match=TRUTH_NAME.replace(".", r"\.")):
        read_truth(out)
    (out / TRUTH_NAME).write_text(text)
    read_truth(out)
    shard = out / "shard-000000.tar"
    shard.write_bytes(shard.read_bytes().replace(b"thing", b"THING", 1))
    with pytest.raises(ShardError, match="content differs"):
        read_truth(out)
    with pytest.raises(ShardError, match="no noise of known truth"):
        read_truth(clean)


def test_foreign_ids_that_hold_words_are_replaced(tmp_path):
    members = []
    for number in range(3):
        fields = json.dumps({"uid": f"art/a_cat_{number}", "category": "cats"}).encode()
        parts = {"png": picture(number), "txt": b"a cat %d" % number, "json": fields}
        members += [(f"{number:06d}.{suffix}", data) for suffix, data in parts.items()]
    path = write_tar(tmp_path / "art.tar", members)
    out = _noisy([path], tmp_path / "out", mismatched=1.0)
    for key, row in _members(out):
        assert json.loads(row["json"])["uid"] == key
        assert b"art/" not in row["json"]
        assert b"cats" not in row["json"]
    assert read_truth(out).is_mismatched.all()
    assert validate([str(out)]).is_valid


def test_identities_stay_with_their_image(tmp_path):
    rows = [sample(number, captions=(f"coat {number}",)) for number in range(6)]
    for number, row in enumerate(rows):
        row.provenance["identity"] = number // 2
    write_pairs(rows, tmp_path / "in")
    out = _noisy([tmp_path / "in"], tmp_path / "out", mismatched=1.0)
    stored = {key: json.loads(members["json"])["identity"] for key, members in _members(out)}
    assert stored == {row.uid: str(number // 2) for number, row in enumerate(rows)}
    identity = {row.uid: number // 2 for number, row in enumerate(rows)}
    truth = read_truth(out)
    for uid, source in zip(truth.uids, truth.source_uids, strict=True):
        assert identity[uid] != identity[source]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mismatched", "1.2"], "choose from 0 to 1"),
        (["--mismatched", "0.8", "--partial", "0.3"], "exceed 1 together"),
        (["--phrases", "magic"], "unknown finder of noun phrases 'magic'; known: rules, spacy:"),
        (["--shard-samples", "-3"], "a shard needs room"),
        (["--mismatched", "1", "--clean-only"], "leaves no caption clean"),
        (["--phrases", "spacy:en_none_sm"], "or choose rules"),
    ],
)
def test_mistakes_are_one_line(clean, tmp_path, capsys, options, message):
    assert main(["data", "noise", str(clean), "--out", str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_command_prints_counts_and_keeps_the_origin(clean, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["data", "noise", str(clean), "--mismatched", "0.5", "--out", str(out)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "40 samples in 3 shards" in printed
    assert "mismatched" in printed
    assert main(arguments) == 2
    assert main([*arguments, "--overwrite"]) == 0
    origin = Manifest.load(out).origin
    assert (origin.source, origin.licence) == ("toys", "CC0")
    assert str(out) not in origin.created_by
    capsys.readouterr()
    assert main(["data", "noise", str(out), "--out", str(out), "--overwrite"]) == 2
    assert "choose another folder" in capsys.readouterr().err
    assert Manifest.load(out).verify(out) == []


def test_no_usable_caption_is_an_error(tmp_path):
    path = write_tar(tmp_path / "a.tar", [("0.png", picture(0))])
    with pytest.raises(DataError, match="no sample with a usable caption"):
        _noisy([path], tmp_path / "out")


@needs_shared_data
def test_real_clip_art(tmp_path):
    with tarfile.open(SHARED_DATA / "clipart-000000.tar") as tar:
        texts = [tar.extractfile(m).read() for m in tar if m.name.endswith(".txt")]
    out = _noisy([SHARED_DATA / "clipart-000000.tar"], tmp_path / "out", mismatched=0.5)
    truth = read_truth(out)
    assert len(truth) == len(texts)
    assert truth.is_mismatched.mean() == pytest.approx(0.5, abs=1 / len(truth))
    stored = [members["txt"] for _, members in _members(out)]
    assert Counter(stored) == Counter(b" ".join(text.split()) for text in texts)
