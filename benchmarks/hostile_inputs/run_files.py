"""Run folders, manifests and logs that a stranger hands on."""

import json
import shutil
from typing import Any

from benchmarks.hostile_inputs.place import (
    OBEYED,
    PASSWORD,
    Hostile,
    Place,
    add_many,
    hostile,
    write,
)

_DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000
_LONG = '{"kind": "train", "step": 1, "x": "' + "y" * (64 << 20) + '"}\n'


def _config(**changed: Any) -> str:
    return json.dumps({"recipe": "emoji", "config": changed})


_CONFIGS = {
    "deep": _DEEP,
    "list": "[]",
    "words_for_numbers": _config(global_batch_size="many", optim={"lr": "fast"}),
    "wrong_objects": _config(model=7, data=[1], optim=None),
    "component_list": _config(model={"kind": ["x"]}),
    "recipe_obeyed": json.dumps({"recipe": OBEYED, "config": {OBEYED: 1}}),
    "infinite": _config(seed=float("inf"), stall_timeout=float("nan")),
    "batch_without_bound": _config(global_batch_size=10**30),
    "other_code": json.dumps({"recipe": "emoji", "config": {}, "imports": ["evil.py"]}),
}


def _resumed(name: str) -> Hostile:
    def make(place: Place) -> list[str]:
        shutil.copytree(place.sane.run, place.target)
        write(place.target / "config.json", _CONFIGS[name])
        return ["train", "--resume", "--out", str(place.target)]

    return make


def _reported(name: str, file: str, content: str) -> Hostile:
    def make(place: Place) -> list[str]:
        shutil.copytree(place.sane.run, place.target)
        write(place.target / file, content)
        return ["report", str(place.target)]

    return make


add_many("run folders", {f"resume_{name}": _resumed(name) for name in _CONFIGS})
add_many(
    "run folders", {f"report_{n}": _reported(n, "config.json", c) for n, c in _CONFIGS.items()}
)
_LOGS = {
    "metrics_deep": ("metrics.jsonl", _DEEP + "\n"),
    "metrics_long": ("metrics.jsonl", _LONG),
    "metrics_infinite": ("metrics.jsonl", '{"kind": "train", "step": 1e999}\n[]\n7\nnull\n'),
    "metrics_digits": ("metrics.jsonl", '{"kind":"train","step":1,"loss":1' + "0" * 400 + "}\n"),
    "metrics_obeyed": (
        "metrics.jsonl",
        json.dumps({"kind": "train", "step": 1, OBEYED: 1.5}) + "\n",
    ),
    "environment_obeyed": ("environment.json", json.dumps({"command": OBEYED, "versions": OBEYED})),
    "environment_deep": ("environment.json", _DEEP),
    "results_deep": ("results/a__b__c.json", _DEEP),
    "results_wrong": ("results/a__b__c.json", '{"version": 1, "scores": [], "origin": 5}'),
}
add_many("run folders", {n: _reported(n, f, c) for n, (f, c) in _LOGS.items()})


def _checkpoint(name: str, content: str) -> Hostile:
    def make(place: Place) -> list[str]:
        shutil.copytree(place.sane.run, place.target)
        for path in (place.target / "checkpoints").rglob("*.json"):
            write(path, content)
        return ["train", "--resume", "--out", str(place.target)]

    return make


add_many(
    "run folders",
    {
        f"checkpoint_{name}": _checkpoint(name, text)
        for name, text in {"deep": _DEEP, "list": "[]", "infinite": '{"step": 1e999}'}.items()
    },
)


def _manifest(name: str, content: str) -> Hostile:
    def make(place: Place) -> list[str]:
        shutil.copytree(place.sane.shards, place.inputs / "set")
        write(place.inputs / "set" / "manifest.json", content)
        return ["data", "validate", str(place.inputs / "set")]

    return make


def _told(**changed: Any) -> str:
    plain = {"format_version": 1, "tool": "vlsuite", "layout": "pairs", "origin": {}, "shards": []}
    return json.dumps({**plain, "files": [], **changed})


add_many(
    "manifests",
    {
        name: _manifest(name, text)
        for name, text in {
            "deep": _DEEP,
            "list": "[]",
            "wrong_kinds": _told(shards=[{"name": 5, "samples": "x", "bytes": None, "sha256": []}]),
            "leads_out": _told(files=[{"name": "../../x", "bytes": 1, "sha256": "0"}]),
            "infinite": _told(shards=[{"name": "a", "samples": 1e999, "bytes": 1, "sha256": "0"}]),
            "obeyed": _told(layout=OBEYED, origin={"source": OBEYED}, skipped={OBEYED: 1}),
        }.items()
    },
)


@hostile("secrets")
def password_in_an_address_of_shards(place: Place) -> list[str]:
    address = place.server.replace("//", f"//user:{PASSWORD}@")
    return [
        "train", "emoji", "--out", str(place.target), "--set", "model.name=vlsuite-micro-32",
        "--set", f"data.train={address}/shards/{{000..000}}.tar", "--set", "duration=1steps",
        "--set", "global_batch_size=8", "--set", "data.num_workers=0", "--set", "threads=1",
        "--set", f"data.cache_dir={place.target.parent / 'home' / 'cache'}",
    ]  # fmt: skip


@hostile("secrets")
def password_of_an_address_that_is_not_there(place: Place) -> list[str]:
    address = place.server.replace("//", f"//user:{PASSWORD}@")
    return ["data", "inspect", f"{address}/gone/000.tar"]
