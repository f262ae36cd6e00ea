"""``vlsuite study detection``: does distillation let a detector find what nobody marked?"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.inputs import refuse_missing_data
from vlsuite.cli.options import positive
from vlsuite.errors import ConfigError

DESCRIPTION = """\
train ViLD on scenes of sprites, head by head, and measure what it finds of unmarked names

  vlsuite study detection --backgrounds photos/ --out study       everything, resumable
  vlsuite study detection --backgrounds photos/ --out study --modes text,vild --seeds 1
  vlsuite study detection --out study --report-only               # what is finished so far
  vlsuite study detection --list-settings                         # settings for --set

Scenes are drawn (sprites on photographs; without --backgrounds on made-up textures): base names are
marked, novel ones are not, and stand unmarked in 30% of the training pictures. A small CLIP learns
all names from single sprites; it never sees a scene. Trunk, proposals and boxes learn from base
names and are then frozen. On them each mode trains a head, with --seeds seeds: supervised, text,
image, vild, ensemble; crop asks the teacher itself. The study stops where the teacher names fewer
than 60% of the novel crops. Some 25 minutes on two idle cores.

OUT gets study.html, study.md, study.json and a plot. Killed or stopped, the same command goes on.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionStudyOptions:
    """Which heads a detection study has, and where they are kept."""

    out: Path | None = option("folder of the study, new or begun", default=None, metavar="DIR")
    backgrounds: tuple[str, ...] = option(
        "folders, tars or shards of photographs to draw on (default: textures, made up)",
        default=(),
        metavar="PATH,...",
    )
    cut_outs: tuple[str, ...] = option(
        "shards or folders of cut-out pictures (default: emoji of Twemoji)",
        default=(),
        metavar="PATH,...",
        formerly="--sprites",
    )
    modes: str | None = option("default: all six", default=None, metavar="A,B")
    seeds: int = option("heads of each mode", default=3, reader=positive, metavar="N")
    seed: int = option("the first one", default=0)
    jobs: int = option("processes at a time", default=2, reader=positive, metavar="N")
    set: tuple[str, ...] = option(
        "change one setting", default=(), repeated=True, metavar="KEY=VALUE"
    )
    report_only: bool = option("train nothing, report what is finished", default=False)
    list_settings: bool = option("print the settings, and stop", default=False)


def run(options: DetectionStudyOptions) -> int:
    """Run what is missing, then report; returns the exit code.

    Raises:
        UserError: unknown modes or settings, a teacher that knows too little, failed runs, or
            nothing to report.
    """
    if options.list_settings:
        return _list_settings()
    if options.out is None:
        raise ConfigError("the study needs a folder: --out DIR")
    digest, judged = None, "test"
    if options.report_only:
        refuse_missing_data([options.out])
    else:
        from eval.studies.detection.settings import MODES, cells_of

        config = _config(options)
        digest, judged = config.digest, config.judged
        modes = MODES if options.modes is None else _parts(options.modes)
        cells = cells_of(modes, options.seeds, first_seed=options.seed)
        refuse_missing_data(config.backgrounds, option="--backgrounds")
        refuse_missing_data(config.sprites, option="--sprites")
        from eval.studies.detection.run import run_study

        run_study(config, cells, options.out, jobs=options.jobs)
    from eval.studies.detection.report import write_report

    report = write_report(options.out, judged=judged, digest=digest)
    tell(report=report.page, summary=report.summary)
    print(report.text)
    print(f"\nreport: {report.page}")
    return 0


def _config(options: DetectionStudyOptions) -> Any:
    from data_pipelines.settings import apply_overrides
    from eval.studies.detection.settings import DetectionStudyConfig

    begun = DetectionStudyConfig(backgrounds=options.backgrounds, sprites=options.cut_outs)
    return apply_overrides(begun, options.set)


def _list_settings() -> int:
    from eval.studies.detection.settings import DetectionStudyConfig

    print("settings for --set, with what they are now:")
    for field in fields(DetectionStudyConfig):
        if field.name not in ("backgrounds", "sprites"):
            print(f"  {field.name}={field.default}")
    return 0


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
