"""Answers to the questions of a set: asked in groups, shared by processes, kept on disk.

A group is a file that appears whole or not at all and carries a digest of what it holds, so that a
killed command goes on where it was, and a damaged file is asked again. (An endpoint keeps each
single answer besides, see ``eval.respondents.response_cache``.)
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from data_pipelines.bounded_json import parsed_json
from data_pipelines.errors import UserError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.atomic import write_file
from eval.contract import Embedder, Model, PictureModel
from eval.errors import EvaluationError, UnansweredError
from eval.process_group import from_all, my_rows, ranks
from eval.progress import Progress
from eval.respondents.response import Response
from eval.video.clip_set import ClipSet, EvalClip
from eval.video.cost import ClipCosts, CostMeter, Measured, costs_of
from eval.video.options import VideoOptions
from eval.video.showing import MODEL, Asker
from eval.video.whole_clips import ClipDecoder
from eval.video.wording import Worded

#: Questions of a group, and frames that it may hold in memory at most.
_QUESTIONS, _FRAMES = 64, 2048


def answers(
    model: Model,
    asker: Asker,
    found: ClipSet,
    questions: Sequence[Worded],
    embedder: Embedder,
    *,
    num_frames: int,
    video: VideoOptions,
    told: dict[str, JsonValue],
) -> tuple[list[Response], ClipCosts]:
    """One response a question, in their order, and what clips cost; the same on every process.

    Args:
        asker: of the model.
        embedder: its store holds the answers; where it keeps nothing, neither does this.
        num_frames: of a clip.
        video: how clips are decoded.
        told: what the answers depend on besides model, set and questions.
    Raises:
        UnansweredError: a question is left without an answer, or nothing can be asked; on every
            process, whichever it happened to.
        MissingDecoderError: this machine cannot read videos.
    """
    key = json.dumps([told, found.revision, [question.text for question in questions]])
    folder = embedder.folder(model, f"video_questions {key}")
    size = max(1, min(_QUESTIONS, _FRAMES // num_frames))
    num_groups = -(-len(questions) // size)
    mine = sorted(set(my_rows(num_groups).tolist()))
    own: dict[int, Response] = {}
    costs: list[Measured] = []
    device = model.device if isinstance(model, PictureModel) else "cpu"
    failure: UserError | None = None
    progress = None
    if not ranks().rank:
        total = sum(len(questions[group * size : (group + 1) * size]) for group in mine)
        progress = Progress(f"asking {model.name}", total=total, unit="questions")
    with ClipDecoder(video) as decoder:
        for group in mine:
            first = group * size
            some = questions[first : first + size]
            path = None if folder is None else folder / f"answers-{first:06d}-{size}.json"
            try:
                responses, cost = _group(asker, found, some, decoder, path, device)
            except UserError as error:
                failure = error
                break
            own |= {first + response.index: response for response in responses}
            costs.append(cost)
            if progress:
                progress.add(len(some))
    if progress:
        progress.close()
    every = _from_all(own, failure, len(questions))
    measured = [cost for part in from_all(costs) for cost in part]
    return every, costs_of(measured, [MODEL], is_cuda=torch.device(device).type == "cuda")


def _group(
    asker: Asker,
    found: ClipSet,
    questions: Sequence[Worded],
    decoder: ClipDecoder,
    path: Path | None,
    device: torch.device | str,
) -> tuple[list[Response], Measured]:
    kept = None if path is None else _read(path, len(questions))
    if path is not None and kept is not None:
        return kept, _read_cost(path)
    decoder.check()
    numbers = sorted({number for question in questions for number in question.clips})
    clips: dict[int, EvalClip] = {number: found.clips[number] for number in numbers}
    meter = CostMeter([MODEL], device)
    responses = asker.ask(questions, clips, decoder, meter)
    cost = meter.measured()
    if path is not None:
        write_file(_cost_path(path), json.dumps(cost.to_json()).encode())
        write_file(path, _packed(responses))
    return responses, cost


def _packed(responses: Sequence[Response]) -> bytes:
    lines = "\n".join(response.to_json() for response in responses)
    digest = hashlib.sha256(lines.encode()).hexdigest()
    return f'{{"sha256": "{digest}"}}\n{lines}\n'.encode()


def _read(path: Path, count: int) -> list[Response] | None:
    """What a file holds; None where it is missing or damaged."""
    try:
        head, _, lines = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EvaluationError(
            f"cannot read kept answers {path}: {error.strerror or error}; mend its permissions, or "
            "choose another --cache"
        ) from error
    try:
        told: Any = parsed_json(head)
        listed = lines.removesuffix(b"\n").split(b"\n")
        if told != {"sha256": hashlib.sha256(b"\n".join(listed)).hexdigest()}:
            return None
        responses = [Response.from_dict(parsed_json(line), where=str(path)) for line in listed]
    except (ValueError, EvaluationError):
        return None
    is_whole = [response.index for response in responses] == list(range(count))
    return responses if is_whole else None


def _cost_path(path: Path) -> Path:
    return path.with_name(path.name.replace("answers", "cost"))


def _read_cost(path: Path) -> Measured:
    """What a group cost; nothing known of one that was asked before costs were kept."""
    try:
        return Measured.from_json(parsed_json(_cost_path(path).read_bytes()))
    except (OSError, ValueError):
        return Measured({}, {}, [])


def _from_all(own: dict[int, Response], failure: UserError | None, count: int) -> list[Response]:
    """The responses of all processes, or the failure of one of them on each."""
    gathered: list[dict[int, Response] | str] = from_all(own if failure is None else str(failure))
    if failure is not None:
        raise failure
    if others := [part for part in gathered if isinstance(part, str)]:
        raise UnansweredError(others[0])
    every = {
        place: one for part in gathered if isinstance(part, dict) for place, one in part.items()
    }
    return [every[place] for place in range(count)]
