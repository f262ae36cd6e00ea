"""How clips were shown, and what they cost: what tables and plots say of results on videos."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from data_pipelines.texts import counted
from eval.results import EvalResult

#: What scores of the baseline begin with.
BASELINE = "mean_pooled_"

#: Headings of ``cost_cells``.
COST_COLUMNS = ("tokens", "s/clip", "peak MB")

#: Details that every result on videos has which was measured here.
_FAMILY = "video"


class ClipCost(NamedTuple):
    """Of one tower; None where nothing is known.

    Attributes:
        tokens: visual ones of a clip.
        seconds: of the model, a clip.
        peak_mb: 10^6 bytes.
        decode_seconds: of decoding and resizing, a clip, in one thread.
        peak_of: what the peak is of, in words.
    """

    tokens: int | None = None
    seconds: float | None = None
    peak_mb: float | None = None
    decode_seconds: float | None = None
    peak_of: str = ""


def cost_of(result: EvalResult, *, is_baseline: bool = False) -> ClipCost:
    """From the details of a result; nothing of results that were written before."""
    told = _object(result.details.get("cost"))
    own = _object(told.get("mean_pooled" if is_baseline else "model"))
    tokens = _number(own.get("tokens_per_clip"))
    return ClipCost(
        None if tokens is None else round(tokens),
        _number(own.get("seconds_per_clip")),
        _number(own.get("peak_mb")),
        _number(told.get("decode_seconds_per_clip")),
        str(told.get("peak_mb_of", "")),
    )


def frames_of(result: EvalResult) -> int:
    """Frames that each clip was shown with; 0 where nothing says."""
    number = _number(_object(result.details.get("sampling")).get("num_frames"))
    return 0 if number is None else round(number)


def sampling_of(result: EvalResult) -> str:
    """Number of frames and rule in words: "8 frames, mirrored"; empty where nothing says."""
    sampler = _object(result.details.get("sampling")).get("sampler")
    frames = frames_of(result)
    return f"{counted(frames, 'frame')}, {sampler}" if frames and isinstance(sampler, str) else ""


def has_costs(results: Sequence[EvalResult]) -> bool:
    """Whether any result knows what a clip costs."""
    return any("cost" in result.details for result in results)


def cost_cells(result: EvalResult, *, is_baseline: bool) -> tuple[str, str, str]:
    """Tokens, seconds of the model and peak memory of a clip, dashes where unknown."""
    cost = cost_of(result, is_baseline=is_baseline)
    return (
        "-" if cost.tokens is None else f"{cost.tokens:,}",
        "-" if cost.seconds is None else f"{cost.seconds:.3g}",
        "-" if cost.peak_mb is None else f"{cost.peak_mb:,.0f}",
    )


def described(result: EvalResult) -> list[str]:
    """What a row about a result on videos says: how clips were shown, what one costs."""
    parts = [text for text in (sampling_of(result),) if text]
    cost = cost_of(result)
    if cost.tokens is not None:
        parts.append(f"{cost.tokens:,} tokens a clip")
    if cost.seconds is not None:
        parts.append(f"{cost.seconds:.3g} s a clip")
    if cost.decode_seconds is not None:
        parts.append(f"decoding {cost.decode_seconds:.3g} s")
    if cost.peak_mb is not None:
        parts.append(f"{cost.peak_mb:,.0f} MB at the peak ({cost.peak_of})")
    return parts


def remarks_on_clips(results: Sequence[EvalResult]) -> list[str]:
    """What a reader of a table must know: frames and samplers, stored frames, subtitles."""
    own = [result for result in results if result.family == _FAMILY]
    lines = _on_sampling(own)
    for result in own:
        where = f"{result.dataset} ({result.split}), {result.benchmark}"
        if line := _on_stored_frames(result):
            lines.append(f"{where}: {line}")
        if result.details.get("subtitles") == "not shown":
            lines.append(f"{result.dataset}: the set has subtitles, which were not shown")
    return list(dict.fromkeys(lines))


def cost_note(results: Sequence[EvalResult]) -> list[str]:
    """What the columns of costs mean; empty where there are none."""
    costs = [cost_of(result) for result in results if "cost" in result.details]
    if not costs:
        return []
    peaks = dict.fromkeys(cost.peak_of for cost in costs if cost.peak_of)
    decoding = [f"{cost.decode_seconds:.3g}" for cost in costs if cost.decode_seconds is not None]
    lines = ["s/clip: the model alone, median over batches"]
    if decoding:
        apart = "; ".join(dict.fromkeys(decoding))
        lines[0] += f"; decoding and resizing apart: {apart} s a clip in one thread"
    if peaks:
        lines.append(f"peak MB: {' or '.join(peaks)}, 10^6 bytes, while clips are in the model")
    return lines


def _on_sampling(results: Sequence[EvalResult]) -> list[str]:
    """One line on how clips were shown; two where data sets or models differ in it."""
    shown: dict[str, list[str]] = {}
    by_set: dict[tuple[str, str, str, str], set[str]] = {}
    for result in results:
        if how := sampling_of(result):
            name = f"{result.dataset} ({result.split})"
            shown.setdefault(how, []).append(name)
            task = result.benchmark.partition(":")[0]
            key = (result.model, result.dataset, result.split, task)
            by_set.setdefault(key, set()).add(how)
    if not shown:
        return []
    if len({frozenset(own) for own in by_set.values()}) == 1:
        return [f"frames of each clip: {'; '.join(shown)}"]
    told = "; ".join(f"{how}: {', '.join(dict.fromkeys(own))}" for how, own in shown.items())
    return [
        f"frames of each clip DIFFER between these results: {told}",
        "figures of different frame counts or samplers do not compare; one for all: "
        "--set video.frames=N --set video.sampler=NAME",
    ]


def _on_stored_frames(result: EvalResult) -> str:
    stored = result.details.get("stored_frames")
    if not isinstance(stored, list) or len(stored) != 2:
        return ""
    least, most = (_number(value) for value in stored)
    if least is None or most is None:
        return ""
    number = f"{least:.0f}" if least == most else f"{least:.0f} to {most:.0f}"
    repeats = ", so frames repeat" if frames_of(result) > least else ""
    return f"clips hold {number} stored frames each{repeats}"


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None
