import dataclasses

from eval.report.tables import percent, result_table, score_title
from tests.support.eval_results import example_result


def test_table_shows_interval_chance_and_trials() -> None:
    lines = result_table([example_result(value=0.25, chance=0.05)]).splitlines()
    assert lines[0].split()[:3] == ["data", "set", "split"]
    row = "unseen_emoji test retrieval image to text R@1, % 25.0 22.0 to 29.0 5.00 5.0 320"
    assert " ".join(lines[2].split()) == row
    assert len(lines) == 8


def test_left_out_samples_are_mentioned() -> None:
    result = dataclasses.replace(
        example_result(), num_skipped=3, details={"left_out": {"no image": 1, "no caption": 2}}
    )
    assert "3 samples left out: 1 no image, 2 no caption" in result_table([result])


def test_titles_and_numbers() -> None:
    assert score_title("text_to_image_recall_at_10") == "text to image R@10"
    assert score_title("top1") == "top-1 accuracy"
    assert score_title("text_to_video_recall_at_1") == "text to video R@1"
    own = "mean_pooled_video_to_text_recall_at_5"
    pooled = "mean-pooled image tower, "
    assert score_title(own, "video_retrieval") == f"{pooled}video to text R@5"
    own = "mean_pooled_text_to_video_median_rank"
    assert score_title(own, "video_retrieval:4_frames") == f"{pooled}text to video median rank"
    assert score_title("accuracy_action_sequence", "video_order") == "accuracy: action sequence"
    own = "accuracy_duration_15_to_60_s"
    assert score_title(own, "video_order") == "accuracy, videos: 15 to 60 s"
    assert [percent(share) for share in (0.0156, 0.5, 1.0)] == ["1.56", "50.0", "100.0"]
