"""How much of each language, source or the like a stage keeps: what an average hides."""

from data_pipelines.curation.filter import StageInput

#: Where a sample comes from, as far as its table tells.
SOURCE = (
    r"coalesce(source, nullif(regexp_extract(lower(url), '^[a-z]+://([^/:?#]+)', 1), ''), shard)"
)

#: Groups that are told; the others are summed up.
_SHOWN = 8


def note_survival(samples: StageInput, kept: str, *, by: str, called: str) -> None:
    """Note the share that is kept of the largest groups.

    Args:
        kept: expression that is true where a sample stays.
        by: expression that names the group of a sample.
        called: what the groups are, in the note ("language").
    """
    shares, others = [], [0, 0]
    query = f"""SELECT coalesce({by}, 'unknown') AS named, count(*) AS given,
            count(*) FILTER (coalesce({kept}, false)) AS stayed
        FROM {samples.relation} GROUP BY 1 ORDER BY given DESC, named"""
    for batch in samples.batches(query):
        for row in batch.to_pylist():
            if len(shares) < _SHOWN:
                shares.append(_told(row["named"], row["stayed"], row["given"]))
            else:
                others = [others[0] + row["stayed"], others[1] + row["given"]]
    if others[1]:
        shares.append(_told("others", *others))
    if shares:
        samples.note(f"kept by {called}: {'; '.join(shares)}")


def _told(name: str, stayed: int, given: int) -> str:
    return f"{name} {stayed:,} of {given:,} ({stayed / given:.1%})"
