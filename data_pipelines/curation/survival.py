"""How much of each language, source or the like a stage keeps: what an average hides."""

from data_pipelines.curation.filter import StageInput
from data_pipelines.schema import JsonValue

_HOST = "nullif(regexp_extract(lower(url), '^[a-z]+://([^/:?#]+)', 1), '')"

#: Where a sample comes from, as far as its table tells.
SOURCE = f"coalesce(source, {_HOST}, shard)"

#: Groups that are told; the others are summed up.
_SHOWN = 8


def record_survival(samples: StageInput, kept: str, *, by: str, called: str) -> None:
    """Record what is kept of the largest groups, as "kept by ...".

    Args:
        kept: expression that is true where a sample stays.
        by: expression that names the group of a sample.
        called: what the groups are ("language").
    """
    rows: list[JsonValue] = []
    others = [0, 0]
    query = f"""SELECT coalesce({by}, 'unknown') AS named, count(*) AS given,
            count(*) FILTER (coalesce({kept}, false)) AS stayed
        FROM {samples.relation} GROUP BY 1 ORDER BY given DESC, named"""
    for batch in samples.batches(query):
        for row in batch.to_pylist():
            if len(rows) < _SHOWN:
                rows.append(_row(called, row["named"], row["given"], row["stayed"]))
            else:
                others = [others[0] + row["given"], others[1] + row["stayed"]]
    if others[0]:
        rows.append(_row(called, "others", *others))
    samples.record(f"kept by {called}", rows)


def _row(called: str, name: str, given: int, kept: int) -> dict[str, JsonValue]:
    return {called: name, "given": given, "kept": kept, "share": round(kept / given, 4)}
