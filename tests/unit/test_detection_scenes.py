"""`data build detection-scenes`: exact boxes, base and novel names, the same bytes every time."""

import io
import json
from collections import Counter
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageDraw

from data_pipelines.detection.detection_set import open_detection_set
from data_pipelines.detection.masks import box_of_mask, pixels_of
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.inspect import inspect_shards
from data_pipelines.scenes.backgrounds import MIN_DIVIDED, Textures, open_backgrounds
from data_pipelines.scenes.categories import choose
from data_pipelines.scenes.drawing import Actor, draw_scene
from data_pipelines.scenes.looks import draw_look
from data_pipelines.scenes.making import (
    SceneDigests,
    SceneSettings,
    make_scenes,
    make_teacher_pairs,
)
from data_pipelines.scenes.sprites import SPRITE_SIDE, Sprite, load_sprites
from data_pipelines.shards.manifest import Manifest
from data_pipelines.shards.validate import validate
from data_pipelines.skips import Skips
from data_pipelines.sources.detection_scenes import DetectionScenesSource
from data_pipelines.sources.source import Target
from tests.support.shards import picture, write_tar

_PARENTS = {"shape": 8, "letter": 5, "lonely": 1}
#: Digest of the names, groups and keywords of the default set, as README has it.
_EMOJI_NAMES = "92ff83d83a84fc01c282c1b65801a5ea97555327ef3115b4c4d20c2d0b37efcb"
_SMALL = {"train": 12, "validation": 3, "test": 6, "teacher_pairs": 8}


def _disc(colour, corner=0):
    """A coloured disc or rounded square on nothing."""
    image = Image.new("RGBA", (48, 40))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle([4, 4, 43, 35], radius=16 - corner, fill=colour)
    return image


def _png(image):
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


@cache
def _sprites():
    found = []
    for parent, count in _PARENTS.items():
        for number in range(count):
            colour = (40 + 20 * number, 200 - 20 * number, 17 * len(found), 255)
            pixels = np.asarray(_disc(colour).resize((72, 60)))
            name = f"{parent} {'abcdefgh'[number]}"
            found.append(Sprite(name, name, parent, (f"thing {number}",), pixels))
    return tuple(found)


@cache
def _chosen():
    return choose(_sprites(), num=None, novel_share=0.25)


def _scenes(split="train", num=40, seed=0, digests=None, **settings):
    return list(
        make_scenes(
            _chosen(),
            Textures(),
            SceneSettings(**settings),
            split=split,
            seed=seed,
            num=num,
            digests=digests or SceneDigests(),
        )
    )


def _folder(tmp_path):
    """The sprites as files in folders, with one that is not cut out and one of no plain name."""
    root = tmp_path / "art"
    for sprite in _sprites():
        path = root / sprite.parent / f"{sprite.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_png(Image.fromarray(sprite.pixels)))
    (root / "full.png").write_bytes(picture(0))
    (root / "x+y.png").write_bytes(_png(_disc("red")))
    return root


def test_every_novel_name_has_base_siblings():
    chosen = _chosen()
    groups = Counter((one.parent, one.group) for one in chosen.vocabulary.categories)
    assert len(chosen.rows("novel")) == round(0.25 * 14)
    for parent, group in groups:
        assert group == "base" or groups[(parent, "base")] >= 1
    assert groups[("lonely", "novel")] == 0
    again = choose(_sprites()[::-1], num=None, novel_share=0.25)
    assert {c.name: c.group for c in again.vocabulary.categories} == {
        c.name: c.group for c in chosen.vocabulary.categories
    }
    assert chosen.shared_words == 1.0


def test_fewer_categories_are_spread_over_the_sub_categories():
    chosen = choose(_sprites(), num=7, novel_share=0.3)
    assert Counter(one.parent for one in chosen.sprites) == {"shape": 4, "letter": 3}
    assert len(chosen.rows("novel")) == 2
    with pytest.raises(ConfigError, match="shares its sub-category"):
        choose(_sprites()[-1:], num=None, novel_share=0.6)


def test_boxes_and_masks_are_what_is_seen():
    """A red sprite under a blue one on black: the colours of the pixels are the reference."""
    look = np.zeros((SPRITE_SIDE, SPRITE_SIDE, 4), np.uint8)
    look[..., 3] = 255
    red, blue = look.copy(), look.copy()
    red[..., 0], blue[..., 2] = 255, 255
    actors = [
        Actor(Sprite("r", "red", "x", (), red), 5),
        Actor(Sprite("b", "blue", "x", (), blue), 2),
    ]
    hidden = 0
    for seed in range(30):
        scene = draw_scene(
            np.zeros((100, 100, 3), np.uint8),
            actors,
            sizes=(30, 50),
            max_hidden=0.3,
            rng=np.random.default_rng(seed),
        )
        assert scene.annotations.labels.tolist() == [5, 2]
        for colour, row in ((0, 0), (2, 1)):
            mask = pixels_of(scene.annotations.masks[row], (100, 100)).astype(bool)
            other = 2 - colour
            shown = scene.pixels[..., colour].astype(int) - scene.pixels[..., other]
            # half covered pixels at edges may fall on either side
            assert mask[shown > 120].all()
            assert not mask[shown < 40].any()
            assert box_of_mask(scene.annotations.masks[row], (100, 100)) == tuple(
                scene.annotations.boxes[row].tolist()
            )
            assert scene.annotations.areas[row] == mask.sum()
        hidden += scene.annotations.areas[0] < 0.95 * scene.annotations.areas[1]
    assert hidden


def test_no_sprite_is_hidden_beyond_its_share():
    solid = np.full((SPRITE_SIDE, SPRITE_SIDE, 4), 255, np.uint8)
    actors = [Actor(Sprite(str(n), str(n), "x", (), solid), n) for n in range(6)]
    settings = {"sizes": (30, 40), "max_hidden": 0.3}
    alone, together = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        scene = draw_scene(np.zeros((100, 100, 3), np.uint8), actors, rng=rng, **settings)
        assert scene.annotations.num_objects + len(scene.left_out) == 6
        sides = scene.annotations.boxes[:, 2:] - scene.annotations.boxes[:, :2]
        together += scene.annotations.areas.tolist()
        alone += sides.prod(axis=1).tolist()
        assert (scene.annotations.areas > 0.7 * 0.6 * 30 * 30).all()
    assert min(together) < min(alone)


def test_training_marks_base_names_alone_and_hides_some_novel_ones():
    novel = {_chosen().vocabulary.names[row] for row in _chosen().rows("novel")}
    found = _scenes(num=120)
    marked = [{box["label"] for box in one.provenance["boxes"]} for one in found]
    unmarked = [set(one.provenance.get("unmarked", ())) for one in found]
    assert not novel & set().union(*marked)
    assert set().union(*unmarked) == novel
    assert 0.2 < sum(map(bool, unmarked)) / 120 < 0.4
    assert all(1 <= len(one.provenance["boxes"]) <= 5 for one in found)
    assert not any("unmarked" in one.provenance for one in _scenes(num=20, unlabelled_novel=0.0))


def test_tests_mark_every_name_about_equally_often():
    found = _scenes("test", num=80)
    assert not any("unmarked" in one.provenance for one in found)
    counts = Counter(box["label"] for one in found for box in one.provenance["boxes"])
    assert set(counts) == set(_chosen().vocabulary.names)
    assert max(counts.values()) - min(counts.values()) <= 4  # some found no place
    sizes = [b["box"][2] - b["box"][0] for one in found for b in one.provenance["boxes"]]
    assert min(sizes) < 24
    assert max(sizes) > 50


def test_the_same_seed_gives_the_same_bytes_and_more_pictures_begin_alike():
    first, again, other = SceneDigests(), SceneDigests(), SceneDigests()
    one = _scenes(num=6, digests=first)
    assert _scenes(num=6, digests=again) == one
    assert again.hexadecimal() == first.hexadecimal()
    assert _scenes(num=9)[:6] == one
    assert _scenes(num=6, seed=1, digests=other) != one
    assert other.hexadecimal() != first.hexadecimal()


def test_boxes_and_masks_are_the_same_on_any_background(tmp_path):
    digests = []
    photos = open_backgrounds([str(_photos(tmp_path, 3))], Skips())
    for backgrounds in (Textures(), photos):
        digests.append(SceneDigests())
        options = {"split": "test", "seed": 0, "num": 4, "digests": digests[-1]}
        assert len(list(make_scenes(_chosen(), backgrounds, SceneSettings(), **options))) == 4
    one, other = (digest.hexadecimal() for digest in digests)
    assert one["annotations"] == other["annotations"]
    assert one["pixels"] != other["pixels"]


def test_teacher_pairs_show_every_name_with_its_words():
    digests = SceneDigests()
    found = list(
        make_teacher_pairs(
            _chosen(), Textures(), SceneSettings(), side=48, seed=0, num=28, digests=digests
        )
    )
    assert Counter(one.provenance["category"] for one in found) == {
        name: 2 for name in _chosen().vocabulary.names
    }
    for one in found:
        words = (one.provenance["category"], "thing ")
        assert any(word in one.captions[0] for word in words)
        with Image.open(io.BytesIO(one.image)) as image:
            assert image.size == (48, 48)
        assert "boxes" not in one.provenance


def test_poses_keep_their_size_and_turn_a_little():
    tall = np.zeros((SPRITE_SIDE, 24, 4), np.uint8)
    tall[:] = (200, 100, 50, 255)
    sprite = Sprite("t", "tall", "x", (), tall)
    for seed in range(20):
        look = draw_look(sprite, 48, np.random.default_rng(seed))
        height, width = look.is_solid.shape
        assert 44 <= height <= 53
        assert 15 <= width <= 33
        assert look.is_solid[0].any()
        assert look.is_solid[:, -1].any()


def test_a_build_from_a_folder_of_art(tmp_path):
    source = DetectionScenesSource(cut_outs=(str(_folder(tmp_path)),), **_SMALL)
    manifest = source.build(Target(out_dir=tmp_path / "out"))
    assert manifest.skipped == {"name is not plain": 1, "picture is not cut out": 1}
    details = manifest.origin.details
    assert details["samples"] == {"train": 12, "validation": 3, "test": 6, "teacher": 8}
    assert details["vocabulary"]["names"] == 14
    assert details["backgrounds"] == {"kind": "textures"}
    assert details["art"] == [str(tmp_path / "art")]
    assert validate([tmp_path / "out"]).is_valid
    assert Manifest.load(tmp_path / "out").verify(tmp_path / "out") == []
    opened = open_detection_set(tmp_path / "out" / "test", skips=Skips())
    assert len(list(opened.samples())) == 6
    assert opened.vocabulary.rows_of_group("novel")
    assert inspect_shards([tmp_path / "out" / "train"]).boxes.by_group.keys() == {"base"}
    again = source.build(Target(out_dir=tmp_path / "again"))
    assert [one.sha256 for one in again.shards] == [one.sha256 for one in manifest.shards]
    assert [one.provenance["key"] for one in source.samples(Skips())][-1] == "train/0/000011"


def test_validation_and_test_are_the_same_for_every_seed(tmp_path):
    art = str(_folder(tmp_path))
    digests = [
        DetectionScenesSource(cut_outs=(art,), seed=seed, **_SMALL)
        .build(Target(out_dir=tmp_path / str(seed)))
        .origin.details["digests"]
        for seed in (0, 1)
    ]
    assert digests[0]["test"] == digests[1]["test"]
    assert digests[0]["validation"] == digests[1]["validation"]
    assert digests[0]["train"] != digests[1]["train"]


def _photos(tmp_path, count):
    members = [(f"p/{n:04d}.png", picture(n, side=40)) for n in range(count)]
    return write_tar(tmp_path / "photos.tar", [*members, ("p/zzz.jpg", b"<html>")])


def test_photographs_are_divided_among_the_splits(tmp_path):
    skips = Skips()
    found = open_backgrounds([str(_photos(tmp_path, MIN_DIVIDED + 20))], skips)
    assert found.details == {
        "kind": "photographs",
        "pictures": MIN_DIVIDED + 21,
        "own_of_each_split": True,
    }
    rng = np.random.default_rng(0)
    drawn = {split: found.draw(split, 32, rng) for split in ("train", "validation", "test")}
    assert all(one.shape == (32, 32, 3) for one in drawn.values())
    few = open_backgrounds([str(_photos(tmp_path, 3))], skips)
    for _ in range(20):
        few.draw("train", 32, rng)
    assert few.details["own_of_each_split"] is False
    assert skips.counts == {"broken background": 1}


def test_backgrounds_that_are_none_are_refused(tmp_path):
    broken = write_tar(tmp_path / "broken.tar", [("a.jpg", b"<html>")])
    found = open_backgrounds([str(broken)], Skips())
    with pytest.raises(DataError, match="no background of test can be decoded"):
        found.draw("test", 32, np.random.default_rng(0))
    with pytest.raises(DataError, match="no shard"):
        open_backgrounds([str(tmp_path / "none")], Skips())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no picture and no tar"):
        open_backgrounds([str(tmp_path / "empty")], Skips())


def test_textures_differ_and_fill_their_range():
    rng = np.random.default_rng(0)
    drawn = [Textures().draw("train", 64, rng) for _ in range(8)]
    assert min(one.std() for one in drawn) > 8
    assert len({one.tobytes() for one in drawn}) == 8


def test_sprites_of_shards_have_their_captions_as_names(tmp_path):
    members = []
    for number, text in enumerate(["A frog.", "the Frog", "An owl.", "Two 2", "owl face"]):
        members += [(f"{number}.png", _png(_disc("green"))), (f"{number}.txt", text.encode())]
        members += [(f"{number}.json", json.dumps({"category": "animals"}).encode())]
    members += [("9.png", picture(1)), ("9.txt", b"square")]
    skips = Skips()
    found = load_sprites([str(write_tar(tmp_path / "a.tar", members))], skips)
    assert sorted((one.name, one.parent) for one in found) == [
        ("frog", "animals"),
        ("owl", "animals"),
    ]
    assert skips.counts == {
        "face of another sprite": 1,
        "name is not plain": 1,
        "name of another sprite": 1,
        "picture is not cut out": 1,
    }
    with pytest.raises(DataError, match="no usable sprite"):
        load_sprites([str(write_tar(tmp_path / "b.tar", members[-2:]))], Skips())


@pytest.mark.parametrize(
    "wrong",
    [
        {"train": 0},
        {"novel_share": 1.0},
        {"teacher_side": 4},
        {"side": 10},
        {"fewest": 6},
        {"smallest": 70},
        {"largest": 100},
        {"unlabelled_novel": 1.5},
    ],
)
def test_wrong_settings_are_refused_at_once(wrong):
    with pytest.raises(ConfigError, match="take"):
        DetectionScenesSource(**wrong)


def test_emoji_are_things_in_sub_categories():
    """What the demo's packages give: the versions are locked, so is the choice of names."""
    skips = Skips()
    chosen = choose(load_sprites((), skips), num=240, novel_share=0.25)
    assert len(chosen.rows("base")) == 180
    assert len(chosen.rows("novel")) == 60
    parents = {one.parent for one in chosen.sprites}
    assert {"animal-mammal", "food-fruit", "tool"} <= parents
    assert "time" not in parents
    assert "" not in parents
    assert chosen.shared_words < 0.25
    assert chosen.vocabulary.digest == _EMOJI_NAMES
