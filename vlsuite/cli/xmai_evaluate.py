"""``vlsuite xmai quality``, ``page`` and ``upstream``: what perturbed captions are worth."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.inputs import refuse_missing_data, refuse_missing_models
from vlsuite.cli.options import add_options, read_options
from vlsuite.errors import ConfigError

if TYPE_CHECKING:
    from eval.results import Score
    from eval.xmai.quality import QualityTools

_QUALITY = """\
how good perturbed captions are, with intervals

  vlsuite xmai quality out/xmai.jsonl out/eda.jsonl
  vlsuite xmai quality out/xmai.jsonl --sentence-model sentence-transformers/all-MiniLM-L6-v2 \\
      --bert-score roberta-large --language-model gpt2 --clip ViT-B-32:openai --data SHARDS

Without any model: BLEU, METEOR, distances in words and characters, insertions per text, shares
(unchanged, original kept, mask tokens and fused words, white or black before a person), slips of
grammar that can be counted. Each model adds its metric. --synonyms adds METEOR's third stage.
"""

_PAGE = """\
one HTML page of pictures, captions before and after, for people to judge

  vlsuite xmai page out/xmai.jsonl out/eda.jsonl --data SHARDS --out page.html
  vlsuite xmai page out/xmai.jsonl --data SHARDS --model runs/first --out page.html   # with ranks
  vlsuite xmai page --judgements judgements-anna.json --judgements judgements-ben.json

The page needs nothing else: open it, answer, save. Files saved by several people are put together:
shares with intervals and Cohen's kappa.
"""

_UPSTREAM = """\
the published figures of XMAI, computed anew from its stored outputs

  git clone https://github.com/claws-lab/multimodal-robustness-xmai
  vlsuite xmai upstream multimodal-robustness-xmai/paper_experiments

Stored CSVs give the share of unchanged texts, insertions, mask tokens and BLEU; notebooks give
classification reports, whose F1 is computed from precision and recall, and the fall in MRR.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityOptions:
    """Which files are measured, and by what models.

    Args:
        files: perturbed captions of 'vlsuite xmai perturb'.
        sentence_model: encoder for the sentence cosine.
        bert_score: encoder for BERTScore.
        bert_layer: its layer (default: -1, the last).
        language_model: causal or masked, for the perplexity ratio.
        clip: as of 'vlsuite eval', for CLIPScore; needs --data.
        data: the pictures of the captions.
        split: of a CLIP_benchmark folder.
        grammar: an outside grammar checker as well.
        synonyms: METEOR with WordNet (NLTK's data).
        device: of the models.
        seed: of the intervals.
        out: write the figures as JSON too.
    """

    files: tuple[str, ...] = option(positional=True, metavar="FILE")
    sentence_model: str | None = option(default=None, metavar="MODEL")
    bert_score: str | None = option(default=None, metavar="MODEL")
    bert_layer: int = -1
    language_model: str | None = option(default=None, metavar="MODEL")
    clip: str | None = option(default=None, metavar="MODEL")
    data: str | None = option(default=None, metavar="SHARDS")
    split: str = "test"
    grammar: Literal["languagetool", "harper"] | None = None
    synonyms: bool = False
    device: str = "cpu"
    seed: int = 0
    out: Path | None = option(default=None, metavar="FILE")

    def __post_init__(self) -> None:
        if (self.clip is None) != (self.data is None):
            raise ConfigError("CLIPScore needs both --clip MODEL and --data SHARDS")


@dataclass(frozen=True, kw_only=True, slots=True)
class PageOptions:
    """What the page shows, or which answers are put together.

    Args:
        files: perturbed captions, one file a method.
        data: the pictures of the captions.
        split: of a CLIP_benchmark folder.
        model: show its ranks before and after, text to image.
        count: captions drawn.
        device: of the model.
        seed: of the draw and the intervals.
        judgements: summarise saved answers instead (repeatable).
        out: the page.
    """

    files: tuple[str, ...] = option(positional=True, default=(), metavar="FILE")
    data: str | None = option(default=None, metavar="SHARDS")
    split: str = "test"
    model: str | None = option(default=None, metavar="MODEL")
    count: int = 60
    device: str = "cpu"
    seed: int = 0
    judgements: tuple[Path, ...] = option(default=(), repeated=True, metavar="FILE")
    out: Path = option(default=Path("page.html"), metavar="FILE")


@dataclass(frozen=True, kw_only=True, slots=True)
class UpstreamOptions:
    """Which stored outputs are read."""

    folder: Path = option("or one CSV", positional=True, metavar="FOLDER")
    out: Path | None = option("write the figures as JSON too", default=None, metavar="FILE")


def add_actions(actions: Any) -> None:
    """Add the three actions to the subparsers of ``vlsuite xmai``."""
    add_options(_action(actions, "quality", _QUALITY), QualityOptions)
    add_options(_action(actions, "page", _PAGE), PageOptions)
    add_options(_action(actions, "upstream", _UPSTREAM), UpstreamOptions)


def run(args: argparse.Namespace) -> int:
    """Run the action that was chosen; returns the exit code.

    Raises:
        UserError: a file, a model or an option does not allow it.
    """
    return {"quality": _quality, "page": _page, "upstream": _upstream}[args.action](args)


def _action(actions: Any, name: str, text: str) -> argparse.ArgumentParser:
    return actions.add_parser(
        name,
        help=text.splitlines()[0],
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _quality(args: argparse.Namespace) -> int:
    options = read_options(args, QualityOptions)
    refuse_missing_data(options.files)
    refuse_missing_models(options.clip or None)
    from eval.xmai.quality import quality
    from eval.xmai.rows import open_perturbed

    files = [open_perturbed(path) for path in options.files]
    tools = _tools(options)
    found = {
        str(file.path): quality(file.content.captions, tools, seed=options.seed) for file in files
    }
    names = list(dict.fromkeys(name for scores in found.values() for name in scores))
    for file in files:
        scores = found[str(file.path)]
        print(f"\n{file.method} ({file.path}, {len(file.content.captions):,} captions)")
        for name in names:
            if name in scores:
                print(f"  {name:24} {_shown(scores[name])}")
    figures = [
        {"file": str(file.path), "method": file.method, "sha256": file.digest,
         "scores": {name: s.to_dict() for name, s in found[str(file.path)].items()}}
        for file in files
    ]  # fmt: skip
    content = {"seed": options.seed, "models": _models(options), "files": figures}
    tell(**content)
    if options.out is not None:
        _write(options.out, content)
    return 0


def _models(options: QualityOptions) -> dict[str, Any]:
    names = ("sentence_model", "bert_score", "bert_layer", "language_model", "clip", "grammar")
    return {name: getattr(options, name) for name in names}


def _tools(options: QualityOptions) -> "QualityTools":
    from eval.xmai.clip_score import clip_scorer
    from eval.xmai.grammar import counter_of
    from eval.xmai.meteor_words import stemmer, synonyms
    from eval.xmai.quality import QualityTools
    from eval.xmai.text_models import Encoder, LanguageModel

    sentence = options.sentence_model and Encoder(options.sentence_model, device=options.device)
    scorer = options.bert_score and Encoder(
        options.bert_score, device=options.device, layer=options.bert_layer
    )
    language = options.language_model and LanguageModel(
        options.language_model, device=options.device
    )
    clip = None
    if options.clip and options.data:
        clip = clip_scorer(options.clip, options.data, split=options.split, device=options.device)
    return QualityTools(
        stem=stemmer(),
        synonyms=synonyms() if options.synonyms else None,
        sentence_cosine=sentence.sentence_cosines if sentence else None,
        bert_score=scorer.bert_scores if scorer else None,
        surprise=language.surprises if language else None,
        clip_score=clip,
        issues=counter_of(options.grammar) if options.grammar else None,
    )


def _page(args: argparse.Namespace) -> int:
    options = read_options(args, PageOptions)
    if options.judgements:
        return _judgements(options)
    if not options.files or options.data is None:
        raise ConfigError("the page needs FILE and --data SHARDS; or --judgements FILE")
    if options.count < 1:
        raise ConfigError(f"--count is {options.count}; give at least 1")
    refuse_missing_data([*options.files, options.data])
    refuse_missing_models(options.model or None)
    from eval.data.folders import open_dataset
    from eval.xmai.page import write_page
    from eval.xmai.rows import open_perturbed

    files = [open_perturbed(path) for path in options.files]
    dataset = open_dataset(options.data, split=options.split, task="retrieval")
    ranks = {}
    if options.model:
        from eval.xmai.ranks import caption_ranks

        for file in files:
            ranks |= caption_ranks(options.model, file, dataset, device=options.device)
    captions = [caption for file in files for caption in file.content.captions]
    count = write_page(
        options.out, captions, dataset, ranks=ranks, count=options.count, seed=options.seed
    )
    tell(page=options.out, num_captions=count)
    print(f"page: {options.out} ({count} captions)")
    return 0


def _judgements(options: PageOptions) -> int:
    from eval.xmai.judgements import read_judgements, summarise

    summary = summarise([read_judgements(path) for path in options.judgements], seed=options.seed)
    shares = [{"method": m, "question": q, "share": s} for (m, q), s in summary.shares.items()]
    tell(shares=shares, agreements=summary.agreements)
    for (method, question), score in summary.shares.items():
        print(f"{method:20} {question:8} {_shown(score)}")
    for one in summary.agreements:
        kappa = "not defined" if one.kappa is None else _shown(one.kappa)
        print(f"{one.first} and {one.second}: kappa of '{one.question}' {kappa}")
    return 0


def _upstream(args: argparse.Namespace) -> int:
    from eval.errors import EvaluationError
    from eval.xmai.upstream.files import find_upstream
    from eval.xmai.upstream.notebooks import TOLERANCE, read_notebooks
    from eval.xmai.upstream.published import comparisons

    options = read_options(args, UpstreamOptions)
    printed = read_notebooks(options.folder)
    try:
        files = find_upstream(options.folder)
    except EvaluationError:
        if not printed.reports and not printed.runs:
            raise
        files = []
    rows = [row for file in files for row in comparisons(file)]
    marks = {None: "", True: "agrees", False: "DIFFERS"}
    for row in rows:
        known = "" if row.known is None else f"{row.known:g}"
        print(f"{row.data:8} {row.method:10} {row.figure:34} {row.ours:>10.6g} {known:>10} "
              f"{marks[row.agrees]}")  # fmt: skip
    for report in printed.reports:
        is_close = report.largest_difference <= TOLERANCE
        print(f"{report.where}: macro F1 {report.computed['macro_f1']:.4f}, printed "
              f"{report.printed['macro_f1']:.3f}; largest difference of any figure "
              f"{report.largest_difference:.5f} {marks[is_close]}")  # fmt: skip
    for run_ in printed.runs:
        print(f"{run_.where}: MRR {run_.before[0]:.4f} to {run_.after[0]:.4f}, {run_.change:+.1%}")
    figures = [row._asdict() | {"agrees": row.agrees} for row in rows]
    reports = [r._asdict() | {"difference": r.largest_difference} for r in printed.reports]
    runs = [r._asdict() | {"change": r.change} for r in printed.runs]
    content = {"files": figures, "reports": reports, "retrieval": runs}
    tell(**content)
    if options.out is not None:
        _write(options.out, content)
    all_agree = all(row.agrees is not False for row in rows) and all(
        report.largest_difference <= TOLERANCE for report in printed.reports
    )
    return 0 if all_agree else 1


def _shown(score: "Score") -> str:
    from eval.report.tables import interval, number, unit_sign

    value, sign = number(score.value, score.unit), unit_sign(score.unit)
    ends = interval(score) if score.has_interval else score.method
    return f"{value} ({ends}){' ' + sign if sign else ''}, n = {score.n:,}"


def _write(path: Path, content: dict[str, Any]) -> None:
    from data_pipelines.shards.atomic import make_folder, write_file

    make_folder(path.parent)
    write_file(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
    print(f"\nfigures: {path}")
