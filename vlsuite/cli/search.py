"""``vlsuite search``: the nearest pictures or texts among stored embeddings."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.inputs import refuse_missing_models
from vlsuite.cli.options import add_options, positive, read_options
from vlsuite.errors import ConfigError

if TYPE_CHECKING:
    from vlsuite.api.searching import SearchResult

HELP = """\
find pictures or texts among stored embeddings, by words or by a picture

  vlsuite search embeddings "a red car"
  vlsuite search embeddings photo.jpg --top 30 --page found.html
  vlsuite search embeddings "a dog" "a cat" --sheet found.png
  vlsuite search embeddings --uid 5f1c09aa31be0c1f5f1c09aa31be0c1f --json

A path of a picture that exists is meant as that picture; --text takes any words as words. Up to
--exact-below vectors all are compared, block by block in some 150 MB. Above, an index of faiss is
built once (its memory is said before) and kept in the cache folder: it looks at as many vectors as
the recall that was asked for takes, which is measured against all of them and shown.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchOptions:
    """What is searched for, in what, and how it is shown."""

    folder: Path = option("folder of 'vlsuite embed'", positional=True, metavar="DIR")
    queries: tuple[str, ...] = option(
        "words, or a picture", positional=True, default=(), metavar="QUERY"
    )
    text: tuple[str, ...] = option(
        "words, whatever they look like", default=(), repeated=True, metavar="WORDS"
    )
    uid: tuple[str, ...] = option(
        "neighbours of a stored sample; needs no model", default=(), repeated=True
    )
    among: str | None = option(
        "what is found (default: images where there are some)",
        default=None, choices=("images", "texts"),
    )  # fmt: skip
    top: int = option("how many are found for each query", default=10, reader=positive)
    model: str | None = option(
        "where the model of the embeddings is now (default: where it was)", default=None
    )
    index: str = option(
        "auto: exact for few vectors, else ivf", default="auto",
        choices=("auto", "exact", "ivf", "hnsw"),
    )  # fmt: skip
    exact_below: int = option("vectors up to which auto is exact", default=1_000_000)
    recall: float = option("share of the 10 nearest that an index finds at least", default=0.98)
    cache: Path | None = option(
        "folder that keeps indexes (default: ~/.cache/vlsuite/search)", default=None, metavar="DIR"
    )
    device: str | None = option("cpu, cuda, ... (default: cuda if there is one)", default=None)
    sheet: Path | None = option("write a contact sheet, a row a query", default=None, metavar="PNG")
    page: Path | None = option("write an HTML page", default=None, metavar="HTML")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    add_options(parser, SearchOptions)


def run(args: argparse.Namespace) -> int:
    """Search and show; returns the exit code.

    Raises:
        UserError: see ``vlsuite.search``.
    """
    options = read_options(args, SearchOptions)
    _check(options)
    from eval.search.found_files import write_page, write_sheet
    from vlsuite.api.search_queries import Query, as_query
    from vlsuite.api.searching import Searching, search_for

    how = Searching(
        top=options.top,
        among=options.among,
        index=options.index,
        exact_below=options.exact_below,
        recall=options.recall,
        model=options.model,
        device=options.device,
        cache=options.cache,
        with_pictures=options.sheet is not None or options.page is not None,
    )
    queries = [as_query(text) for text in options.queries]
    queries += [Query("text", text) for text in options.text]
    queries += [Query("uid", uid) for uid in options.uid]
    found = search_for(options.folder, queries, how, tell=_tell)
    if options.page is not None:
        write_page(
            options.page,
            found.answers,
            name=str(options.folder),
            model=found.embeddings.model,
            how=found.how,
            facts=_facts(found),
        )
    if options.sheet is not None:
        write_sheet(options.sheet, found.answers)
    _print(found, options)
    return 0


def _check(options: SearchOptions) -> None:
    """Everything that can be wrong without a model, before its libraries are imported."""
    from data_pipelines.embeddings.folder import open_embeddings
    from vlsuite.api.search_queries import as_query

    if not options.queries and not options.text and not options.uid:
        raise ConfigError("nothing to search for; give words, a picture or a uid")
    for text in options.queries:
        as_query(text)
    open_embeddings(options.folder)
    refuse_missing_models(options.model)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _facts(found: "SearchResult") -> list[tuple[str, str]]:
    embeddings = found.embeddings
    return [
        ("searched", str(embeddings.folder)),
        ("model", embeddings.model),
        ("vectors", f"{len(embeddings):,} of {' and '.join(embeddings.kinds)}"),
        ("numbers of a vector", str(embeddings.embed_dim)),
    ]


def _tell_answers(found: "SearchResult", folder: Path) -> None:
    """For programs."""
    answers = [
        {
            "query": answer.text,
            "hits": [
                {
                    "rank": hit.rank,
                    "cosine": round(hit.cosine, 6),
                    "uid": hit.uid,
                    "path": hit.path,
                    "caption": hit.caption,
                    "source": hit.source,
                    "row": hit.row,
                }
                for hit in answer.hits
            ],
        }
        for answer in found.answers
    ]
    tell(folder=folder, how=found.how, recall=found.recall, answers=answers)


def _print(found: "SearchResult", options: SearchOptions) -> None:
    _tell_answers(found, options.folder)
    from data_pipelines.printable import printable

    for answer in found.answers:
        print(printable(answer.text))
        for hit in answer.hits:
            caption = f"  {printable(hit.caption)[:70]}" if hit.caption else ""
            print(f"{hit.rank:>4}  {hit.cosine:6.3f}  {printable(hit.path)}{caption}")
        print()
    print(found.how)
    for kind, path in (("sheet", options.sheet), ("page", options.page)):
        if path is not None:
            print(f"{kind}: {path}")
