"""Whether the training shards are still those that a run's position in its stream belongs to.

A checkpoint holds one word for the content of all shards; the run folder holds, under that word,
what each of them was, so that a difference can be told shard by shard.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from torch import distributed as dist

from vlsuite.batches.pair_shards import BY_CONTENT, PairShards, ShardFacts
from vlsuite.batches.shuffling import Shuffling
from vlsuite.engine.metrics_log import say
from vlsuite.engine.run_folder import RunFolder, write_json
from vlsuite.engine.state import TrainState
from vlsuite.errors import DataError, RunFolderError

_NOT_RECORDED = (
    "note: this run began before the content of training shards was recorded, so whether they are "
    "still what they were cannot be told; from now on it is recorded"
)
_BY_LENGTHS = (
    "note: this run began when names and lengths of the shards told training sets apart, and its "
    "checkpoints go on so; their content is held against what was recorded apart from that"
)
_SHOWN = 3  # names of each kind of difference


def check_content(state: TrainState, shards: PairShards, folder: RunFolder) -> None:
    """Refuse to continue on other content than the run had, unless the settings name it; every
    process calls.

    Raises:
        DataError: the content is another one, or not the same for all processes.
    """
    content, data = shards.content, state.config.data
    named = (
        *data.train,
        *(f"subset={file}" for file in data.subset),
        *(f"captions={column}" for column in data.captions),
    )
    _refuse_differing(state, content)
    if state.step and not state.content and state.ctx.is_first:
        say(_NOT_RECORDED)
    elif state.step and state.content not in ("", content):
        told = _told(folder, state.content, shards.facts)
        if tuple(state.train) == named and data.accept_content != content:
            raise DataError(
                f"the training shards are not what they were at step {state.step}: {told}; put "
                "them back, or go on with these with --set "
                f"data.accept_content={content} (the epoch in progress may then repeat or miss "
                "samples)"
            )
        if state.ctx.is_first:
            say(f"warning: from step {state.step} on the training shards are others: {told}")
    state.content, state.train = content, named


def note_order(state: TrainState, shards: PairShards, shuffling: Shuffling) -> None:
    """Note to which training set the stream's position belongs; say so where it changed.

    A run keeps its rule of telling sets apart until it takes a subset or other captions.
    """
    settings = state.config.global_batch_size, state.config.seed, shuffling
    is_old = bool(state.data) and not state.data.startswith(BY_CONTENT)
    data = state.config.data
    if is_old and not (data.subset or data.captions):
        if state.ctx.is_first:
            say(_BY_LENGTHS)
        state.train_on(shards.old_fingerprint(*settings))
    else:
        state.train_on(shards.fingerprint(*settings))


def record_content(shards: PairShards, folder: RunFolder) -> None:
    """Write what each shard is, for telling what changed; the first process calls.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    path = _path(folder, shards.content)
    if path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, [facts.told for facts in shards.facts])
    except OSError as error:
        raise RunFolderError(
            f"cannot write {path}: {error.strerror}; mend permissions or free space"
        ) from error


def _refuse_differing(state: TrainState, content: str) -> None:
    """Processes on several hosts may each have a copy of the shards."""
    if state.ctx.world_size == 1:
        return
    found: list[str] = [""] * state.ctx.world_size
    dist.all_gather_object(found, content)
    others = [rank for rank, other in enumerate(found) if other != found[0]]
    if others:
        raise DataError(
            f"processes do not read the same training shards: those of process {others[0]} have "
            "other content than those of process 0; give every host the same shards"
        )


def _path(folder: RunFolder, content: str) -> Path:
    return folder.shards / f"{content}.json"


def _told(folder: RunFolder, before: str, now: Sequence[ShardFacts]) -> str:
    """What differs, in some words."""
    was: list[ShardFacts] = []
    with suppress(OSError, ValueError, TypeError):
        stored = json.loads(_path(folder, before).read_text(encoding="utf-8"))
        was = [ShardFacts(*entry) for entry in stored]
    if not was:
        return "which of them changed is not recorded"
    return ", ".join(_differences(was, now)) or "they stand in another order"


def _differences(was: Sequence[ShardFacts], now: Sequence[ShardFacts]) -> Iterator[str]:
    before, after = _by_name(was), _by_name(now)
    names_of = {facts.content: name for name, facts in before.items()}
    changed = []
    for name, facts in after.items():
        if name in before and facts != before[name]:
            origin = names_of.get(facts.content)
            if origin and origin != name:
                changed.append(f"{name} holds what {origin} held")
            elif facts.num_samples != before[name].num_samples:
                changed.append(
                    f"{name} holds {facts.num_samples} samples instead of "
                    f"{before[name].num_samples}"
                )
            elif facts.content == before[name].content:
                changed.append(f"of {name} other samples are chosen")
            else:
                changed.append(f"{name} holds other content")
    missing = [f"{name} is gone" for name in before if name not in after]
    new = [f"{name} is new" for name in after if name not in before]
    for kind in (changed, missing, new):
        yield from kind[:_SHOWN]
        if len(kind) > _SHOWN:
            yield f"and {len(kind) - _SHOWN} more like the last"


def _by_name(shards: Sequence[ShardFacts]) -> dict[str, ShardFacts]:
    """Of shards of one name in several folders, the later ones get their number behind it."""
    found: dict[str, ShardFacts] = {}
    for facts in shards:
        name, number = facts.name, 1
        while name in found:
            number += 1
            name = f"{facts.name} ({number})"
        found[name] = facts
    return found
