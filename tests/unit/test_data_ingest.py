"""Lists of addresses to shards, against a real server with real faults."""

import json
import resource
import socket
import subprocess
import sys
import tarfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet

from data_pipelines.errors import DataError
from data_pipelines.ingest.addresses import is_public
from data_pipelines.ingest.hosts import MOST_FAILURES
from data_pipelines.ingest.run import ingest
from data_pipelines.ingest.settings import (
    FetchSettings,
    ListSettings,
    PictureSettings,
    RunSettings,
)
from data_pipelines.shards.manifest import Manifest
from tests.support.curation import files_of
from tests.support.picture_server import serving
from vlsuite.batches.pictures import open_picture

QUICK = FetchSettings(
    allow_private=True, timeout=30.0, retries=1, max_wait=1.0, connections=8, host_rate=0.0,
    max_bytes=1 << 20,
)  # fmt: skip


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("data_pipelines.ingest.fetch._FIRST_WAIT", 0.01)
    with serving() as state:
        yield state


def _fetched(folder: Path, urls, *, out="out", fetch=QUICK, rows=None, **run):
    path = folder / "urls.txt"
    path.write_text("".join(f"{url}\n" for url in urls))
    return ingest(
        [path],
        folder / out,
        open_picture,
        rows=rows or ListSettings(),
        fetch=fetch,
        run=RunSettings(**{"min_success": 0.0, **run}),
    )


def _table(folder: Path) -> list[dict]:
    parts = sorted((folder / "rows").glob("*.parquet"))
    return [row for part in parts for row in parquet.read_table(part).to_pylist()]


def _statuses(folder: Path) -> dict[str, str]:
    return {row["url"].partition("/")[2].partition("/")[2]: row["status"] for row in _table(folder)}


def _fates(server, tmp_path, paths, **settings) -> dict[str, str]:
    """Status by path, with one good picture besides."""
    with suppress(DataError):  # none gave a picture
        _fetched(tmp_path, [server.url(path) for path in ("/0.jpg", *paths)], **settings)
    return {
        "/" + row["url"].split("/", 3)[3]: f"{row['status']}|{row['error'] or ''}"
        for row in _table(tmp_path / "out")
    }


FAULTS = {
    "/0.jpg": "ok|",
    "/endless": "too large|over 1048576 bytes",
    "/packed-bomb": "too large|over 1048576 bytes",
    "/packed": "ok|",
    "/large": "too large|over 1048576 bytes",
    "/cut": "wrong length|the body ends early",
    "/closed": "connection|closed by the server",
    "/empty": "not an image|an empty body",
    "/html": "not an image|begins as no picture does",
    "/bomb.png": "too many pixels|far over 64000000",
    "/gone": "http 404|",
    "/down": "http 503|",
    "/wait-long": "http 429|",
    "/loop": "redirects|a loop",
    "/moved": "ok|",
    "/moved-file": "redirects|to another kind of address",
    "/noai": "opt-out header|X-Robots-Tag: noai",
    "/noai-for-others": "ok|",
    "/tdm": "opt-out header|TDM-Reservation: 1",
    "/busy": "ok|",
    "/flaky": "ok|",
}


def test_every_fault_has_its_name(server, tmp_path):
    fates = _fates(server, tmp_path, [*list(FAULTS)[1:], "/half-picture"])
    assert fates.pop("/half-picture").startswith("truncated image|")
    assert fates == FAULTS
    assert server.asked["/down"] == 2  # tried again, once
    assert server.asked["/wait-long"] == 1  # an hour is not waited for
    assert server.asked["/gone"] == 1


def test_a_slow_server_costs_the_timeout(server, tmp_path):
    quick = FetchSettings(allow_private=True, timeout=0.3, retries=0)
    assert _fates(server, tmp_path, ["/slow"], fetch=quick)["/slow"] == "timeout|"


def test_robots_txt_is_asked_first_and_heeded(server, tmp_path):
    server.robots = (200, "User-agent: *\nAllow: /\n\nUser-agent: vlsuite\nDisallow: /secret\n")
    fates = _fates(server, tmp_path, ["/secret/1.jpg", "/secret/2.jpg", "/moved-robots", "/2.jpg"])
    assert fates["/secret/1.jpg"] == fates["/moved-robots"] == "robots.txt|disallowed"
    assert fates["/2.jpg"] == "ok|"
    assert server.asked["/robots.txt"] == 1
    assert next(iter(server.asked)) == "/robots.txt"
    assert "/secret/1.jpg" not in server.asked
    assert all(agent.startswith("vlsuite/") for agent in server.agents)


@pytest.mark.parametrize(
    ("answer", "fate"),
    [
        ((503, ""), "robots.txt unreachable|http 503"),
        ((429, ""), "robots.txt unreachable|http 429"),
        ((403, ""), "ok|"),
        ((200, "User-agent: *\nCrawl-delay: 60\n"), "crawl delay too long|60 s"),
    ],
)
def test_robots_txt_that_cannot_be_had(server, tmp_path, answer, fate):
    server.robots = answer
    assert _fates(server, tmp_path, ["/1.jpg"])["/1.jpg"] == fate


def test_a_dead_host_is_given_up(server, tmp_path):
    patient = FetchSettings(allow_private=True, robots=False, retries=1, host_connections=1)
    path = tmp_path / "urls.txt"
    path.write_text("".join(f"{server.url('/closed')}?{i}\n" for i in range(40)))
    with pytest.raises(DataError, match="--retry-failed asks again"):
        ingest([path], tmp_path / "out", open_picture, fetch=patient)
    assert {row["status"] for row in _table(tmp_path / "out")} == {"connection"}
    assert len(server.asked) == MOST_FAILURES  # the client itself asks twice
    assert {row["error"] for row in _table(tmp_path / "out")} == {"closed by the server"}


def test_robots_txt_can_be_left_alone(server, tmp_path):
    server.robots = (200, "User-agent: *\nDisallow: /\n")
    asks_none = FetchSettings(allow_private=True, robots=False)
    assert _fates(server, tmp_path, ["/1.jpg"], fetch=asks_none)["/1.jpg"] == "ok|"
    assert server.asked["/robots.txt"] == 0


def test_private_addresses_are_refused_before_and_after_names_and_redirects(server, tmp_path):
    urls = [server.url("/1.jpg", host=host) for host in ("127.0.0.1", "localhost", "[::1]")]
    with pytest.raises(DataError, match="no row of the lists gave a picture"):
        _fetched(
            tmp_path,
            [*urls, "http://10.1.2.3/", "http://[::ffff:10.0.0.1]/"],
            fetch=FetchSettings(),
        )
    fates = [row["status"] for row in _table(tmp_path / "out")]
    assert set(fates) == {"private address"}
    assert not server.asked


def test_redirects_and_names_that_lead_to_private_addresses(server, tmp_path, monkeypatch):
    def is_open(address):
        return address == "127.0.0.1" or is_public(address)

    def looked_up(host, port, family):
        found = {"mixed.example": ("10.0.0.1", "127.0.0.1"), "inner.example": ("192.168.0.1",)}
        if host not in found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        one = {"hostname": host, "port": port, "family": socket.AF_INET, "proto": 6, "flags": 0}
        return [{**one, "host": address} for address in found[host]]

    monkeypatch.setattr("data_pipelines.ingest.fetch.is_public", is_open)
    monkeypatch.setattr("data_pipelines.ingest.addresses.is_public", is_open)
    monkeypatch.setattr("data_pipelines.ingest.addresses._addresses", looked_up)
    urls = [
        server.url("/1.jpg"),
        server.url("/moved-private"),
        *(server.url("/2.jpg", host=f"{name}.example") for name in ("mixed", "inner", "gone")),
        f"https://127.0.0.1:{server.port}/1.jpg",
    ]
    _fetched(tmp_path, urls, fetch=FetchSettings(timeout=30.0, retries=0))
    fates = [f"{row['status']}|{row['error'] or ''}" for row in _table(tmp_path / "out")]
    assert fates[:5] == [
        "ok|",
        "private address|not asked; --allow-private would",
        "ok|",
        "private address|the name leads to a private address (of robots.txt)",
        "dns|Name or service not known (of robots.txt)",
    ]
    assert fates[5].startswith("tls|")


def test_limits_of_one_host(server, tmp_path):
    fetch = FetchSettings(allow_private=True, robots=False, host_connections=2, host_rate=50.0)
    _fetched(tmp_path, [server.url(f"/{i}.jpg") for i in range(12)], fetch=fetch)
    assert server.most <= 2
    assert server.starts[-1] - server.starts[0] >= 11 / 50 * 0.9


def test_what_is_written(server, tmp_path):
    lines = [
        {"url": server.url("/1.jpg"), "text": "one", "score": 0.5},
        {"url": server.url("/gone"), "text": "gone", "score": 0.1},
        {"url": server.url("/moved"), "text": "  ", "score": None},
        {"url": server.url("/1.jpg"), "text": "one", "score": 0.7},
        {"url": "ftp://x/y.jpg", "text": "no web"},
        {"text": "nothing"},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + "{broken\n")
    out = tmp_path / "out"
    settings = ListSettings(caption_col="text", save_additional_columns=("score",))
    report = ingest(
        [path], out, open_picture, rows=settings, pictures=PictureSettings(image_size=16),
        fetch=QUICK,
    )  # fmt: skip
    assert (report.num_rows, report.num_pictures, report.skipped) == (6, 2, {"broken row": 1})
    rows = _table(out)
    assert [row["status"] for row in rows] == [
        "ok", "http 404", "ok", "duplicate row", "bad url", "no url"
    ]  # fmt: skip
    assert [row["score"] for row in rows[:3]] == ["0.5", "0.1", None]
    assert rows[2]["final_url"] == server.url("/1.jpg")
    with tarfile.open(out / "shard-000000.tar") as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar}
    first = rows[0]["uid"]
    assert list(members)[:3] == [f"{first}.jpg", f"{first}.txt", f"{first}.json"]
    fields = json.loads(members[f"{first}.json"])
    assert fields["captions"] == ["one"]
    assert fields["score"] == 0.5
    assert (fields["width"], fields["original_width"]) == (16, 24)
    assert fields["sha256"] == rows[0]["sha256"]
    manifest = Manifest.load(out)
    assert manifest.verify(out) == []
    assert manifest.num_samples + sum(manifest.skipped.values()) - 1 == 6
    assert not (out / "ingest" / "list").exists()


def test_workers_and_runs_give_the_same_bytes(server, tmp_path):
    urls = [server.url(f"/{i}.jpg") for i in range(9)] + [server.url("/gone"), server.url("/loop")]
    small = ListSettings(number_sample_per_shard=3)
    _fetched(tmp_path, urls, out="one", rows=small)
    _fetched(tmp_path, urls, out="two", rows=small, workers=2)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    asked = server.asked.total()
    report = _fetched(tmp_path, urls, out="two", rows=small)
    assert (report.num_new, report.num_pictures, report.statuses["http 404"]) == (0, 9, 1)
    assert server.asked.total() == asked


def test_only_failed_rows_are_retried(server, tmp_path):
    urls = [server.url(path) for path in ("/1.jpg", "/later", "/gone", "/2.jpg", "/3.jpg")]
    small = ListSettings(number_sample_per_shard=3)
    first = _fetched(tmp_path, urls, rows=small)
    assert first.statuses == {"ok": 3, "http 404": 1, "http 500": 1}
    server.healed = True
    server.asked.clear()
    again = _fetched(tmp_path, urls, rows=small, retry_failed=True, retry_status=("http 500",))
    assert again.statuses == {"ok": 4, "http 404": 1}
    assert set(server.asked) == {"/robots.txt", "/later"}
    assert again.num_new == 1
    assert again.not_met == ()
    whole = _fetched(tmp_path, urls, rows=small, out="whole")
    assert whole.statuses == again.statuses
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_a_status_that_no_failed_row_has_is_told(server, tmp_path):
    urls = [server.url(path) for path in ("/1.jpg", "/gone")] + ["ftp://example.org/2.jpg"]
    _fetched(tmp_path, urls)
    wanted = ("bad url", "http 404", "time out")
    again = _fetched(tmp_path, urls, retry_failed=True, retry_status=wanted)
    assert again.not_met == ("bad url", "time out")


@pytest.mark.parametrize(
    ("paths", "private", "told"),
    [
        (
            ("/gone", "/loop", "/gone?2"),
            True,
            r"\(2 x http 404, 1 x redirects\); .*--retry-f",
        ),
        (("/1.jpg", "/2.jpg"), False, r"\(2 x private address\).*with --allow-private --overwrite"),
        ((), True, r"\(1 x bad url\).*mend the list"),
    ],
)
def test_where_nothing_came_the_line_says_why(server, tmp_path, paths, private, told):
    urls = [server.url(path) for path in paths] or ["ftp://example.org/2.jpg"]
    with pytest.raises(DataError, match=told):
        _fetched(tmp_path, urls, fetch=replace(QUICK, allow_private=private))


def test_a_poor_shard_is_not_done_and_is_tried_again(server, tmp_path):
    later = [server.url(f"/later?{number}") for number in range(99)]
    urls = [server.url("/1.jpg"), *later, server.url("/gone")]
    told = r"1 of their 101 rows .* --min-success 0\.5 .*99 x http 500.* run it again"
    with pytest.raises(DataError, match=told):
        _fetched(tmp_path, urls, min_success=0.5)
    assert not (tmp_path / "out" / "manifest.json").exists()
    server.healed = True
    server.asked.clear()
    assert _fetched(tmp_path, urls, min_success=0.5).num_pictures == 100
    assert "/1.jpg" not in server.asked


def test_a_full_disk_ends_it_in_one_line_and_it_goes_on(server, tmp_path):
    urls = [server.url(f"/{number}.jpg") for number in range(30)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(DataError, match=r"cannot write .*free space"):
            _fetched(tmp_path, urls)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert _fetched(tmp_path, urls).num_pictures == 30


def test_other_settings_are_refused_in_one_line(server, tmp_path):
    _fetched(tmp_path, [server.url("/1.jpg")])
    with pytest.raises(DataError, match=r"\(--image-size: 512 then, 64 now\); .*--overwrite"):
        ingest(
            [tmp_path / "urls.txt"], tmp_path / "out", open_picture, fetch=QUICK,
            pictures=PictureSettings(image_size=64),
        )  # fmt: skip
    with pytest.raises(DataError, match=r"\(list 1 has another content than then\); .*--overwrite"):
        _fetched(tmp_path, [server.url("/2.jpg")])
    _fetched(tmp_path, [server.url("/2.jpg")], overwrite=True)
    assert [row["url"] for row in _table(tmp_path / "out")] == [server.url("/2.jpg")]


def test_a_mistake_before_the_first_shard_needs_no_overwrite(server, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(f"URL,TEXT\n{server.url('/1.jpg')},one\n")
    settings = {"fetch": QUICK, "run": RunSettings(min_success=0.0)}
    with pytest.raises(DataError, match="choose by --url-col"):
        ingest([path], tmp_path / "out", open_picture, rows=ListSettings(), **settings)
    named = ListSettings(url_col="URL", caption_col="TEXT")
    report = ingest([path], tmp_path / "out", open_picture, rows=named, **settings)
    assert report.num_pictures == 1


def test_a_list_of_broken_rows_alone_says_so(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("no object\n")
    with pytest.raises(DataError, match=r"no rows \(1 x broken row\); check the list"):
        ingest([path], tmp_path / "out", open_picture, fetch=QUICK)


def test_digests_of_the_list_are_held_against_the_bytes(server, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(f"url,md5\n{server.url('/1.jpg')},{'0' * 32}\n{server.url('/2.jpg')},\n")
    settings = ListSettings(verify_hash=("md5", "md5"))
    with pytest.raises(DataError, match="no row"):
        ingest(
            [path], tmp_path / "out", open_picture, rows=settings, fetch=QUICK,
            run=RunSettings(min_success=0.0),
        )  # fmt: skip
    assert [row["status"] for row in _table(tmp_path / "out")] == ["hash mismatch", "bad row"]


_WITHOUT_TORCH = """
import sys
from vlsuite.cli.main import main
code = main(sys.argv[1:])
assert "torch" not in sys.modules, "torch takes seconds to import"
sys.exit(code)
"""


def test_the_command_and_what_it_imports(server, tmp_path):
    (tmp_path / "cc.tsv").write_text(
        f"a dog\t{server.url('/1.jpg')}\na cat\t{server.url('/gone')}\n"
    )
    words = ["data", "ingest", tmp_path / "cc.tsv", "--out", tmp_path / "out", "--allow-private"]
    words += ["--columns", "caption,url", "--contact", "mailto:us@example.org", "--source", "cc"]
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("1 picture of 2 rows (50.0%) in 1 shard (1 written now)")
    assert lines[1:] == ["  1 x http 404"]
    assert all(agent.endswith(" (+mailto:us@example.org)") for agent in server.agents)
    manifest = Manifest.load(tmp_path / "out")
    assert (manifest.origin.source, manifest.skipped) == ("cc", {"http 404": 1})
