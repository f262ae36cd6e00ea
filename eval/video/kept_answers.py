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

from data_pipelines.bounded_json import parsed_json
from data_pipelines.errors import UserError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.atomic import write_file
from eval.contract import Embedder, Model
from eval.errors import EvaluationError
from eval.process_group import from_all, my_rows, ranks
from eval.progress import Progress
from eval.respondents.response import Response
from eval.video.clip_set import ClipSet, EvalClip
from eval.video.options import VideoOptions
from eval.video.showing import Asker
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
) -> list[Response]:
    """One response a question, in their order; the same on every process.

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
                responses = _group(asker, found, some, decoder, path)
            except UserError as error:
                failure = error
                break
            own |= {first + response.index: response for response in responses}
            if progress:
                progress.add(len(some))
    if progress:
        progress.close()
    return _from_all(own, failure, len(questions))


def _group(
    asker: Asker,
    found: ClipSet,
    questions: Sequence[Worded],
    decoder: ClipDecoder,
    path: Path | None,
) -> list[Response]:
    kept = None if path is None else _read(path, len(questions))
    if kept is not None:
        return kept
    decoder.check()
    numbers = sorted({number for question in questions for number in question.clips})
    clips: dict[int, EvalClip] = {number: found.clips[number] for number in numbers}
    responses = asker.ask(questions, clips, decoder)
    if path is not None:
        write_file(path, _packed(responses))
    return responses


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


def _from_all(own: dict[int, Response], failure: UserError | None, count: int) -> list[Response]:
    """The responses of all processes, or the failure of one of them on each."""
    gathered: list[dict[int, Response] | str] = from_all(own if failure is None else str(failure))
    if failure is not None:
        raise failure
    every = {
        place: one for part in gathered if isinstance(part, dict) for place, one in part.items()
    }
    return [every[place] for place in range(count)]
