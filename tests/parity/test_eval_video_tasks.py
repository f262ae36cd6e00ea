"""Retrieval and order of videos against float64 loops, broken videos and missing captions too."""

import copy
import io
import json
from collections import Counter, defaultdict
from dataclasses import replace

import av
import numpy as np
import pytest
import torch
from PIL import Image

from data_pipelines.motion.kinds import KINDS
from data_pipelines.video.sampler import mirrored_frames, segment_frames
from eval.capabilities import EMBEDS_CLIPS, lack_of
from eval.contract import ClipEmbeddingModel, EmbeddingModel
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.errors import EvaluationError
from eval.report.build import build_report
from eval.results import EvalResult, save_result
from eval.running.selection import benchmarks_for
from eval.task_choices import TaskChoices
from eval.video.mean_pooled import MeanPooled
from eval.video.options import VideoOptions
from tests.support.embedding_model import SmallClip
from tests.support.motion import motion_clips, write_clips
from tests.support.shards import write_tar

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=7, workers=1))


class ClipReader(SmallClip):
    """A model that sees order: later frames weigh more."""

    clip_frames = 4

    def embed_clips(self, clips):
        """Weighted mean of the frames."""
        weights = torch.arange(1, clips.shape[1] + 1)
        frames = torch.stack([self.embed_images(clip) for clip in clips])
        return torch.nn.functional.normalize((frames * weights[:, None]).sum(dim=1), dim=-1)


class Constant(SmallClip):
    """Says the same of everything."""

    def embed_images(self, images):
        """The same vector."""
        return torch.nn.functional.normalize(torch.ones(len(images), self.embed_dim), dim=-1)

    def embed_texts(self, texts):
        """The same vector."""
        return self.embed_images(torch.zeros(len(texts), 3, 8, 8, dtype=torch.uint8))


@pytest.fixture(scope="module")
def clips():
    return motion_clips(2 * len(KINDS), num_frames=8, side=32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, clips):
    return write_clips(tmp_path_factory.mktemp("clips") / "motion", clips)


def _run(path, task, model, embedder=EMBEDDER, *, captions=None, **options):
    choices = TaskChoices(options=(VideoOptions(**options),), captions_per_image=captions)
    (benchmark,) = benchmarks_for([str(path)], tasks=[task], choices=choices)
    result = benchmark.run(model, embedder)
    assert EvalResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    return result


def _embedded(model, clip, numbers, weights):
    """A clip in float64, frame by frame."""
    with av.open(io.BytesIO(clip.image)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    total = np.zeros(model.embed_dim)
    for number, weight in zip(numbers, weights, strict=True):
        pixels = model.image_transform(Image.fromarray(frames[number]))
        total += weight * model.embed_images(pixels[None])[0].double().numpy()
    return total / np.linalg.norm(total)


def _text(model, text):
    return model.embed_texts([text])[0].double().numpy()


def test_accuracy_by_kind_equals_a_loop(folder, clips):
    model = ClipReader()
    result = _run(folder, "video_order", model)
    for prefix, weights in (("", (1, 2, 3, 4)), ("mean_pooled_", (1, 1, 1, 1))):
        hits = defaultdict(list)
        for clip in clips:
            own = _embedded(model, clip, mirrored_frames(8, 4), weights)
            cosines = [float(own @ _text(model, text)) for text in clip.provenance["options"]]
            hits[clip.provenance["kind"]].append(
                int(np.argmax(cosines)) == clip.provenance["answer"]
            )
        for kind, own in hits.items():
            assert result.scores[f"{prefix}accuracy_{kind}"].value == np.mean(own)
            assert result.scores[f"{prefix}accuracy_{kind}"].n == 2
        every = [hit for own in hits.values() for hit in own]
        assert result.scores[f"{prefix}accuracy"].value == pytest.approx(np.mean(every))
    assert result.details["sampling"] == {
        "sampler": "mirrored",
        "num_frames": 4,
        "is_random": False,
    }
    assert result.details["questions"] == 22
    assert result.details["pairs"] == 11
    assert result.chance["accuracy_count"] == pytest.approx(1 / 3)
    assert result.chance["accuracy_direction"] == 0.5


def test_pairs_equal_a_loop(folder, clips):
    model = ClipReader()
    result = _run(folder, "video_order", model)
    right = Counter()
    for first, second in zip(clips[::2], clips[1::2], strict=True):
        own = [_embedded(model, c, mirrored_frames(8, 4), (1, 2, 3, 4)) for c in (first, second)]
        said = [_text(model, c.captions[0]) for c in (first, second)]
        c = [[float(video @ text) for text in said] for video in own]
        text = c[0][0] > c[0][1] and c[1][1] > c[1][0]
        video = c[0][0] > c[1][0] and c[1][1] > c[0][1]
        right.update(text=text, video=video, group=text and video)
    for name in ("text", "video", "group"):
        assert result.scores[f"{name}_score"].value == pytest.approx(right[name] / 11)


@pytest.mark.parametrize("frames", [1, 3, 4, 8])
def test_a_mean_of_pictures_is_at_chance_wherever_the_twin_is_played_backwards(folder, frames):
    result = _run(folder, "video_order", ClipReader(seed=3), frames=(frames,))
    for kind, own in KINDS.items():
        if own.mirrored:
            assert result.scores[f"mean_pooled_accuracy_{kind}"].value == 0.5


def _recalls_by_loop(model, clips, *, per_video):
    numbers = segment_frames(8, 4)
    videos = [_embedded(model, clip, numbers, (1, 1, 1, 1)) for clip in clips]
    said = [(i, text) for i, clip in enumerate(clips) for text in clip.captions[:per_video]]
    texts = [_text(model, text) for _, text in said]
    cosines = np.round(np.stack(videos) @ np.stack(texts).T, 6)
    places = {"text_to_video": [], "video_to_text": []}
    for c, (owner, _) in enumerate(said):
        own = cosines[owner, c]
        level = int((cosines[:, c] == own).sum()) - 1
        places["text_to_video"].append((int((cosines[:, c] > own).sum()), level, 1))
    for i in range(len(clips)):
        is_own = np.array([owner == i for owner, _ in said])
        best = cosines[i, is_own].max()
        ahead, level = ((cosines[i] > best) & ~is_own).sum(), ((cosines[i] == best) & ~is_own).sum()
        places["video_to_text"].append(
            (int(ahead), int(level), int((cosines[i, is_own] == best).sum()))
        )
    return places


@pytest.mark.parametrize("per_video", [1, 2])
def test_recalls_and_median_ranks_equal_a_loop(folder, clips, per_video):
    model = SmallClip(seed=1)
    result = _run(folder, "video_retrieval", model, captions=per_video, frames=(4,))
    for direction, places in _recalls_by_loop(model, clips, per_video=per_video).items():
        for k in (1, 5, 10):
            hits = []
            for ahead, level, own in places:
                room, missed = k - ahead, 1.0
                for drawn in range(max(0, min(room, level + own))):
                    missed *= max(level - drawn, 0) / (level + own - drawn)
                hits.append(1 - missed)
            name = f"{direction}_recall_at_{k}"
            assert result.scores[name].value == pytest.approx(np.mean(hits), abs=1e-9)
        ranks = [1 + ahead + level / (own + 1) for ahead, level, own in places]
        score = result.scores[f"{direction}_median_rank"]
        assert score.value == pytest.approx(np.median(ranks))
        assert score.low <= score.value <= score.high
    assert result.details["sampling"]["sampler"] == "segments"
    assert result.scores["text_to_video_recall_at_1"].n == 22 * per_video
    assert not any(name.startswith("mean_pooled") for name in result.scores)


def test_constant_embeddings_give_chance_in_every_score(folder):
    for task in ("video_order", "video_retrieval"):
        result = _run(folder, task, Constant(), frames=(2,))
        for name, level in result.chance.items():
            assert result.scores[name].value == pytest.approx(level), name


def test_broken_videos_and_missing_captions_are_counted_and_in_no_score(tmp_path, clips):
    members = []
    for number, clip in enumerate(clips[:6]):
        fields = {"captions": list(clip.captions), "contrast": clip.provenance["contrast"]}
        members.append((f"{number}.mp4", b"\0" * 500 if number == 2 else clip.image))
        members.append((f"{number}.json", json.dumps({} if number == 4 else fields).encode()))
    members.append(("no-video.txt", b"only words"))
    members += [("odd.mp4", clips[7].image), ("odd.json", b"{")]
    path = write_tar(tmp_path / "some.tar", members)

    order = _run(path, "video_order", SmallClip(), frames=(2,))
    assert order.num_samples == 5
    assert order.details["questions"] == 5
    assert order.details["questions_left_out"] == 1
    assert order.scores["accuracy"].n == 4
    reasons = {"no video": 1, "unreadable sample": 1, "video cannot be decoded": 1}
    assert order.details["left_out"] == reasons
    assert order.num_skipped == 3

    retrieval = _run(path, "video_retrieval", SmallClip(), frames=(2,))
    assert retrieval.num_samples == 4
    assert retrieval.details["left_out"] == reasons | {"no caption": 1}
    assert retrieval.scores["video_to_text_recall_at_1"].n == 4


def test_what_was_embedded_is_remembered(tmp_path, folder):
    model = SmallClip()
    stored = StoredEmbedder(EMBEDDER, tmp_path / "store", batch_size=7)
    first = _run(folder, "video_order", model, stored)
    shown = len(model.image_batch_sizes)
    assert _run(folder, "video_order", model, stored) == first
    assert len(model.image_batch_sizes) == shown
    _run(folder, "video_order", model, stored, frames=(2,))
    assert len(model.image_batch_sizes) > shown


def test_several_numbers_of_frames_are_results_of_their_own(folder):
    choices = TaskChoices(options=(VideoOptions(frames=(1, 4)),))
    benchmarks = benchmarks_for([str(folder)], tasks=["video_order"], choices=choices)
    assert [one.name for one in benchmarks] == ["video_order:1_frames", "video_order:4_frames"]
    result = benchmarks[0].run(ClipReader(), EMBEDDER)
    assert result.details["sampling"]["num_frames"] == 1
    assert result.benchmark == "video_order:1_frames"


def test_any_model_of_pictures_is_one_of_clips(clips):
    model = SmallClip()
    pooled = MeanPooled(model)
    assert isinstance(pooled, ClipEmbeddingModel)
    assert not isinstance(model, ClipEmbeddingModel)
    assert isinstance(ClipReader(), ClipEmbeddingModel)
    assert lack_of(model, (EMBEDS_CLIPS,)) is None
    assert MeanPooled(ClipReader()).clip_frames == 4
    images = torch.randint(0, 256, (3, 5, 3, 16, 16), dtype=torch.uint8)
    embeds = pooled.embed_clips(images)
    expected = torch.stack([model.embed_images(clip).double().mean(dim=0) for clip in images])
    expected /= expected.norm(dim=-1, keepdim=True)
    assert torch.allclose(embeds.double(), expected, atol=1e-6)
    assert torch.allclose(pooled.embed_clips(images.flip(1)), embeds, atol=1e-6)
    assert isinstance(pooled, EmbeddingModel)


def test_a_set_without_questions_says_what_to_do(tmp_path, clips):
    plain = [replace(clip, provenance={"key": str(i)}) for i, clip in enumerate(clips[:3])]
    path = write_clips(tmp_path / "plain", plain)
    with pytest.raises(EvaluationError, match="use --task video_retrieval"):
        benchmarks_for([str(path)], tasks=["video_order"])
    pictures = write_tar(tmp_path / "none.tar", [("a.txt", b"words")])
    with pytest.raises(EvaluationError, match="no usable video"):
        benchmarks_for([str(pictures)], tasks=["video_retrieval"])


def test_the_report_shows_strips_and_accuracy_by_frames(tmp_path, folder):
    model = ClipReader()
    choices = TaskChoices(options=(VideoOptions(frames=(1, 2)),), num_examples=4)
    benchmarks = benchmarks_for(
        [str(folder)], tasks=["video_order", "video_retrieval"], choices=choices
    )
    for number, benchmark in enumerate(benchmarks):
        result = benchmark.run(model, EMBEDDER)
        save_result(result, tmp_path / f"small__clips__all__{number}.json")
    ranks = [example.rank for example in result.examples]
    assert len(ranks) == 4
    assert max(ranks[::2]) <= min(ranks[1::2])
    assert all(len(example.answers) == 5 for example in result.examples)
    page = build_report(tmp_path).read_text()
    assert page.count("data:image/jpeg") >= 40
    assert "Order in videos" in page
    assert "best and worst in turn" in page


class Halving(ClipReader):
    """Reads a clip as tokens, four a frame, of which some frames can be left out."""

    every = 1

    def tokens_of(self, num_frames):
        """Four a frame."""
        return 4 * -(-num_frames // self.every)

    def reduced(self, *, sample_every=None, temporal_pool=None, spatial_pool=None):
        """Only this way is known here."""
        assert temporal_pool is None
        assert spatial_pool is None
        view = copy.copy(self)
        view.every = sample_every
        view.fingerprint = f"{self.fingerprint[:-1]}{sample_every}"
        return view

    def embed_clips(self, clips):
        """Of the frames that are left."""
        return super().embed_clips(clips[:, :: self.every])


def test_fewer_tokens_are_an_option_and_stand_in_the_result(folder, tmp_path):
    model = Halving()
    store = StoredEmbedder(EMBEDDER, tmp_path / "store", batch_size=7)
    whole = _run(folder, "video_order", model, store, frames=(8,))
    half = _run(folder, "video_order", model, store, frames=(8,), sample_every=2)
    view = model.reduced(sample_every=2)
    assert half.scores == _run(folder, "video_order", view, store, frames=(8,)).scores
    assert half.scores != whole.scores
    assert half.details["sample_every"] == 2
    assert "sample_every" not in whole.details


def test_fewer_tokens_of_a_model_without_tokens_is_one_line(folder):
    with pytest.raises(EvaluationError, match=r"leave out video\.temporal_pool") as error:
        _run(folder, "video_order", ClipReader(), temporal_pool=4)
    assert "\n" not in str(error.value)
    with pytest.raises(EvaluationError, match=r"video\.sample_every=0"):
        VideoOptions(sample_every=0)
