import io

from eval.progress import Progress, duration


def test_log_gets_a_line_every_ten_seconds_with_rate_and_time_left() -> None:
    now = [0.0]
    stream = io.StringIO()
    progress = Progress("embedding", total=100, unit="images", stream=stream, clock=lambda: now[0])
    for _ in range(10):
        now[0] += 4
        progress.add(5)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "embedding: 15/100 images, 1 images/s, 1 min 08 s left"
    assert len(lines) == 3


def test_short_work_says_nothing() -> None:
    stream = io.StringIO()
    progress = Progress("embedding", total=3, unit="images", stream=stream, clock=lambda: 0.0)
    progress.add(3)
    progress.close()
    assert stream.getvalue() == ""


def test_durations() -> None:
    assert [duration(s) for s in (8.0, 200.0, 7500.0)] == ["8 s", "3 min 20 s", "2 h 05 min"]
