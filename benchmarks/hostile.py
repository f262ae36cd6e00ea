"""Does any file or server that means harm end a command otherwise than in one line?

Pictures, tars, indexes, models, run folders, tables, sounds and replies that were made to harm go
through the product's own commands, one process each. A case survives if the command ends with code
0, or with code 2 and one line, without a traceback, a kill, a byte that a terminal would obey, or a
password in anything that it shows or stores for showing. A PATH of marker programs records what is
started; all files around the target folder are hashed before and after.
"""

import argparse
import importlib
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.hostile_inputs.place import PASSWORD, Place, Sane
from benchmarks.support import environment
from benchmarks.support.fake_programs import fake_programs, picture_of, started
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import BenchmarkError
from benchmarks.support.watched_command import Outcome, run_watched, watch

_LIMIT = 60.0  # seconds until a case is killed
_GOAL_BYTES, _GOAL_SECONDS = 1_500_000_000, 10.0
_WARM = (
    "deepspeed",
    "deepspeed.runtime.zero.stage3",
    "tensorboard.summary.writer.record_writer",
    "transformers",
    "transformers.models.gpt2.modeling_gpt2",
    "eval.embedding.embedder",
    "eval.omnibench.scoring",
    "eval.running.runner",
    "data_pipelines.ingest.run",
    "vlsuite.cli.data",
    "vlsuite.cli.data_ingest",
    "vlsuite.cli.eval",
    "vlsuite.cli.train",
    "vlsuite.engine.train_loop",
    "vlsuite.recipes",
)
_SHOWN = ("*.html", "*.md", "*.json", "*.jsonl", "*.txt", "*.log", "*.csv", "*.tsv")
_OBEYED = re.compile("[\x00-\x08\x0b\x0c\x0d\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def main() -> int:
    """Run all cases; returns 1 where one does not survive."""
    args = _parse()
    os.environ |= {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        try:
            return _run(args, Path(folder).resolve())
        except BenchmarkError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="every fifth case")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name has it")
    parser.add_argument("--cold", action="store_true", help="a fresh interpreter for each case")
    parser.add_argument("--seed", type=int, default=0, help="which cases --quick takes")
    parser.add_argument(
        "--limit", type=float, default=_LIMIT, help="seconds of a case; more on a busy machine"
    )
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    return parser.parse_args()


def _run(args: argparse.Namespace, root: Path) -> int:
    bench = _Bench(root, cold=args.cold, limit=args.limit)
    names = [name for name in bench.names() if args.only in name]
    if args.quick:
        names = names[args.seed % 5 :: 5]
    base = {} if args.only else bench.base_costs()
    rows = [bench.case(number, name) for number, name in enumerate(names)]
    _print_table(rows)
    failed = [row for row in rows if row["problems"]]
    finish("hostile", _figures(rows, base), environment.describe(),
           config={"quick": args.quick, "only": args.only, "cold": args.cold, "seed": args.seed,
                   "limit": args.limit},
           save=args.save)  # fmt: skip
    return 1 if failed else 0


class _Bench:
    """The scratch folder, the sane inputs and the server.

    Args:
        root: of the scratch folder.
        cold, limit: see ``run_watched``.
    """

    def __init__(self, root: Path, *, cold: bool, limit: float) -> None:
        self._root, self._cold, self._limit = root, cold, limit
        self._record = root / "started.txt"
        self._programs = fake_programs(root / "programs", self._record)
        for name in _WARM:
            importlib.import_module(name)
        self._sane = self._make_sane()
        self._server = self._serve()

    def names(self) -> list[str]:
        """Of all cases; nothing of them is imported here, their inputs would weigh on each."""
        out = self._apart(_list_names, self._root / "names")
        self._modules: dict[str, str] = json.loads(out.out)
        return list(self._modules)

    def base_costs(self) -> dict[str, dict[str, float]]:
        """What commands on sane inputs cost in a fresh interpreter."""
        shard = next(self._sane.shards.glob("*.tar"))
        evaluate = ["eval", str(self._sane.model), "--data", str(shard), "--no-cache"]
        commands = {
            "data validate": ["data", "validate", str(shard)],
            "eval": [*evaluate, "--out", str(self._root / "base"), "--workers", "1"],
        }
        found = {}
        for name, words in commands.items():
            for kind, cold in (("cold", True), ("warm", False)):
                done = self._command(words, self._root / "base-log", cold=cold)
                if done.code:  # else no hostile case of it would show anything
                    raise BenchmarkError(f"'{name}' on sane inputs: {_last_line(done.err)}")
                found[f"{name}, {kind}"] = {
                    "seconds": round(done.seconds, 2),
                    "cpu_seconds": round(done.cpu_seconds, 2),
                    "peak_mb": round(done.peak_bytes / 1e6),
                }
        return found

    def case(self, number: int, name: str) -> dict[str, Any]:
        """Make the inputs, run the command, and look at all it did."""
        scratch = self._root / f"case-{number:03}"
        (scratch / "inputs").mkdir(parents=True)
        (scratch / "home").mkdir()
        (scratch / "precious.txt").write_text("not to be touched\n")
        place = Place(inputs=scratch / "inputs", target=scratch / "target", sane=self._sane,
                      server=self._server)  # fmt: skip
        made = self._apart(
            lambda: _make(self._modules[name], name, place), scratch.with_suffix(".made")
        )
        if made.code:
            raise BenchmarkError(f"{name} was not made: {made.err.decode()[-300:]}")
        told = json.loads(made.out)
        outside = (place.target, scratch / "home")
        before, ran = picture_of(scratch, without=outside), started(self._record)
        done = self._command(
            told["words"], scratch.with_suffix(".log"), home=scratch / "home", more=told["more"],
            place=scratch,
        )  # fmt: skip
        problems = _problems(done, self._limit)
        if picture_of(scratch, without=outside) != before:
            problems.append("files outside the target folder changed")
        problems += [f"started {line[:60]}" for line in started(self._record)[len(ran) :]]
        problems += _seen_in(place.target)
        made_files = [path for one in told["forbidden"] for path in place.target.rglob(one)]
        problems += [f"made {path.name}" for path in made_files]
        row = {
            "name": name, "code": done.code, "seconds": round(done.seconds, 2),
            "cpu_seconds": round(done.cpu_seconds, 2), "peak_mb": round(done.peak_bytes / 1e6),
            "problems": problems,
            "last_line": _last_line(done.err),
        }  # fmt: skip
        self._tell(row)
        return row

    def _tell(self, row: dict[str, Any]) -> None:
        state = "; ".join(row["problems"]) or "survived"
        cost = f"code {row['code']}, {row['seconds']} s, {row['peak_mb']} MB"
        said = ascii(row["last_line"][:160])
        print(f"{row['name']}: {state} ({cost}) {said}", file=sys.stderr, flush=True)

    def _make_sane(self) -> Sane:
        shards, run = self._root / "sane" / "shards", self._root / "sane" / "run"
        tokenizer = self._root / "sane" / "tokenizer"
        steps = [
            ["data", "build", "synthetic", "--num-samples", "48", "--side", "32",
             "--out", str(shards)],
            ["data", "tokenizer", str(shards), "--vocab-size", "300", "--context-length", "24",
             "--out", str(tokenizer)],
            ["train", "emoji", "--out", str(run), "--set", f"data.train={shards}",
             "--set", "model.name=vlsuite-micro-32", "--set", f"model.tokenizer={tokenizer}",
             "--set", "global_batch_size=8", "--set", "duration=2steps", "--set", "threads=1",
             "--set", "data.num_workers=0", "--set", "validation.data=",
             "--set", "logging.every=1steps"],
        ]  # fmt: skip
        for words in steps:
            done = self._command(words, self._root / "sane-log", limit=300.0)
            if done.code:
                raise BenchmarkError(f"'{' '.join(words[:3])}' fails: {_last_line(done.err)}")
        return Sane(shards=shards, model=run / "export", run=run)

    def _serve(self) -> str:
        from benchmarks.support.hostile_server import serve

        return serve(self._sane.shards)

    def _apart(self, action: Any, log: Path) -> Outcome:
        """In a forked process, whose memory is not this one's."""
        variables = {**os.environ, "XDG_CACHE_HOME": str(self._root / "cache")}
        return watch(action, place=self._root, environment=variables, log=log, limit=120.0)

    def _command(
        self,
        words: list[str],
        log: Path,
        *,
        home: Path | None = None,
        more: dict[str, str] | None = None,
        place: Path | None = None,
        limit: float | None = None,
        cold: bool | None = None,
    ) -> Outcome:
        home = home or self._root / "home"
        home.mkdir(exist_ok=True)
        variables = {
            "PATH": f"{self._programs}:/usr/bin:/bin", "HOME": str(home), "TMPDIR": str(home),
            "XDG_CACHE_HOME": str(home / "cache"), "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8",
            "DS_ACCELERATOR": "cpu", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore",
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]), **(more or {}),
        }  # fmt: skip
        return run_watched(
            words, place=place or self._root, environment=variables, log=log,
            limit=limit or self._limit, cold=self._cold if cold is None else cold,
        )  # fmt: skip


def _list_names() -> None:
    from benchmarks import hostile_inputs
    from benchmarks.hostile_inputs.place import ALL

    found: dict[str, str] = {}
    for module in hostile_inputs.MODULES:
        importlib.import_module(f"benchmarks.hostile_inputs.{module}")
        found = dict.fromkeys(ALL, module) | found
    print(json.dumps(found))


def _make(module: str, name: str, place: Place) -> None:
    from benchmarks.hostile_inputs.place import ALL

    importlib.import_module(f"benchmarks.hostile_inputs.{module}")
    words = ALL[name](place)
    print(json.dumps({"words": words, "more": place.more, "forbidden": place.forbidden}))


def _problems(done: Outcome, limit: float) -> list[str]:
    """What of a command's end and of what it said is not as it should be."""
    found = []
    if done.timed_out:
        found.append(f"still ran after {limit:g} s")
    elif done.code not in (0, 1, 2):
        found.append(f"ended with code {done.code}")
    text = done.err.decode("utf-8", "replace")
    if "Traceback" in text or (
        done.code == 1 and "problem" not in done.out.decode("utf-8", "replace")
    ):
        found.append("traceback" if "Traceback" in text else "code 1 without a reason")
    if done.code == 2 and len(re.findall(r"^(?:vlsuite[\w ]*: )?error: ", text, re.MULTILINE)) != 1:
        found.append("code 2 without one line")
    if done.peak_bytes > _GOAL_BYTES:
        found.append(f"{done.peak_bytes / 1e9:.2f} GB")
    if done.cpu_seconds > _GOAL_SECONDS:
        found.append(f"{done.cpu_seconds:.1f} s")
    for what, data in (("out", done.out), ("err", done.err)):
        found += _seen(what, data)
    return found


def _seen(what: str, data: bytes) -> list[str]:
    found = []
    text = data.decode("utf-8", "backslashreplace")
    if obeyed := _OBEYED.search(text):
        found.append(f"{what} holds {text[max(0, obeyed.start() - 20) : obeyed.end() + 9]!a}")
    if PASSWORD in text:
        found.append(f"{what} holds the password")
    return found


def _seen_in(target: Path) -> list[str]:
    """Of everything that the command wrote for people."""
    files = {path for pattern in _SHOWN for path in target.rglob(pattern) if path.is_file()}
    found = []
    for path in sorted(files):
        if path.name == "credentials.json":
            if path.stat().st_mode & 0o077:
                found.append("credentials.json can be read by others")
            continue
        if path.stat().st_size < 20_000_000 and "inputs" not in path.parts:
            found += _seen(path.name, path.read_bytes())
    return found


def _last_line(err: bytes) -> str:
    lines = err.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _figures(rows: list[dict[str, Any]], base: dict[str, Any]) -> dict[str, Any]:
    kinds = Counter(row["name"].split(":")[0] for row in rows)
    survived = [row for row in rows if not row["problems"]]
    slowest = max(rows, key=lambda row: row["seconds"])
    largest = max(rows, key=lambda row: row["peak_mb"])
    return {
        "kinds": dict(kinds),
        "tried": len(rows),
        "survived": len(survived),
        "worst_peak_mb": largest["peak_mb"],
        "worst_peak_case": largest["name"],
        "worst_seconds": slowest["seconds"],
        "worst_seconds_case": slowest["name"],
        "worst_cpu_seconds": max(row["cpu_seconds"] for row in rows),
        "goal": {"peak_mb": 1500, "seconds": 10, "survived": "all"},
        "base": base,
        "not_survived": {row["name"]: row["problems"] for row in rows if row["problems"]},
        "cases": rows,
        "finished": time.strftime("%Y-%m-%d"),
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    print(f"{'kind':18} {'tried':>5} {'survived':>8} {'most MB':>8} {'most s':>7}")
    for kind in dict.fromkeys(row["name"].split(":")[0] for row in rows):
        own = [row for row in rows if row["name"].startswith(f"{kind}:")]
        survived = sum(not row["problems"] for row in own)
        print(f"{kind:18} {len(own):5} {survived:8} {max(r['peak_mb'] for r in own):8} "
              f"{max(r['seconds'] for r in own):7.2f}")  # fmt: skip


if __name__ == "__main__":
    run_as_program(main)
