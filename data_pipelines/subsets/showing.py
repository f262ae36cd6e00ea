"""What a subset is, in words for people."""

import json
from collections.abc import Iterator

from data_pipelines.printable import printable
from data_pipelines.subsets.pool import Pool
from data_pipelines.subsets.subset import Subset

#: Share kept of remote shards below which writing them anew saves more than it costs.
RESHARD_BELOW = 0.5

_SHOWN = 8  # shards
_LONGEST = 400  # characters of one entry of the provenance


def summary_line(subset: Subset) -> str:
    """Counts in one line."""
    again = subset.num_taken - subset.num_kept
    repeated = f", {again:,} more by repetition" if again else ""
    return (
        f"{subset.num_kept:,} of {subset.num_samples:,} samples kept ({subset.share:.1%})"
        f"{repeated}, in {len(subset.parts):,} shards"
    )


def described(subset: Subset, *, size: int) -> str:
    """All that is to know of a subset, some lines.

    Args:
        size: of its file in bytes.
    """
    lines = [summary_line(subset), f"digest {subset.digest}"]
    lines.append(f"{size:,} bytes, {size / max(1, subset.num_samples):.4f} a sample of the shards")
    for name, value in subset.provenance.items():
        told = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        lines.append(f"{printable(name)}: {printable(told)[:_LONGEST]}")
    lines.append("shards: name, samples, kept, taken an epoch, content")
    for part in subset.parts[:_SHOWN]:
        content = part.shard.content or part.shard.mark
        lines.append(
            f"  {printable(part.shard.name)}  {part.shard.num_samples:,}  {part.num_kept:,}  "
            f"{part.num_taken:,}  {content}"
        )
    if len(subset.parts) > _SHOWN:
        lines.append(f"  and {len(subset.parts) - _SHOWN:,} more")
    return "\n".join(lines)


def advice(subset: Subset, pool: Pool) -> Iterator[str]:
    """What to do with a small subset of shards that are fetched whole."""
    if pool.is_remote and subset.share < RESHARD_BELOW:
        yield (
            f"note: {subset.share:.0%} of samples on remote storage are kept, and training fetches "
            "whole shards; to fetch only these: vlsuite curate reshard SHARDS --subset FILE --out "
            "DIR"
        )
