"""Videos with captions: a folder, a table with times, or a set as it is distributed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from data_pipelines.errors import ConfigError, DataError
from data_pipelines.file_captions import CAPTIONS_FROM, FileCaptions, files_below
from data_pipelines.looks import holds
from data_pipelines.options import flag_of, option
from data_pipelines.schema import VIDEO_SUFFIXES, Sample
from data_pipelines.shards.manifest import Manifest
from data_pipelines.skips import Skips
from data_pipelines.sources.source import Source, Target, sources
from data_pipelines.table_rows import TableColumns, WantedColumn
from data_pipelines.video.sampler import SAMPLERS
from data_pipelines.video_lists.chosen import names_in
from data_pipelines.video_lists.didemo import read_didemo, read_didemo_moments
from data_pipelines.video_lists.files import VideoFiles
from data_pipelines.video_lists.formats import FORMATS, called, format_of, is_of_videos
from data_pipelines.video_lists.listed import ListedVideo
from data_pipelines.video_lists.lsmdc import read_lsmdc
from data_pipelines.video_lists.msrvtt import SPLITS, read_msrvtt
from data_pipelines.video_lists.msvd import read_msvd
from data_pipelines.video_lists.table import read_video_table
from data_pipelines.video_lists.webvid import read_webvid
from data_pipelines.video_shards.named import NamedVideo
from data_pipelines.video_shards.packing import PROBES, STORES, Packer, Packing, Probe, Store

_LISTS = tuple(name for name in FORMATS if name != "folder")

#: What speaks of some formats only.
_OF_FORMAT = {
    "videos": _LISTS,
    "captions": ("folder",),
    "template": ("folder",),
    "video_column": ("table",),
    "caption_column": ("table",),
    "start_column": ("table",),
    "end_column": ("table",),
    "quoting": ("table",),
    "columns": ("table",),
    "only": _LISTS,
    "moments": ("didemo",),
}
_OF_FRAMES = ("frames", "side", "quality", "sampler")


@sources.register("video")
@dataclass(frozen=True, kw_only=True)
class VideoSource(Source):
    """Settings of the videos; see the module."""

    HELP: ClassVar[str] = (
        "videos with captions: a folder, a table with times, WebVid, MSR-VTT, MSVD, DiDeMo, LSMDC"
    )
    EXAMPLE: ClassVar[str] = (
        "vlsuite data build video clips --out data/clips\n"
        "  vlsuite data build video spans.csv --videos films --cut --out data/spans\n"
        "  vlsuite data build video MSRVTT_data.json --only MSRVTT_train.9k.csv \\\n"
        "      --videos MSRVTT/videos/all --out data/msrvtt-train"
    )

    path: Path = option(
        "folder of videos; table of paths, captions and, where given, times (rows of one video "
        "become one sample); or a list as distributed: results_2M_train.csv of WebVid, "
        "MSRVTT_data.json or MSRVTT_JSFUSION_test.csv, MSVD's train_list.txt beside "
        "AllVideoDescriptions.txt, or that for all, DiDeMo's train_data.json (a paragraph a "
        "video), LSMDC16_annos_training.csv",
        positional=True,
        metavar="FOLDER|TABLE|LIST",
        formerly={
            "--root": {"format": "folder"},
            **{f"--{name}": {"format": name} for name in _LISTS},
        },
    )
    format: str = option(
        "what that is; auto decides by its looks, and says so",
        default="auto",
        choices=("auto", *FORMATS),
    )
    videos: Path | None = option(
        "folder of the videos that a table or list speaks of, at any depth (default: its own)",
        default=None,
        metavar="DIR",
        formerly="--root",
    )
    only: str | None = option(
        "of the videos of a list those that a file names (a name a line, or a CSV with the column "
        "video_id, as MSRVTT_train.9k.csv); for MSR-VTT also train, validate or test",
        default=None,
        metavar="FILE|SPLIT",
    )
    moments: bool = option("of DiDeMo each description with its span, no paragraphs", default=False)
    captions: str = option(
        "of a folder: sidecar (run.txt beside run.mp4, one caption a line), folder (the first "
        "sub-folder is the class), or name (words of the file name)",
        default="sidecar",
        choices=CAPTIONS_FROM,
    )
    template: str = option("caption of a class folder; {c} is the class", default="a video of {c}")
    video_column: str = option(
        "column of the paths, of a table", default="path", formerly="--path-column"
    )
    caption_column: str = option("column of the captions, of a table", default="caption")
    start_column: str = option(
        "of a table, seconds or h:m:s; used where it is there", default="start"
    )
    end_column: str = option("of a table, likewise", default="end")
    quoting: str = option(
        "whether cells may be quoted: rfc4180, none, or auto (rfc4180 for .csv; none for .tsv)",
        default="auto",
        choices=("auto", "rfc4180", "none"),
    )
    columns: tuple[str, ...] = option(
        "names of all columns of a table whose first line is data", default=()
    )
    cut: bool = option(
        "cut spans out, a sample each: every frame of the span, coded anew as H.264, without "
        "sound; else spans refer to the whole video, which stays as it is, sound and all",
        default=False,
    )
    store: Store = option(
        "video, or frames: pictures of each video or span, decoded once for all epochs",
        default="video",
        choices=STORES,
    )
    probe: Probe = option(
        "frame: one of each video is decoded, to count the unusable; index: all of them, and an "
        "index of frames is stored that makes training faster; none: files are stored unseen",
        default="frame",
        choices=PROBES,
    )
    frames: int = option("pictures of a video or span, for --store frames", default=16)
    side: int = option("shorter side of these at most, in pixels", default=256)
    quality: int = option("of their JPEG, 1 to 95", default=90)
    sampler: str = option("that chooses them", default="segments", choices=SAMPLERS)

    def __post_init__(self) -> None:
        if self._format == "folder":
            self._file_captions.check("video")
        for name, flag in self._changed.items():
            if self._format not in _OF_FORMAT.get(name, FORMATS):
                raise ConfigError(f"{flag} says nothing about {called(self._format)}; drop it")
            if name in _OF_FRAMES and self.store != "frames":
                raise ConfigError(f"{flag} is for --store frames; add that, or drop it")
        if self.videos is not None and not self.videos.is_dir():
            raise DataError(
                f"video folder {self.videos} does not exist, or is a file; check --videos"
            )
        self._packing  # noqa: B018  refuses settings that contradict one another

    @classmethod
    def fits(cls, path: Path) -> bool:
        """See ``Source``."""
        return holds(path, {f".{suffix}" for suffix in VIDEO_SUFFIXES}) or is_of_videos(path)

    def samples(self, skips: Skips) -> Iterator[Sample]:
        """In the order of the folder, table or list; the uid depends on name and content."""
        source = "video" if self._format in ("folder", "table") else self._format
        with Packer(source, self._packing, skips) as packer:
            for named in self._named(skips):
                yield from packer.samples(named)

    def class_names(self) -> Sequence[str]:
        """Names of the sub-folders, where they are the classes."""
        return self._file_captions.class_names() if self._format == "folder" else ()

    def build(self, target: Target) -> Manifest:
        """See ``Source``; the manifest tells how videos are stored."""
        origin = replace(target.origin, details=target.origin.details | self._packing.details())
        return super().build(replace(target, origin=origin))

    def taken_for(self) -> str:
        """See ``Source``."""
        if self.format != "auto":
            return ""
        return f"{self.path} is taken for {called(self._format)} (--format says otherwise)"

    @cached_property
    def _format(self) -> str:
        """What the path is; of several that it may be, settings that speak of one decide."""
        if self.format != "auto":
            return self.format
        spoken_of = (set(_OF_FORMAT.get(name, FORMATS)) for name in self._changed)
        return format_of(
            self.path,
            of_table=() if self.columns else (self.video_column, self.caption_column),
            among=set(FORMATS).intersection(*spoken_of),
        )

    @property
    def _changed(self) -> dict[str, str]:
        """Fields that are not as by default, and their flags."""
        own = [entry for entry in fields(self) if getattr(self, entry.name) != entry.default]
        return {entry.name: flag_of(entry) for entry in own}

    @property
    def _packing(self) -> Packing:
        return Packing(**{entry.name: getattr(self, entry.name) for entry in fields(Packing)})

    @property
    def _file_captions(self) -> FileCaptions:
        return FileCaptions(root=self.path, captions=self.captions, template=self.template)

    def _named(self, skips: Skips) -> Iterator[NamedVideo]:
        if self._format == "folder":
            yield from self._of_folder(skips)
            return
        files = VideoFiles(self.videos or self.path.parent)
        wanted = self._wanted()
        unseen = set(wanted or ())
        seen: set[str] = set()
        for listed in _READERS[self._format](self, self.path, skips):
            name = listed.name
            own = {name, Path(name).name, Path(name).stem}
            if wanted is not None and not own & wanted:
                skips.read("videos that --only leaves out")
                continue
            unseen -= own
            file = files.find(name)
            if name in seen:
                skips.add("listed twice", name)
            elif not listed.captions and not listed.moments:
                skips.add("no caption", name)
            elif file is None:
                skips.add("missing video file", name)
            else:
                yield NamedVideo(name, file, listed.captions, listed.moments, None, listed.source)
            seen.add(name)
        for name in sorted(unseen):
            skips.add("named by --only, not in the list", name)

    def _of_folder(self, skips: Skips) -> Iterator[NamedVideo]:
        own = self._file_captions
        labels = own.labels()
        for path in files_below(own.root):
            if path.suffix.lower().removeprefix(".") not in VIDEO_SUFFIXES:
                if path.suffix.lower() != ".txt":
                    skips.add("not a video file", str(path))
                continue
            captions = own.of(path, skips)
            if captions:
                key = path.relative_to(own.root).as_posix()
                yield NamedVideo(key, path, captions, (), labels.get(key.split("/")[0]), key)

    def _wanted(self) -> frozenset[str] | None:
        """Names that ``only`` asks for; None where it says nothing of names."""
        if self.only is None or (self._format == "msr-vtt" and self.only in SPLITS):
            return None
        if not Path(self.only).is_file():
            raise DataError(f"--only {self.only}: no such file, and no split of this list")
        return names_in(Path(self.only))

    def _of_table(self, path: Path, skips: Skips) -> Iterator[ListedVideo]:
        columns = TableColumns(
            table=path,
            wanted=(
                WantedColumn(self.video_column, "--video-column"),
                WantedColumn(self.caption_column, "--caption-column", is_text=True),
                self._time_column("start"),
                self._time_column("end"),
            ),
            quoting=self.quoting,
            names=self.columns,
        )
        return read_video_table(columns, skips)

    def _time_column(self, which: str) -> WantedColumn:
        name = getattr(self, f"{which}_column")
        return WantedColumn(name, f"--{which}-column", may_be_missing=name == which)

    def _of_msrvtt(self, path: Path, skips: Skips) -> Iterator[ListedVideo]:
        return read_msrvtt(path, skips, split=self.only if self.only in SPLITS else None)

    def _of_didemo(self, path: Path, skips: Skips) -> Iterator[ListedVideo]:
        return (read_didemo_moments if self.moments else read_didemo)(path, skips)


_READERS: dict[str, Callable[[VideoSource, Path, Skips], Iterator[ListedVideo]]] = {
    "table": VideoSource._of_table,
    "webvid": lambda _, path, skips: read_webvid(path, skips),
    "msr-vtt": VideoSource._of_msrvtt,
    "msvd": lambda _, path, skips: read_msvd(path, skips),
    "didemo": VideoSource._of_didemo,
    "lsmdc": lambda _, path, skips: read_lsmdc(path, skips),
}
