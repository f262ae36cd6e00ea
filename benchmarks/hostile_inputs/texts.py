"""Captions, tables and lists that are too long, too deep, or obeyed by whoever shows them."""

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

import pyarrow
from PIL import Image
from pyarrow import parquet

from benchmarks.hostile_inputs.place import OBEYED, Hostile, Place, add_many, hostile, tar_of, write

_DEEP = "[" * 100_000 + "]" * 100_000
_FORMULA = "=cmd|' /C calc'!A0"
_CAPTIONS: dict[str, bytes] = {
    "ten_megabytes_without_spaces": b"x" * (10 << 20),
    "obeyed": OBEYED.encode(),
    "formula": _FORMULA.encode(),
    "zero_bytes": b"\0" * 100_000,
    "half_characters": b"\xed\xa0\x80 \xff\xfe\xfa",
    "combining": b"a" + "\u0301".encode() * 1_000_000,
    "address": b"see http://user:hidden@host/ <script>alert(1)</script>",
}


def picture() -> bytes:
    """A small good one."""
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), (9, 200, 60)).save(stream, "PNG")
    return stream.getvalue()


def _pairs(caption: bytes, suffix: str = "txt") -> bytes:
    members = {}
    for number in range(8):
        members |= {f"{number}.png": picture(), f"{number}.{suffix}": caption}
    return tar_of(members)


def _command(words: tuple[str, ...], caption: bytes, suffix: str = "txt") -> Hostile:
    def make(place: Place) -> list[str]:
        write(place.inputs / "a.tar", _pairs(caption, suffix))
        place.target.parent.mkdir(exist_ok=True)
        named = {"IN": str(place.inputs), "OUT": str(place.target), "MODEL": str(place.sane.model)}
        return [named.get(word, word) for word in words]

    return make


_VALIDATE = ("data", "validate", "IN")
_TOKENIZER = ("data", "tokenizer", "IN", "--vocab-size", "300", "--out", "OUT")
_NOISE = ("data", "noise", "IN", "--mismatched", "0.5", "--out", "OUT")
_EVAL = ("eval", "MODEL", "--data", "IN/a.tar", "--no-cache", "--out", "OUT", "--workers", "1")
for _name, _caption in _CAPTIONS.items():
    for _what, _words in (("validate", _VALIDATE), ("tokenizer", _TOKENIZER), ("noise", _NOISE)):
        add_many("captions", {f"{_what}_{_name}": _command(_words, _caption)})


def _evaluated(caption: bytes) -> Hostile:
    def make(place: Place) -> list[str]:
        data = write(place.inputs / f"{OBEYED.replace('/', '')}.tar", _pairs(caption))
        return [
            "eval", str(place.sane.model), "--data", str(data), "--no-cache",
            "--out", str(place.target), "--workers", "1", "--task", "retrieval",
        ]  # fmt: skip

    return make


add_many("captions", {f"eval_{n}": _evaluated(_CAPTIONS[n]) for n in ("obeyed", "address")})
_JSON = {
    "deep": _DEEP.encode(),
    "many_values": b'{"captions": [' + b"[]," * 5_000_000 + b"[]]}",
    "long_number": b'{"uid": ' + b"9" * 100_000 + b"}",
    "obeyed_keys": json.dumps({OBEYED: OBEYED, "uid": OBEYED, "captions": [OBEYED]}).encode(),
    "infinite": b'{"label": 1e999, "captions": NaN}',
}
add_many(
    "captions",
    {f"json_{n}": _command(_VALIDATE, d, "json") for n, d in _JSON.items()},
)


def _table(name: str, content: bytes | str) -> Hostile:
    def make(place: Place) -> list[str]:
        write(place.inputs / "a.png", picture())
        table = write(place.inputs / name, content)
        return ["data", "build", "table", str(table), "--out", str(place.target)]

    return make


def _parquet(columns: Mapping[str, Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table(dict(columns)), stream, **options)
    return stream.getvalue()


def _parquet_bomb() -> bytes:
    """20,000 rows of one caption of 200 kB, some 4 GB, in a few kB of a dictionary."""
    rows = 20_000
    words = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array([0] * rows, pyarrow.int32()), pyarrow.array(["x" * 200_000])
    )
    paths = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array([0] * rows, pyarrow.int32()), pyarrow.array(["gone.png"])
    )
    return _parquet({"path": paths, "caption": words}, compression="zstd")


def _lying_parquet() -> bytes:
    data = bytearray(_parquet({"path": ["a.png"], "caption": ["x"]}))
    data[-8:-4] = struct.pack("<I", 0x7FFFFFFF)
    return bytes(data)


_TABLES: dict[str, tuple[str, bytes | str]] = {
    "csv_formula": ("t.csv", f'path,caption\na.png,"{_FORMULA}"\n'),
    "csv_open_quote": ("t.csv", 'path,caption\na.png,"' + "x\n" * 500_000),
    "csv_long_line": ("t.csv", "path,caption\na.png," + "x" * (40 << 20)),
    "csv_obeyed": ("t.csv", f"path,caption,{OBEYED}\n{OBEYED}.png,x\n".replace("\r", "")),
    "csv_many_columns": ("t.csv", ",".join(map(str, range(300_000))) + "\n"),
    "csv_leads_out": ("t.csv", "path,caption\n../../../etc/passwd,x\n/dev/zero,x\na.png,x\n"),
    "tsv_zero_bytes": ("t.tsv", b"path\tcaption\n" + b"\0" * 2_000_000),
    "parquet_garbage": ("t.parquet", b"PAR1" + b"\xff" * 5000 + b"PAR1"),
    "parquet_lying_footer": ("t.parquet", _lying_parquet()),
    "parquet_objects": ("t.parquet", _parquet({"path": [{"a": 1}], "caption": [[b"\xff"]]})),
}
add_many("tables", {name: _table(*given) for name, given in _TABLES.items()})


@hostile("tables")
def parquet_bomb(place: Place) -> list[str]:
    return _table("t.parquet", _parquet_bomb())(place)


def _coco(name: str, content: str) -> Hostile:
    def make(place: Place) -> list[str]:
        table = write(place.inputs / f"{name}.json", content)
        return [
            "data", "build", "coco", str(table), "--images", str(place.inputs),
            "--out", str(place.target),
        ]  # fmt: skip

    return make


_IMAGES = {"images": [{"id": 1, "file_name": "../../etc/passwd"}]}
_COCO = {
    "deep": _DEEP,
    "values": "[" + "{}," * 12_100_000 + "{}]",
    "leads_out": json.dumps(_IMAGES | {"annotations": [{"image_id": 1, "caption": OBEYED}]}),
    "wrong_kinds": '{"images": [{"id": [], "file_name": 5}], "annotations": []}',
    "list": "[1]",
}
add_many("tables", {f"coco_{name}": _coco(name, text) for name, text in _COCO.items()})


def _questions(content: str) -> Hostile:
    def make(place: Place) -> list[str]:
        write(place.inputs / "dataset" / "q.jsonl", content)
        write(place.inputs / "mm_data" / "image" / "a.png", picture())
        return [
            "omnibench", "run", str(place.inputs), "--model", "random", "--out", str(place.target),
        ]  # fmt: skip

    return make


_QUESTION = {
    "index": 0, "task type": OBEYED, "audio type": "speech", "question": OBEYED, "answer": "a",
    "options": ["a", "b"], "image_path": "../../../etc/passwd", "audio_path": OBEYED,
    "audio content": "x", "image content": "y",
}  # fmt: skip
add_many(
    "questions",
    {
        "deep": _questions(_DEEP + "\n"),
        "obeyed": _questions(json.dumps(_QUESTION) + "\n"),
        "wrong_kinds": _questions('{"index": 1e999, "options": 5}\n[]\nnull\n'),
        "long_line": _questions('{"question": "' + "x" * (64 << 20) + '"}\n'),
    },
)


@hostile("questions")
def log_deep(place: Place) -> list[str]:
    write(place.target / "responses.jsonl", "[" * 100_000 + "\n")
    return ["omnibench", "score", str(place.target / "responses.jsonl"), str(place.inputs)]
