"""Which part of a subset belongs to which of the shards that were found."""

from collections import defaultdict
from collections.abc import Sequence

from data_pipelines.errors import DataError
from data_pipelines.subsets.subset import ShardIdentity, Subset, SubsetShard

_ADVICE = "make one for these shards with 'vlsuite curate subset SHARDS --from {} --out NEW'"


def parts_for(
    subset: Subset, shards: Sequence[ShardIdentity], *, name: str, some_only: bool = False
) -> list[SubsetShard]:
    """The part of each shard, in the order of the shards.

    The shards must be those the subset was made for: same names, same content, none missing; their
    order and folders may differ.

    Args:
        name: of the subset's file, for the message.
        some_only: whether shards of the subset may be missing.
    Raises:
        DataError: they are others, changed since, or not all of them.
    """
    left: dict[str, list[SubsetShard]] = defaultdict(list)
    for part in subset.parts:
        left[part.shard.name].append(part)
    found = []
    for shard in shards:
        candidates = left.get(shard.name, [])
        fitting = next((part for part in candidates if part.shard.is_content_of(shard)), None)
        if fitting is None:
            raise DataError(_refusal(shard, subset, name=name))
        candidates.remove(fitting)
        found.append(fitting)
    missing = [part for parts in left.values() for part in parts]
    if missing and not some_only:
        raise DataError(
            f"subset {name} was made for {len(subset.parts):,} shards, and {len(missing):,} of "
            f"them are not among the {len(shards):,} given, the first {missing[0].shard.name}; "
            f"name all of them, or {_ADVICE.format(name)}"
        )
    return found


def _refusal(shard: ShardIdentity, subset: Subset, *, name: str) -> str:
    known = [part.shard for part in subset.parts if part.shard.name == shard.name]
    if not known:
        return (
            f"subset {name} was made for other shards: {shard.name} is none of its "
            f"{len(subset.parts):,}; give the shards it was made for, or make one for these with "
            "'vlsuite curate subset'"
        )
    if any(other.is_content_of(shard) for other in known):
        return f"subset {name} knows {shard.name} once, and it is given twice; name it once"
    was = known[0]
    told = (
        f"{shard.num_samples:,} samples instead of {was.num_samples:,}"
        if shard.num_samples != was.num_samples
        else "other content"
    )
    return (
        f"subset {name} was made for other content: {shard.name} now holds {told}; put that shard "
        "back, or make the subset anew with 'vlsuite curate subset'"
    )
