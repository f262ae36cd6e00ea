"""What a clip costs and how it was shown: measured, kept, told in tables, plots and pages."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from data_pipelines.video.sampler import segment_frames
from eval.contract import CountsTokens
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.errors import EvaluationError
from eval.report.build import build_report
from eval.report.clip_costs import cost_of, described, remarks_on_clips, sampling_of
from eval.report.compare import build_comparison
from eval.report.sides import read_side
from eval.report.tables import result_table
from eval.report.video_figures import curves_of
from eval.results import EvalResult, save_result
from eval.running.runner import config_hash, run_benchmarks
from eval.running.selection import benchmarks_for
from eval.task_choices import TaskChoices
from eval.video.cost import ClipCosts, CostMeter, Measured, TowerCost, costs_of
from eval.video.mean_pooled import MeanPooled, tokens_of
from eval.video.options import VideoOptions
from tests.support.embedding_model import SmallClip
from tests.support.motion import motion_clips, write_clips

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1))


class Counting(SmallClip):
    """Embeds clips, counts its tokens, and remembers what it was shown."""

    clip_frames = 4

    def __init__(self, **settings):
        super().__init__(**settings)
        self.shown = []

    def tokens_of(self, num_frames):
        """Nine a frame and one for all."""
        return 9 * num_frames + 1

    def embed_clips(self, clips):
        """The last frame."""
        self.shown.append(tuple(clips.shape[:2]))
        return self.embed_images(clips[:, -1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    clips = motion_clips(6, num_frames=8, side=32)
    return write_clips(tmp_path_factory.mktemp("clips") / "motion", clips)


def _results(folder, model, embedder=EMBEDDER, task="video_order", **options):
    choices = TaskChoices(options=(VideoOptions(**options),))
    benchmarks = benchmarks_for([str(folder)], tasks=[task], choices=choices)
    results = [one.run(model, embedder) for one in benchmarks]
    for result in results:
        assert EvalResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    return results


def test_costs_stand_in_the_details(folder):
    (result,) = _results(folder, Counting())
    told = result.details["cost"]
    assert set(told) == {"model", "mean_pooled", "decode_seconds_per_clip", "peak_mb_of"}
    assert told["model"]["tokens_per_clip"] == 37
    assert told["mean_pooled"]["tokens_per_clip"] == 4 * 10
    assert told["model"]["seconds_per_clip"] > 0
    assert told["decode_seconds_per_clip"] > 0
    assert told["model"]["peak_mb"] >= 0
    assert "resident memory" in told["peak_mb_of"]
    assert result.details["decoder"] == "pyav"
    cost = cost_of(result)
    assert (cost.tokens, cost.seconds) == (37, told["model"]["seconds_per_clip"])
    (plain,) = _results(folder, SmallClip())
    assert set(plain.details["cost"]["model"]) == {"seconds_per_clip", "peak_mb"}


def test_kept_embeddings_keep_their_cost(folder, tmp_path):
    stored = StoredEmbedder(EMBEDDER, tmp_path / "store", batch_size=4)
    (first,) = _results(folder, Counting(), stored)
    (again,) = _results(folder, Counting(), stored)
    assert again == first
    for path in (tmp_path / "store").rglob("*.safetensors"):
        if path.stat().st_size < 200:  # the costs alone
            path.unlink()
    (older,) = _results(folder, Counting(), stored)
    assert older.scores == first.scores
    assert set(older.details["cost"]["model"]) == {"tokens_per_clip"}


def test_costs_do_not_identify_a_result(folder, tmp_path):
    def run():
        choices = TaskChoices(options=(VideoOptions(),))
        benchmarks = benchmarks_for([str(folder)], tasks=["video_order"], choices=choices)
        return run_benchmarks(Counting(), benchmarks, embedder=EMBEDDER, out_dir=tmp_path)

    (first,), (second,) = run(), run()
    assert second.was_there
    assert second.result.details["cost"] == first.result.details["cost"]


def test_the_decoder_identifies_a_result_where_it_is_not_the_usual_one(folder):
    hashes = {
        name: config_hash(
            SmallClip(),
            benchmarks_for(
                [str(folder)],
                tasks=["video_order"],
                choices=TaskChoices(options=(VideoOptions(decoder=name),)),
            )[0],
        )
        for name in ("pyav", "decord")
    }
    assert hashes["pyav"] != hashes["decord"]
    (usual,) = benchmarks_for([str(folder)], tasks=["video_order"])
    assert hashes["pyav"] == config_hash(SmallClip(), usual)


def test_another_decoder_gives_the_same_frames(folder):
    pytest.importorskip("decord")
    (pyav,) = _results(folder, SmallClip(), frames=(3,))
    (decord,) = _results(folder, SmallClip(), frames=(3,), decoder="decord")
    assert decord.details["decoder"] == "decord"
    assert decord.details["left_out"] == pyav.details["left_out"]
    assert decord.num_samples == pyav.num_samples


@pytest.mark.parametrize(("frames", "expected"), [(2, [3, 3]), (4, [1] * 6), (64, [1] * 6)])
def test_batches_are_bounded_by_frames(folder, frames, expected):
    model = Counting()
    _results(folder, model, frames=(frames,), batch_frames=7)
    assert model.shown == [(count, frames) for count in expected]
    assert VideoOptions().clips_at_once(8) == 16
    assert VideoOptions().clips_at_once(512) == 1


def test_no_number_of_frames_is_named_twice():
    with pytest.raises(EvaluationError, match=r"video\.frames=4,8,4 names a number twice"):
        VideoOptions(frames=(4, 8, 4))


def test_a_mean_over_hundreds_of_frames_sees_some_at_a_time():
    model = SmallClip()
    clips = torch.randint(0, 256, (1, 300, 3, 16, 16), dtype=torch.uint8)
    embeds = MeanPooled(model).embed_clips(clips)
    assert max(model.image_batch_sizes) <= 128
    mean = torch.stack([model.embed_images(frame[None])[0] for frame in clips[0]])
    mean = mean.double().mean(dim=0)
    torch.testing.assert_close(embeds[0].double(), mean / mean.norm(), rtol=0, atol=1e-6)
    assert tokens_of(MeanPooled(model), 4) is None
    assert not isinstance(model, CountsTokens)


def test_clips_of_hundreds_of_frames_are_those_of_the_rule(folder):
    """Frames repeat where a video has fewer; they come in parts."""
    model = Counting()
    (result,) = _results(folder, model, frames=(100,), sampler="segments")
    assert result.details["sampling"]["num_frames"] == 100
    assert result.details["cost"]["model"]["tokens_per_clip"] == 901
    assert segment_frames(8, 100)[-1] == 7
    (short,) = _results(folder, Counting(), frames=(8,), sampler="segments")
    # Both end with the last frame, which is all that the model looks at.
    for name in ("accuracy", "text_score", "video_score", "group_score"):
        assert result.scores[name] == short.scores[name]


def test_a_meter_takes_medians_and_the_largest_peak():
    meter = CostMeter(["", "mean_pooled_"], "cpu")
    held = []
    # Several large ones: what the process gives back meanwhile would hide a part of one.
    for count in (1, 2, 2, 2):
        with meter.embedding("", count):
            held.append(np.ones(4_000_000 * count))  # 32 and 64 MB
    meter.decoded(1.0)
    meter.decoded(3.0)
    costs = meter.costs()
    assert costs.decode_seconds == 2.0
    if not math.isnan(costs.towers[""].peak_mb):
        assert 50 < costs.towers[""].peak_mb < 200
    seen = [Measured({"": [1.0]}, {"": peak}, []) for peak in (12.0, 64.0, math.nan)]
    assert costs_of(seen, [""], is_cuda=False).towers[""].peak_mb == 64.0
    assert math.isnan(costs.towers["mean_pooled_"].seconds)
    assert ClipCosts.from_array(np.zeros(3), [""]).told({"": SmallClip()}, 4, {"": "model"}) == {}
    known = ClipCosts({"": TowerCost(0.25, 12.0)}, 0.5, False)
    assert ClipCosts.from_array(known.to_array(), [""]) == known


def _shown(result, how, *, dataset="one", model="runs/a", frames=8, cost=None):
    details = result.details | {
        "sampling": {"sampler": how, "num_frames": frames, "is_random": False}
    }
    details.pop("cost", None)
    if cost:
        details["cost"] = {
            "model": dict(
                zip(("tokens_per_clip", "seconds_per_clip", "peak_mb"), cost, strict=True)
            ),
            "decode_seconds_per_clip": 0.5,
            "peak_mb_of": "memory of a test",
        }
    return dataclasses.replace(result, details=details, dataset=dataset, model=model)


def test_results_that_differ_in_reduction_have_names_of_their_own():
    options = VideoOptions(temporal_pool=4, spatial_pool=2)
    assert options.named("video_order", None) == "video_order:temporal_pool_4_spatial_pool_2"
    assert options.named("video_order", 8) == "video_order:8_frames_temporal_pool_4_spatial_pool_2"
    assert VideoOptions().named("video_order", 8) == "video_order:8_frames"
    assert VideoOptions(frames=(8,)).named("video_order", None) == "video_order"


def test_tables_say_where_frames_or_samplers_differ(folder):
    (result,) = _results(folder, SmallClip())
    same = [_shown(result, "mirrored"), _shown(result, "mirrored", dataset="two")]
    assert sampling_of(same[0]) == "8 frames, mirrored"
    assert remarks_on_clips(same) == ["frames of each clip: 8 frames, mirrored"]
    for other in (
        _shown(result, "mirrored", dataset="two", frames=64),
        _shown(result, "uniform", dataset="two"),
        _shown(result, "mirrored", model="runs/b", frames=4),
    ):
        lines = remarks_on_clips([same[0], other])
        assert "DIFFER" in lines[0]
        assert "video.frames=N" in lines[1]
        assert lines[0] in result_table([same[0], other])
    several = [_shown(result, "mirrored", dataset=d, frames=f) for d in "ab" for f in (1, 4)]
    assert remarks_on_clips(several) == [
        "frames of each clip: 1 frame, mirrored; 4 frames, mirrored"
    ]


def test_tables_tell_costs_beside_the_first_score(folder):
    (result,) = _results(folder, SmallClip())
    told = result_table([_shown(result, "mirrored", cost=(1568, 0.1234, 99.6))]).splitlines()
    assert told[0].split()[-3:] == ["s/clip", "peak", "MB"]
    assert told[2].split()[-3:] == ["1,568", "0.123", "100"]
    assert "decoding and resizing apart: 0.5 s" in "\n".join(told)
    assert "s/clip" not in result_table([_shown(result, "mirrored")])
    parts = described(_shown(result, "mirrored", cost=(1568, 0.1234, 99.6)))
    assert parts[:3] == ["8 frames, mirrored", "1,568 tokens a clip", "0.123 s a clip"]


def test_a_line_a_model_joins_what_differs_in_frames_and_reduction(folder, tmp_path):
    (result,) = _results(folder, SmallClip())
    reduced = _shown(result, "mirrored", cost=(200, 0.04, 10.0))
    reduced.details["spatial_pool"] = 2
    points = [
        _shown(result, "mirrored", frames=8, cost=(800, 0.1, 10.0)),
        _shown(result, "mirrored", frames=4, cost=(400, 0.05, 10.0)),
        dataclasses.replace(reduced, benchmark="video_order:spatial_pool_2"),
        _shown(result, "mirrored", model="runs/b", cost=(900, 0.2, 10.0)),
        _shown(result, "mirrored", model="runs/old"),
    ]
    curves = curves_of(points, "accuracy")
    assert [curve.name for curve in curves] == ["runs/a", "runs/b"]
    assert [point.x for point in curves[0].by_axis["tokens"]] == [200.0, 400.0, 800.0]
    assert [point.x for point in curves[0].by_axis["seconds"]] == [0.04, 0.05, 0.1]
    own = [(p.frames, p.reduction) for p in curves[0].by_axis["tokens"]]
    assert own == [(8, "side/2"), (4, ""), (8, "")]
    for number, point in enumerate(points):
        save_result(point, tmp_path / f"m__d__s__{number}.json")
    page = build_report(tmp_path).read_text()
    assert "what accuracy costs on one (all)" in page
    assert "8 frames, mirrored, 800 tokens a clip" in page
    assert "DIFFER" in page
    alone = tmp_path / "alone"
    save_result(points[0], alone / "m__d__s__1.json")
    assert "what accuracy costs" not in build_report(alone).read_text()


def test_comparisons_say_where_models_were_shown_other_frames(folder, tmp_path):
    (result,) = _results(folder, SmallClip())
    for name, frames in (("a", 8), ("b", 4)):
        shown = _shown(result, "mirrored", frames=frames, model=name)
        save_result(shown, tmp_path / name / f"{name}__one__all__video_order.json")
    sides = [read_side(tmp_path / name) for name in ("a", "b")]
    written = build_comparison(sides, tmp_path / "out")
    assert "DIFFER" in written.text
    assert "DIFFER" in written.page.read_text()
