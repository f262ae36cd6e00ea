"""What is typed wrong is one line: what, where, what was meant; exit code 2."""

import argparse
import re
from collections.abc import Iterator

import pytest

from data_pipelines.settings import apply_overrides
from vlsuite.cli import main as program
from vlsuite.cli import train
from vlsuite.cli.main import main
from vlsuite.cli.parser import CommandParser
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.other_names import OTHER_NAMES
from vlsuite.errors import ConfigError

#: Where a setting of a sample value is expected to be read.
_SAMPLES = {
    "--set data.train=": "shards",
    "--set model.pretrained=": "weights.pt",
    "--set model.tokenizer=": "tokenizer",
    "--set objective=": "siglip",
    "--set precision=": "bf16",
}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("evel", "vlsuite: argument COMMAND: there is no 'evel'; did you mean 'eval'?"),
        ("evaluate", "vlsuite: argument COMMAND: there is no 'evaluate'; write vlsuite eval"),
        ("zzz", "there is no 'zzz'; choose from data, "),
        ("--jsn doctor", "vlsuite: unknown option --jsn"),
        ("--json doctor", "unknown option --json; write it last: vlsuite COMMAND ... --json"),
        ("--import", "--import: expected one argument; write --import FILE_OR_MODULE"),
        ("train emoji --lr 1e-3", "train: unknown option --lr; write --set optim.lr=1e-3 (see"),
        ("train emoji --lr=1e-3", "train: unknown option --lr; write --set optim.lr=1e-3 (see"),
        ("train --lr --data d emoji", "unknown option --lr; write --set optim.lr=VALUE"),
        ("train emoji --data x", "write --set data.train=x"),
        ("train emoji --batch-size 8", "write --set global_batch_size=8"),
        ("train emoji --epochs 3", "write --set duration=3epochs"),
        ("train emoji --output-dir runs/a", "write --out runs/a"),
        ("train emoji --resum", "unknown option --resum; did you mean --resume?"),
        ("data ingest l.txt --out o --time 3", "unknown option --time; did you mean --timeout?"),
        ("train emoji --zzz", "settings are changed with --set KEY=VALUE"),
        ("train emoji more", "vlsuite train: too many words: more"),
        ("eval runs/a --dataset d", "vlsuite eval: unknown option --dataset; write --data d"),
        ("eval runs/a --batch_size 3", "unknown option --batch_size; did you mean --batch-size?"),
        ("eval runs/a --zzz", "--set TASK.KEY=VALUE"),
        ("data", "vlsuite data: the following arguments are required: ACTION"),
        ("data bvild emoji", "vlsuite data: argument ACTION: there is no 'bvild'"),
        ("data build emojy --out x", "vlsuite data build: argument SOURCE: there is no 'emojy'"),
        ("data build emoji", "vlsuite data build emoji: the following arguments are required: --o"),
        ("data build emoji --out x --layout pears", "there is no 'pears'; did you mean 'pairs'?"),
        ("data validate p --workers 0", "argument --workers: 0 is not a positive whole number"),
        ("data validate p --workers x", "argument --workers: invalid positive value: 'x'"),
        ("report", "vlsuite report: the following arguments are required: RUN_DIR"),
        ("study noise s --zzz", "--list-methods"),
        ("xmai detect d", "vlsuite xmai detect: the following arguments are required: "),
        ("omnibench run q", "vlsuite omnibench run: the following arguments are required: "),
        ("export", "vlsuite export: the following arguments are required: RUN_OR_MODEL"),
        ("doctor --jsn", "vlsuite doctor: unknown option --jsn; did you mean --json?"),
    ],
)
def test_a_mistake_is_one_line(words, told, capsys):
    assert main(words.split()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: vlsuite")
    assert told in said.err
    assert said.err.count("\n") == 1
    if "--import" not in words:
        command = said.err.removeprefix("error: ").partition(":")[0]
        assert said.err.endswith(f"(see '{command} --help')\n")


@pytest.mark.parametrize("command", program.COMMANDS)
def test_every_parser_speaks_so(command):
    parsers = list(_all(program.build_parser(command)))
    assert len(parsers) > 1
    assert all(isinstance(parser, CommandParser) for parser in parsers)
    assert not any(parser.allow_abbrev for parser in parsers)


@pytest.mark.parametrize("command", program.COMMANDS)
def test_the_help_of_a_switch_that_is_on_says_so(command):
    for parser in _all(program.build_parser(command)):
        for action in parser._actions:
            if isinstance(action, argparse.BooleanOptionalAction) and action.default:
                assert "default:" in str(action.help), f"{parser.prog} {action.option_strings}"


def _all(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _all(inner)


def test_what_is_said_of_options_of_other_trainers_can_be_written():
    for option, told in train.FAMILIAR.items():
        prefix = told.partition("{}")[0]
        written = told.replace("{}", _SAMPLES.get(prefix, "1"))
        if "--set model.name" not in written:
            apply_overrides(TrainConfig(), [written.removeprefix("--set ")])
        assert option.startswith("--")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("lr=1", "unknown setting 'lr'; did you mean 'optim.lr'?"),
        ("optim.seed=1", "unknown setting 'optim.seed'; did you mean 'seed'?"),
        ("warmup=1", "unknown setting 'warmup'; did you mean 'optim.warmup_steps'?"),
        ("learning_rate=1e-3", "unknown setting 'learning_rate'; write optim.lr=1e-3"),
        ("epochs=3", "unknown setting 'epochs'; write duration=3epochs"),
        ("data.epochs=3", "unknown setting 'data.epochs'; write duration=3epochs"),
        ("every=1steps", "unknown setting 'every'; did you mean 'logging.every' or 'che"),
        ("zzz=1", "unknown setting 'zzz'; known: model, data,"),
    ],
)
def test_a_setting_that_belongs_elsewhere(override, told):
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}"):
        apply_overrides(TrainConfig(), [override])


def test_no_other_name_hides_a_setting():
    assert not OTHER_NAMES.keys() & TrainConfig.__dataclass_fields__.keys()


def test_version_is_one_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert re.fullmatch(
        r"vlsuite \d+\.\d\S*, torch \d+\.\d\S*, open_clip \d+\.\d\S*\n", capsys.readouterr().out
    )


def test_help_tells_of_the_version(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--version" in capsys.readouterr().out
