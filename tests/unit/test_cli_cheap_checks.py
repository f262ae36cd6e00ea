"""A mistake that is cheap to find is told before torch is imported, and leaves nothing behind.

The commands run in a process of their own, each in a fork of it, where importing torch fails.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

#: Commands by their mistake, and what has to be said. "model" and "empty" are folders that are
#: there, "photos" has a picture, "file" is a file, "gone" and "missing" are not there.
_MISTAKES = {
    "train emojy": "unknown recipe 'emojy'; closest: emoji",
    "train emoji --set data.train=gone": "gone",
    "train --resume --out gone": "nothing to resume",
    "eval model --data empty --task zeroshot": "closest: zero_shot",
    "eval nope --data empty": "there is no folder 'nope' here, and unknown architecture 'nope'",
    "eval gone/run --data empty": "no such folder: gone/run",
    "eval ./gone --data empty": "no such folder: ./gone",
    "eval file --data empty": "file is a file; weights are named with their architecture",
    "eval local-dir:gone --data empty": "'vlsuite export RUN' writes one",
    "eval ViT-B-33:openai --data empty": "unknown architecture 'ViT-B-33' (closest: ViT-B-32",
    "eval nope://host#m --data empty": "unknown kind of model 'nope'",
    "eval model --data gone": "no shard matches gone",
    "eval model --data empty --ood gone": "no shard matches gone",
    "eval model --data empty --templates nope": "known sets: cifar10, imagenet",
    "eval model --data empty --class-names gone": "gone does not exist",
    "eval model --data empty --subset gone": "--subset gone does not exist",
    "eval model --data empty --cache c --no-cache": "leave one of them out",
    "eval compare gone empty": "gone is no folder of results",
    "eval compare nope model --data empty": "unknown architecture 'nope'",
    "detect gone cat --model model --out out": "gone does not exist",
    "detect photos cat --model nothere --out out": "there is no folder 'nothere' here",
    "detect photos --model model --out out": "nothing to look for",
    "detect photos cat --model model --out out --names-from gone": "cannot read names from gone",
    "detect photos --like gone.png --model model --out out": "picture gone.png",
    "detect photos cat --model model --out out --threshold -1": "give 0 or more",
    "detect photos cat --model model --out out --prompts gone": "neither a file",
    "embed gone --model model --out out": "gone does not exist",
    "embed photos --model nope --out out": "unknown architecture 'nope'",
    "search gone cat": "gone",
    "search empty": "nothing to search for",
    "search empty cat --page missing/x.html": "there is no folder missing",
    "search empty gone.jpg": "picture gone.jpg does not exist",
    "classify photos --names cat --model model --out o.csv": "'cat' alone is given",
    "classify photos --model model --out o.csv": "none is given",
    "classify gone --names a,b --model model --out o.csv": "gone does not exist",
    "classify photos --names a,b --model model --out missing/o.csv": "there is no folder missing",
    "classify photos --names a,b --model model --out o.csv --templates nope": "known sets",
    "caption photos --model nope --out o.csv": "unknown architecture 'nope'",
    "omnibench run gone --model model --out out": "gone",
    "omnibench score gone gone": "gone",
    "omnibench compare gone a b": "gone",
    "report gone": "gone does not exist",
    "report empty --out missing/x.html": "there is no folder missing",
    "study noise gone --out out": "gone does not exist",
    "study noise --report-only --out gone": "gone does not exist",
    "study detection --out out --modes nope": "nope",
    "study detection --out out --backgrounds gone": "no shard matches gone",
    "study mixture a=gone --out out": "gone does not exist",
    "xmai detect gone --tagger model --out s.jsonl": "gone does not exist",
    "xmai detect empty --tagger nope --out s.jsonl": "unknown architecture 'nope'",
    "xmai perturb empty --out out": "--detections FILE",
    "xmai perturb empty --detections gone --out out": "--detections gone does not exist",
    "xmai quality gone.jsonl": "gone.jsonl does not exist",
    "xmai page gone.jsonl --data empty": "gone.jsonl does not exist",
    "xmai upstream gone": "gone",
    "export nope": "unknown architecture 'nope'",
    "export model --names gone --out out": "--names gone does not exist",
    "cache nope": "nope",
    "data validate gone": "no shard (.tar) at gone",
    "data index gone": "no shard (.tar) at gone",
    "data inspect empty --contact-sheet missing/x.png": "there is no folder missing",
    "data tokenizer gone --vocab-size 100 --out out": "no shard (.tar) at gone",
    "data noise gone --out out": "gone",
    "data concepts empty --model nope --from-captions 2 --out o": "unknown architecture 'nope'",
    "data concepts empty --model model --concepts gone --out o": "--concepts gone does not exist",
    "data concepts http://h/a.tar --model model --from-captions 2 --out o": "copy them here first",
    "data image-tokens --recipe nope --out out": "unknown recipe 'nope'",
    "data image-tokens --set data.train=gone --out out": "no shard matches gone",
    "data region-embeddings --localizer nope --out out": "unknown architecture 'nope'",
    "data sounds gone --member mp3 --out out": "gone",
    "data ingest gone.parquet --out out": "no list at gone.parquet",
    "data ingest names.json --out out": "names.json",
    "data build table --table gone.csv --out out": "gone.csv",
    "curate scan gone": "gone",
    "curate run nope empty --out out": "empty",
    "curate score gone --model model": "gone",
    "curate embed gone --model model": "gone",
    "curate why abc empty": "no finished run",
    "curate subset --show gone": "gone",
    "curate clean gone --out out": "gone",
    "curate reshard empty --subset gone --out out": "gone",
    "curate diff empty empty": "no finished run",
    "completion nope": "there is no 'nope'",
    "doctor --nope": "unknown option --nope",
}

_PROGRAM = """
import json, os, sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise RuntimeError("torch was imported")

from vlsuite.cli import main
main.build_parser(*main.COMMANDS)
import pyarrow.dataset, pyarrow.parquet, PIL.Image  # once for all forks
assert "torch" not in sys.modules
sys.meta_path.insert(0, NoTorch())
for command in json.load(sys.stdin):
    before = {top for top, *_ in os.walk(".")}
    pid = os.fork()
    if not pid:
        out = os.open("../err", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(out, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 99
        try:
            code = main.main(command.split())
        finally:
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    left = sorted({top for top, *_ in os.walk(".")} - before)
    print(json.dumps([command, code, open("../err").read(), left]))
    sys.stdout.flush()
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Exit code, standard error and new folders of each command."""
    folder = tmp_path_factory.mktemp("cheap") / "here"
    for name in ("model", "empty", "photos"):
        (folder / name).mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "photos" / "a.png")
    (folder / "file").write_text("x")
    (folder / "names.json").write_text('{"no": "list"}')
    places = [os.getcwd(), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        input=json.dumps(list(_MISTAKES)),
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ
        | {"XDG_CACHE_HOME": str(folder.parent / "cache"), "PYTHONPATH": os.pathsep.join(places)},
    )
    assert done.returncode == 0, done.stderr
    return {command: rest for command, *rest in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("command", _MISTAKES)
def test_it_is_one_line_without_torch(answers, command):
    code, said, left = answers[command]
    assert code == 2, said
    assert said.startswith("error: "), said
    assert said.count("\n") == 1, said
    assert _MISTAKES[command] in said
    assert left == []


def test_every_command_has_a_mistake():
    from vlsuite.cli.main import COMMANDS

    assert {command.split()[0] for command in _MISTAKES} == set(COMMANDS)


def test_known_architectures_are_those_of_open_clip():
    import open_clip
    from open_clip import factory

    from vlsuite.models import name_check

    # Other tests may have added some of theirs behind open_clip's own.
    theirs = [Path(factory.__file__).parent / "model_configs", name_check.OWN_CONFIGS]
    added = set(open_clip.list_models()) - {
        path.stem for folder in theirs for path in folder.glob("*.json")
    }
    loaded = sys.modules.pop("open_clip")
    try:
        known = name_check._architectures()
    finally:
        sys.modules["open_clip"] = loaded
    own = {path.stem for path in name_check.OWN_CONFIGS.glob("*.json")}
    assert known == (set(open_clip.list_models()) - added) | own
    assert own


def test_named_sets_of_templates_are_known_without_their_texts():
    from data_pipelines import prompts
    from eval.zero_shot import templates

    assert set(prompts.TEMPLATE_SETS) == set(templates.TEMPLATE_SETS)


def test_names_of_tasks_are_those_that_register():
    from eval.task_registry import refuse_unknown_task
    from eval.tasks import registry

    for name in ("auto", "all", *registry.names()):
        refuse_unknown_task(name)
    assert registry.get("zero_shot").facts.rows is not None
