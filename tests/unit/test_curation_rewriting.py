"""``vlsuite curate rewrite`` against a real chat endpoint on loopback."""

import json
import os
import signal
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from benchmarks.support.omni_server import FaultPlan, OmniServer
from data_pipelines.captions.column_file import CaptionColumn
from data_pipelines.curation.rewriting.answers import plain, verdict_of
from data_pipelines.curation.rewriting.rewrite import Rewriting
from data_pipelines.curation.rewriting.styles import STYLES, style_of
from data_pipelines.curation.rewriting.writer import Written
from data_pipelines.errors import ConfigError, DataError
from eval.respondents.answer_journal import AnswerJournal
from eval.respondents.caption_writer import EndpointWriter
from eval.respondents.chat_client import ChatClient
from eval.respondents.cost import Price
from eval.respondents.endpoint_config import EndpointConfig, EndpointLimits
from eval.respondents.retry import Backoff
from tests.support.curation import files_of, table_of
from vlsuite.cli.main import main

ROWS = (
    [{"caption": f"a dog of {n} years"} for n in range(5)],
    [{"caption": "a dog of 0 years"}, {"caption": None, "caption_verdict": "no caption"}],
    [{"caption": text} for text in ("a cat", "a dog of 0 years", "a cat", "please refuse")],
)
DISTINCT = 5 + 1 + 3  # a shard at a time


def said_again(request: dict) -> str:
    """The caption in capitals, with the manners of chat models."""
    prompt = request["messages"][0]["content"][0]["text"]
    caption = prompt.rpartition("Caption: ")[2]
    return f'<think>what is {caption}?</think>\nHere it is:\n\n"{caption.upper()}"'


@pytest.fixture
def table(tmp_path):
    return table_of(tmp_path / "shards" / "curation", ROWS)


def rewriting(table, url, *, name="medium", style="medium", **given):
    limits = EndpointLimits(
        concurrency=given.pop("concurrency", 3),
        timeout=5.0,
        backoff=Backoff(base=0.001, tries=given.pop("tries", 5)),
        max_cost=given.pop("max_cost", None),
    )
    client = ChatClient(
        config=EndpointConfig(url=url, model="m", max_tokens=given.pop("max_tokens", 64)),
        limits=limits,
        price=given.pop("price", Price()),
    )
    writer = EndpointWriter(client)
    return Rewriting(table=table, writer=writer, style=style_of(style), name=name, **given)


def column_of(folder):
    column = CaptionColumn(folder)
    return [list(column.texts(number)) for number in range(len(column.shards))]


def test_every_row_has_its_new_caption_or_a_reason(table):
    with OmniServer(said_again, keep_bodies=True) as server:
        server.refuse = "please refuse"
        work = rewriting(table, server.url)
        estimate = work.estimate()
        report = work.run()
    assert (estimate.captions, estimate.shards) == (DISTINCT, 3)
    assert (report.rows, report.rewritten, report.reasons) == (
        11,
        9,
        {"no caption": 1, "refused": 1},
    )
    expected = [
        [None if row["caption"] in (None, "please refuse") else row["caption"].upper() for row in r]
        for r in ROWS
    ]
    assert column_of(report.folder) == expected
    assert len(server.ledger.bodies) == DISTINCT  # equal captions of a shard are asked once
    asked = json.loads(server.ledger.bodies[0])
    assert asked["messages"][0]["content"][0]["text"] == STYLES["medium"].asked("a dog of 0 years")
    rows = [row for path in sorted(report.folder.glob("*.parquet")) for row in _rows(path)]
    assert [row["original"] for row in rows] == [r["caption"] for part in ROWS for r in part]
    assert [row["uid"] for row in rows][:2] == ["00000.tar-0", "00000.tar-1"]
    assert Counter(row["reason"] for row in rows) == {None: 9, "no caption": 1, "refused": 1}
    stored = json.loads((report.folder / "rewrite.json").read_text())
    assert stored["made"]["model"] == "m"
    assert "encyclopedia" in stored["made"]["prompt"]
    assert stored["rewritten"] == 9


def _rows(path):
    return parquet.read_table(path).to_pylist()


def test_faults_and_restarts_change_no_byte_and_ask_nothing_twice(table, tmp_path):
    with OmniServer(said_again) as server:
        whole = rewriting(table, server.url, name="whole").run()
    plan = FaultPlan(
        rates={"429": 0.2, "500": 0.2, "cut": 0.2, "malformed": 0.2},
        faulty_tries=2,
        retry_after=0.01,
    )
    with OmniServer(said_again, plan=plan) as server:
        for stop_after in (0, 1, 2):
            work = rewriting(table, server.url, name="other", concurrency=1)
            with pytest.raises(_Stop):
                work.run(advance=_stopping(stop_after))
            left = rewriting(table, server.url, name="other").estimate()
            assert left.captions == DISTINCT - server.ledger.delivered.total()
        report = rewriting(table, server.url, name="other", concurrency=4).run()
        again = rewriting(table, server.url, name="other")
        assert again.estimate().captions == 0
        before = server.ledger.received.total()
        assert again.run().num_written == 0
        assert server.ledger.received.total() == before
    assert server.ledger.delivered.total() == DISTINCT
    found, expected = files_of(report.folder), files_of(whole.folder)
    for name in expected:
        if name != "column.captions":  # holds its name
            assert found[name] == expected[name].replace(b'"name": "whole"', b'"name": "other"')
    assert column_of(report.folder) == column_of(whole.folder)
    assert CaptionColumn(report.folder).digest == CaptionColumn(whole.folder).digest


class _Stop(BaseException):
    """As a signal."""


def _stopping(after):
    left = iter(range(after))

    def advance():
        if next(left, None) is None:
            raise _Stop

    return advance


def killed_run(words, stop_after):
    """In a process of its own, which is killed in the middle of the answers."""
    from eval.respondents import caption_writer

    plain_written, left = caption_writer._written, iter(range(stop_after))

    def counted(response):
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain_written(response)

    caption_writer._written = counted
    main(words)


def test_killed_and_run_again_gives_the_same_bytes(table):
    folder = table.folder / "captions" / "easy"
    with OmniServer(said_again) as server:
        words = ["curate", "rewrite", str(table.folder.parent), "--endpoint", server.url]
        words += ["--model", "m", "--style", "easy", "--yes", "--concurrency", "1"]
        for stop_after in (2, 3, 1):
            child = get_context("fork").Process(target=killed_run, args=(words, stop_after))
            child.start()
            child.join(60)
            assert child.exitcode == -signal.SIGKILL
        assert main(words) == 0
        delivered = server.ledger.delivered
    with OmniServer(said_again) as server:
        once = rewriting(table, server.url, style="easy", name="once", max_tokens=160).run()
    assert DISTINCT <= delivered.total() <= DISTINCT + 3  # one was on its way at each kill
    assert column_of(folder) == column_of(once.folder)
    for path in folder.glob("*.parquet"):
        assert path.read_bytes() == (once.folder / path.name).read_bytes()
    assert not list((folder / "answers").iterdir())


def test_failed_captions_are_asked_again_and_no_others(table):
    with OmniServer(said_again) as server:
        server.fail = "a cat"
        first = rewriting(table, server.url, tries=1).run()
        assert first.reasons == {"no caption": 1, "failed": 2}
        assert column_of(first.folder)[2][0] is None
        sent = server.ledger.received.total()
        server.fail = None
        second = rewriting(table, server.url)
        assert second.estimate().captions == 1
        report = second.run()
        assert report.reasons == {"no caption": 1}
        assert server.ledger.received.total() == sent + 1
        assert column_of(report.folder)[2][0] == "A CAT"


def test_only_kept_rows_are_asked_and_more_of_them_later(table, tmp_path):
    kept = tmp_path / "kept.parquet"
    rows = {"uid": ["x", "y"], "shard": ["00000.tar", "00002.tar"], "row": [3, 0]}
    parquet.write_table(pa.table(rows), kept)
    with OmniServer(said_again) as server:
        report = rewriting(table, server.url, kept=kept).run()
        assert (report.rewritten, report.reasons["not chosen"]) == (2, 9)
        assert server.ledger.received.total() == 2
        more = rewriting(table, server.url)
        assert more.estimate().captions == DISTINCT - 2
        assert more.run().rewritten == 10


def test_money_is_told_first_and_bounded(table, tmp_path, capsys):
    prompt = tmp_path / "own.txt"
    prompt.write_text("Say again: {caption}")
    words = ["curate", "rewrite", str(table.folder), "--model", "m", "--style", "qa"]
    with OmniServer(said_again) as server:
        words += ["--endpoint", server.url, "--price-in", "1000", "--price-out", "1000"]
        assert main(words) == 2
        told = capsys.readouterr()
        assert f"{DISTINCT} captions of 3 shards" in told.out
        assert "cost about" in told.out
        assert told.err.startswith("error: nothing was asked; go on with --yes")
        assert server.ledger.received.total() == 0
        assert main([*words, "--max-cost", "0.7"]) == 2  # an answer may cost 0.3
        assert "--max-cost 0.7" in capsys.readouterr().err
        assert 0 < server.ledger.received.total() < DISTINCT
        assert main([*words, "--yes"]) == 0
        assert server.ledger.delivered.total() == DISTINCT
        assert "data.captions=own," in capsys.readouterr().out
        plain_words = [word for word in words if word not in ("--style", "qa")]
        more = ["--name", "qa", "--prompt", str(prompt)]
        assert main([*plain_words, *more]) == 2
        assert "made otherwise" in capsys.readouterr().err
        assert main([*plain_words, *more, "--overwrite"]) == 2
        assert "nothing was asked" in capsys.readouterr().err
    assert (table.folder / "captions" / "qa" / "rewrite.json").is_file()


def test_another_making_is_refused_unless_it_replaces(table):
    with OmniServer(said_again) as server:
        first = rewriting(table, server.url)
        first.run()
        other = rewriting(table, server.url, max_tokens=65)
        with pytest.raises(DataError, match=r"max_tokens 64 instead of 65.*--overwrite"):
            other.run()
        other.refuse_others(overwrite=True)
        assert other.run().num_written == 3
    moved = rewriting(table, "http://127.0.0.1:1/v1", max_tokens=65)  # the address does not count
    assert moved.run().num_written == 0
    with pytest.raises(ConfigError, match="cannot name captions"):
        rewriting(table, server.url, name="own")


def test_two_commands_do_not_ask_for_the_same_column(table):
    with OmniServer(said_again) as server:
        outer = rewriting(table, server.url)
        inner = rewriting(table, server.url)

        def again():
            with pytest.raises(DataError, match="another command is rewriting"):
                inner.run()

        outer.run(advance=again)


def test_a_journal_drops_what_a_kill_cut_off(tmp_path):
    path = tmp_path / "answers" / "00000.jsonl"
    journal = AnswerJournal(path)
    journal.put("a", {"text": "one", "input_tokens": 3})
    journal.put("b", {"text": "two\nlines \u2028", "output_tokens": 1})
    journal.close()
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        journal = AnswerJournal(path)
        lines = whole[:cut].count(b"\n")
        assert [journal.get(key) is not None for key in "ab"] == [lines > 0, lines > 1]
        journal.put("b", {"text": "two\nlines \u2028", "output_tokens": 1})
        journal.close()
        journal = AnswerJournal(path)
        assert journal.get("b") == {"text": "two\nlines \u2028", "output_tokens": 1}
        journal.close()


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("  A dog.\n", "A dog."),
        ("Here is the caption:\nA dog\n on grass", "A dog on grass"),
        ('Caption: "A dog"', "A dog"),
        ("**New caption:** A dog", "**New caption:** A dog"),
        ("\u201cA dog\u201d", "A dog"),
        ('"A dog" and "a cat"', '"A dog" and "a cat"'),
        ("'Tis a dog's life'", "'Tis a dog's life'"),
        ("Image with caption: x", "Image with caption: x"),
        ("Question: What?\nAnswer: A dog.", "Question: What? Answer: A dog."),
        ('"', '"'),
        ("", ""),
    ],
)
def test_what_is_written_around_a_caption_goes(text, caption):
    assert plain(text) == caption


def test_answers_that_are_no_captions_have_a_reason():
    assert verdict_of(Written(0, "A dog", "cut"), "x").reason == "cut"
    assert verdict_of(Written(0, " \n"), "x").reason == "empty"
    assert verdict_of(Written(0, "a  dog"), "a dog").reason == "unchanged"
    assert verdict_of(Written(0, "a" * 9000), "x").reason == "too long"
    assert verdict_of(Written(0, "a\x00 dog"), "x") == ("a dog", "")


def test_prompts_of_ones_own_are_checked(tmp_path: Path):
    own = tmp_path / "own.txt"
    own.write_text("Say shorter: {caption}\n")
    assert style_of(None, own).asked("a {caption} dog") == "Say shorter: a {caption} dog"
    own.write_text("Say shorter")
    with pytest.raises(ConfigError, match=r"needs \{caption\} once"):
        style_of(None, own)
    with pytest.raises(ConfigError, match="cannot read the prompt"):
        style_of(None, tmp_path / "none.txt")
    with pytest.raises(ConfigError, match="exclude each other"):
        style_of("easy", own)
    with pytest.raises(ConfigError, match="unknown style 'loud'"):
        style_of("loud")


@pytest.mark.parametrize("damage", ["cut", "longer", "other", "digest", "none"])
def test_damaged_columns_are_refused_in_one_line(table, damage):
    with OmniServer(said_again) as server:
        path = rewriting(table, server.url).run().folder / "column.captions"
    whole = path.read_bytes()
    if damage == "none":
        path.unlink()
    else:
        path.write_bytes(
            {
                "cut": whole[:-30],
                "longer": whole[:19] + b"x" + whole[19:],
                "other": b"PK" + whole,
                "digest": whole.replace(b'"digest": "', b'"digest": "f'),
            }[damage]
        )
    with pytest.raises(DataError) as refused:
        CaptionColumn(path)
    assert "vlsuite curate rewrite" in str(refused.value)
