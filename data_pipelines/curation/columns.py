"""The columns of the table that a scan writes: one row for every sample, good or bad.

``README.md`` of this package explains them to users; filters name them in their expressions.
"""

import pyarrow as pa

#: What the verdicts say of a sample that nothing is wrong with.
GOOD = "ok"

_TEXT, _COUNT = pa.string(), pa.int32()
_REPEATED = pa.dictionary(pa.int32(), pa.string())  # few different values

#: Of every table.
COLUMNS = pa.schema(
    [
        pa.field("uid", _TEXT, nullable=False),
        pa.field("shard", _REPEATED, nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("key", _TEXT, nullable=False),
        pa.field("verdict", _REPEATED, nullable=False),
        pa.field("caption_verdict", _REPEATED, nullable=False),
        pa.field("format", _REPEATED),
        pa.field("bytes", pa.int64()),
        pa.field("width", _COUNT),
        pa.field("height", _COUNT),
        pa.field("orientation", pa.int8()),
        pa.field("mode", _REPEATED),
        pa.field("original_width", _COUNT),
        pa.field("original_height", _COUNT),
        pa.field("aspect", pa.float64()),
        pa.field("sha256", pa.binary(32)),
        pa.field("captions", _COUNT),
        pa.field("caption", _TEXT),
        pa.field("caption_chars", _COUNT),
        pa.field("caption_words", _COUNT),
        pa.field("stored_chars", _COUNT),
        pa.field("stored_words", _COUNT),
        pa.field("stored_tokens", _COUNT),
        pa.field("url", _TEXT),
        pa.field("source", _REPEATED),
        pa.field("robots_tag", _REPEATED),
        pa.field("data_mining", _REPEATED),
    ]
)

#: Of tables whose scan was asked for languages.
LANGUAGE_COLUMNS = (pa.field("language", _REPEATED), pa.field("language_score", pa.float32()))

#: Of tables whose scan was asked for perceptual hashes.
HASH_COLUMNS = (pa.field("phash", pa.uint64()), pa.field("phash_path", _REPEATED))


def columns_of(*, has_language: bool, has_hash: bool) -> pa.Schema:
    """The columns of a table whose scan was asked for these."""
    schema = COLUMNS
    for field in (*(LANGUAGE_COLUMNS * has_language), *(HASH_COLUMNS * has_hash)):
        schema = schema.append(field)
    return schema
