"""Clips of moving sprites: the same bytes each time, and nothing to be seen without time."""

import io
import json
from collections import Counter
from functools import cache

import av
import numpy as np
import pytest

from data_pipelines.contact_sheet import write_contact_sheet
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.inspect import inspect_shards
from data_pipelines.motion.clips import ClipSettings, Digests, make_clips
from data_pipelines.motion.encoding import CODINGS, encode_video
from data_pipelines.motion.kinds import KINDS
from data_pipelines.motion.sprites import load_sprites
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.stored_sample import StoredSample
from data_pipelines.shards.validate import validate
from data_pipelines.skips import Skips
from data_pipelines.sources import motion
from data_pipelines.sources.motion import MotionSource
from data_pipelines.sources.source import Target
from data_pipelines.video.sampler import mirrored_frames
from tests.support.motion import motion_clips
from tests.support.shards import write_tar

_QUESTIONS = "f8f0a003bf697b6372dbefaf90b35fb230226326dd98e0d5d4f751ea7385db16"
_EVERY_KIND = 2 * len(KINDS)


def _clips(num_clips=_EVERY_KIND, **settings):
    return motion_clips(num_clips, **settings)


def _decoded(data):
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in container.decode(video=0)]


def _pairs(clips):
    return list(zip(clips[::2], clips[1::2], strict=True))


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("moving", [False, True])
def test_twins_have_the_same_decoded_frames_in_another_order(coding, moving):
    clips = _clips(coding=coding, distractors=2, moving_distractors=moving)
    for first, second in _pairs(clips):
        one, other = _decoded(first.image), _decoded(second.image)
        assert len(one) == 16
        assert one != other
        assert Counter(one) == Counter(other)
        if first.provenance["frames_as_twin"] == "backwards":
            assert one == other[::-1]
            assert one[7] == one[8]  # the middle frame is the same, whichever way it is played


def test_which_clip_of_a_pair_is_shown_says_nothing_about_its_scene():
    """What is true of one clip is false of the other, and they name the same sprites."""
    for first, second in _pairs(_clips()):
        assert first.captions != second.captions
        assert list(first.captions) == second.provenance["contrast"]
        assert list(second.captions) == first.provenance["contrast"]
        for same in ("pair", "kind", "sprites", "distractors"):
            assert first.provenance[same] == second.provenance[same]
        for clip in (first, second):
            options, answer = clip.provenance["options"], clip.provenance["answer"]
            assert options[answer] == clip.captions[0]
            assert set(options) >= {clip.captions[0], clip.provenance["contrast"][0]}


def test_answers_are_balanced_whatever_is_guessed():
    clips = _clips(num_clips=20 * len(KINDS), num_frames=8, side=32)
    for kind in KINDS:
        own = [clip for clip in clips if clip.provenance["kind"] == kind]
        told = Counter(clip.captions[0] for clip in own)
        assert len(own) == 20
        assert max(told.values()) <= 10
        answers = Counter(clip.provenance["answer"] for clip in own)
        assert max(answers.values()) <= 17


def test_unit_of_time_of_the_counts_is_an_eighth_so_eight_frames_are_a_fair_bag_too():
    for frames in (8, 16, 24):
        for first, second in _pairs(_clips(kinds=("count",), num_clips=20, num_frames=frames)):
            step = frames // 8
            one, other = (_decoded(clip.image)[step // 2 :: step] for clip in (first, second))
            assert len(one) == 8
            assert Counter(one) == Counter(other)


def test_few_frames_of_twins_are_a_fair_bag_too():
    """The frames that the evaluation shows, whatever their number, are the same of both."""
    mirrored = tuple(kind for kind, own in KINDS.items() if own.mirrored)
    for first, second in _pairs(_clips(2 * len(mirrored), kinds=mirrored)):
        decoded = [_decoded(clip.image) for clip in (first, second)]
        for num_frames in (1, 2, 3, 4, 5, 8, 12, 16):
            numbers = mirrored_frames(16, num_frames)
            one, other = ([frames[i] for i in numbers] for frames in decoded)
            assert Counter(one) == Counter(other)


def test_a_clip_is_made_alike_whatever_is_made_with_it():
    few, many = _clips(num_clips=4), _clips(num_clips=8)
    assert [clip.uid for clip in few] == [clip.uid for clip in many[:4]]
    assert [clip.image for clip in few] == [clip.image for clip in many[:4]]
    assert len({clip.uid for clip in many}) == 8


def test_colours_survive_the_conversion():
    grey = np.linspace(0, 255, 32).astype(np.uint8)
    frames = np.broadcast_to(grey[:, None], (8, 32, 32, 3)[:-1]).copy()
    frames = np.repeat(frames[..., None], 3, axis=3)
    frames[4:, :, :] = (200, 40, 90)
    data = encode_video(frames, fps=8)
    with av.open(io.BytesIO(data)) as container:
        back = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
        assert float(container.streams.video[0].average_rate) == 8
    assert np.abs(back.astype(int) - frames).max() <= 4


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_frames": 12}, "multiple of 8"),
        ({"num_frames": 512}, "up to 256"),
        ({"side": 33}, "even number"),
        ({"kinds": ("direktion",)}, "no kind of question 'direktion'"),
        ({"kinds": ()}, "none given"),
        ({"distractors": 9}, "0 to 8"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        ClipSettings(**settings)


def test_long_and_large_clips():
    (clip, _) = _clips(num_clips=2, num_frames=256, side=72)
    frames = _decoded(clip.image)
    assert len(frames) == 256
    assert len(frames[0]) == 72 * 72 * 3


@pytest.fixture(scope="module", autouse=True)
def _emoji_once():
    """Reading the emoji takes seconds."""
    loaded = cache(lambda shards, most: load_sprites(shards, Skips(), most=most))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(motion, "load_sprites", lambda shards, skips, *, most: loaded(shards, most))
        yield


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motion")
    for name in ("one", "two"):
        source = MotionSource(train=44, validation=22, test=22, frames=8, side=32)
        source.build(Target(out_dir=folder / name))
    return folder


def _samples(folder):
    index = ShardIndex.open(folder / "motion-000000.tar")
    return [StoredSample(index.key(i), index.read(i)) for i in range(len(index))]


def test_two_builds_are_equal_bytes(built):
    manifests = [(built / name / "manifest.json").read_bytes() for name in ("one", "two")]
    assert manifests[0] == manifests[1]
    told = json.loads(manifests[0])["origin"]["details"]
    assert told["samples"] == {"train": 44, "validation": 22, "test": 22, "test_known": 22}
    assert set(told["digests"]["test"]) == {"questions", "pixels", "files"}
    assert told["digests_rest_on"]["av"] == av.__version__


def test_no_sprite_of_the_test_is_in_training(built):
    shown = {}
    for split in ("train", "validation", "test", "test_known"):
        fields = [sample.fields for sample in _samples(built / "one" / split)]
        shown[split] = {key for own in fields for key in own["sprites"] + own["distractors"]}
    assert not shown["test"] & (shown["train"] | shown["validation"] | shown["test_known"])
    assert not shown["validation"] & (shown["train"] | shown["test_known"])


def test_the_tests_are_the_same_for_every_seed_and_size(built, tmp_path):
    source = MotionSource(train=2, validation=2, test=22, frames=8, side=32, seed=3)
    source.build(Target(out_dir=tmp_path / "other"))
    for split, is_same in (("test", True), ("test_known", True), ("train", False)):
        one, other = (_samples(at / split) for at in (built / "one", tmp_path / "other"))
        assert (one[0].members == other[0].members) == is_same


def test_stored_clips_are_read_by_their_roles(built):
    sample = _samples(built / "one" / "test")[0]
    (clip,) = sample.clips
    assert clip.suffix == "mp4"
    assert sample.plain_captions(one_per_line=False) == tuple(sample.fields["captions"])


@pytest.mark.parametrize("most", [-1, 0, 1, 3])
def test_too_few_sprites_are_one_line(tmp_path, most):
    with pytest.raises(ConfigError, match=rf"--sprites {most}: take at least 4"):
        MotionSource(train=2, validation=2, test=2, sprites=most).build(
            Target(out_dir=tmp_path / "out")
        )
    assert not (tmp_path / "out").exists()


def test_sprites_of_shards_need_pictures_that_are_cut_out(tmp_path):
    write_tar(tmp_path / "s.tar", [])
    with pytest.raises(DataError, match="too few"):
        load_sprites((str(tmp_path / "s.tar"),), Skips())


def test_odd_numbers_of_clips_are_refused():
    with pytest.raises(ConfigError, match="even number"):
        MotionSource(train=3)


def test_clips_are_validated_inspected_and_shown(built, tmp_path):
    folder = built / "one" / "test"
    assert validate([folder]).is_valid
    told = inspect_shards([folder])
    assert told.formats == {"MP4 h264": 22}
    assert told.widths == (32, 32, 32)
    assert told.captions_per_sample == {2: 22}
    assert write_contact_sheet([folder], tmp_path / "sheet.png", num_pictures=3) == 3
    broken = write_tar(tmp_path / "b.tar", [("a.mp4", b"\0" * 99), ("a.txt", b"a cat moves")])
    assert list(validate([broken]).problems) == ["broken video"]


def test_the_fixed_test_has_not_moved():
    """The first 22 clips of the test with the default settings, as of its first publication.

    Another digest means that earlier results cannot be compared: say so in the changelog.
    """
    sprites = motion.load_sprites((), Skips(), most=None).test
    digests = Digests()
    settings = ClipSettings()
    for _ in make_clips(sprites, settings, split="test", seed=0, num_clips=22, digests=digests):
        pass
    assert str(digests.hexadecimal()["questions"]) == _QUESTIONS
