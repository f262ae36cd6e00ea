"""What all heads of a study share: scenes, a teacher, one localizer, the teacher's regions."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from data_pipelines.scenes.making import TEACHER_TEMPLATES
from data_pipelines.shards.atomic import write_file
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.manifest import MANIFEST_NAME
from data_pipelines.shards.pairs import captions_of
from data_pipelines.sources.detection_scenes import DetectionScenesSource
from data_pipelines.sources.source import Target
from eval.progress import Progress
from eval.studies.detection.folders import StudyFolders
from eval.studies.detection.settings import Cell, DetectionStudyConfig
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.transforms import AugmentConfig
from vlsuite.engine.config import CheckpointConfig, LoggingConfig, TrainConfig
from vlsuite.engine.distributed import start_distributed
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.train_loop import train
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.vild.config import VildConfig
from vlsuite.models.vild.settings import (
    ClassifierSettings,
    HeadSettings,
    NetworkSettings,
    ProposalSettings,
    TrunkSettings,
    ViewSettings,
)
from vlsuite.objectives.vild import VildObjectiveConfig

_RECIPE = "detection-study"
_TEACHER_BATCH = 128
_LOCALIZER_THREADS = 2  # it trains five times as long as the teacher beside it
_VOCABULARY = 1024  # tokens of the teacher's tokenizer at most


def make_scenes(config: DetectionStudyConfig, folders: StudyFolders) -> None:
    """Build the scenes; a build that was stopped is begun anew."""
    smallest, largest = config.sprite_sizes
    fewest, most = config.sprites_a_picture
    source = DetectionScenesSource(
        train=config.train,
        validation=config.validation,
        test=config.test,
        teacher_pairs=config.teacher_pairs,
        categories=config.categories,
        novel_share=config.novel_share,
        unlabelled_novel=config.unlabelled_novel,
        fewest=fewest,
        most=most,
        smallest=smallest,
        largest=largest,
        side=config.side,
        teacher_side=48,
        cut_outs=config.sprites,
        backgrounds=config.backgrounds,
        seed=config.seed,
    )
    total = config.train + config.validation + config.test + config.teacher_pairs
    progress = Progress("drawing scenes", total=total, unit="pictures")

    def told(samples: Any) -> Any:
        for sample in samples:
            progress.add(1)
            yield sample

    source.build(Target(out_dir=folders.scenes, overwrite=folders.scenes.exists(), progress=told))
    progress.close()


def has_scenes(folders: StudyFolders) -> bool:
    """Whether the scenes are complete."""
    return (folders.scenes / MANIFEST_NAME).is_file()


def train_teacher(config: DetectionStudyConfig, folders: StudyFolders) -> None:
    """A small CLIP on single things of all names; it never sees a scene."""
    _make_tokenizer(config, folders)
    write_file(folders.prompts, ("\n".join(TEACHER_TEMPLATES) + "\n").encode())
    run = TrainConfig(
        model=OpenClipConfig(name=config.teacher_architecture, tokenizer=str(folders.tokenizer)),
        data=DataConfig(
            train=(str(folders.split("teacher")),),
            num_workers=0,
            # proposals cut things off
            augment=AugmentConfig(crop_scale=(0.7, 1.0), flip_probability=0.5),
        ),
        optim=OptimConfig(lr=config.teacher_lr, warmup_steps=100),
        duration=Duration(f"{config.teacher_epochs}epochs"),
        global_batch_size=min(_TEACHER_BATCH, config.teacher_pairs),
        **_shared(config),
    )
    _train_on(run, folders.teacher)


def train_localizer(config: DetectionStudyConfig, folders: StudyFolders) -> None:
    """Trunk, proposals and boxes, with the boxes of base names alone."""
    own = replace(config, head_regions=config.regions_per_picture)
    model = detector_config(own, folders, Cell("supervised"))
    threads: dict[str, Any] = {"threads": _LOCALIZER_THREADS}
    run = TrainConfig(
        model=replace(model, localizer=None, frozen="none"),
        data=DataConfig(train=(str(folders.split("train")),), num_workers=0),
        objective=VildObjectiveConfig(),
        optim=OptimConfig(
            lr=config.localizer_lr, warmup_steps=min(100, config.localizer_steps // 5),
            weight_decay=0.05, betas=(0.9, 0.999),
        ),
        duration=Duration(f"{config.localizer_steps}steps"),
        global_batch_size=config.batch_size,
        **(_shared(config) | threads),
    )  # fmt: skip
    _train_on(run, folders.localizer)


def embed_regions(config: DetectionStudyConfig, folders: StudyFolders, form: str = "int8") -> None:
    """The teacher's vectors of what the localizer proposes in the training pictures."""
    from vlsuite.models.opening import open_model
    from vlsuite.models.vild.embedding_regions import embed_training_regions

    progress = Progress("embedding regions", total=config.train, unit="pictures")

    def told(samples: Any) -> Any:
        for sample in samples:
            progress.add(1)
            yield sample

    model = detector_config(config, folders, Cell("vild"))
    embed_training_regions(
        folders.regions(form),
        model,
        DataConfig(train=(str(folders.split("train")),)),
        open_model(str(folders.localizer)),
        keep=config.regions,
        nms=config.region_nms,
        form=form,
        progress=told,
    )
    progress.close()


def detector_config(config: DetectionStudyConfig, folders: StudyFolders, cell: Cell) -> VildConfig:
    """The detector of a head, on the frozen localizer."""
    side = float(config.side)
    form = "fp32" if cell.vectors == "fp32" else "int8"
    is_crop = cell.mode == "crop"
    return VildConfig(
        mode=cell.mode,  # pyright: ignore[reportArgumentType]
        vocabulary=str(folders.split("train")),
        teacher=OpenClipConfig(name=f"local-dir:{folders.teacher / 'export'}"),
        regions=str(folders.regions(form)),
        localizer=str(folders.localizer),
        frozen="none" if is_crop else "localizer",
        prompts=str(folders.prompts),
        sizes=(config.side,),
        view=ViewSettings(scale=(0.8, 1.2)),
        network=NetworkSettings(
            trunk=TrunkSettings(kind="small", norm="group", width=config.width),
            proposals=ProposalSettings(
                anchor_sizes=(side / 8, side / 4, side / 2),
                train=config.proposals,
                test=config.proposals,
                before_nms=4 * config.proposals,
                anchors_per_picture=128,
                regions_per_picture=config.head_regions,
            ),
            heads=HeadSettings(
                cells=config.cells, convs=0, layers=2, width=config.head_width, separate=True,
                masks=False, mask_convs=2, mask_width=64,
            ),
            classifier=ClassifierSettings(
                temperature=config.temperature, objectness=config.objectness
            ),
        ),
    )  # fmt: skip


def _train_on(run: TrainConfig, folder: Path) -> None:
    """Train, or go on from the newest checkpoint."""
    place = RunFolder(folder)
    if not (folder / "config.json").is_file():
        place.create(_RECIPE, run)
    train(run, start_distributed(threads=run.threads), place, [])


def _make_tokenizer(config: DetectionStudyConfig, folders: StudyFolders) -> None:
    from vlsuite.batches.tokenizer import train_tokenizer
    from vlsuite.models.dual_encoder.config import architecture

    if (folders.tokenizer / "tokenizer.json").is_file():
        return
    captions: list[str] = []
    for path in find_shards([str(folders.split("teacher"))]):
        index = ShardIndex.open(path)
        for row in range(len(index)):
            captions += captions_of(index.read(row), one_per_line=False)
    text = architecture(config.teacher_architecture)["text_cfg"]
    train_tokenizer(
        captions,
        vocab_size=_VOCABULARY,
        out_dir=folders.tokenizer,
        context_length=text.get("context_length", 77),
    )


def _shared(config: DetectionStudyConfig) -> dict[str, Any]:
    return {
        "seed": config.seed,
        "threads": 1,
        "logging": LoggingConfig(every=Duration("20steps")),
        "checkpoint": CheckpointConfig(every=Duration("1000000steps"), every_minutes=2.0),
    }
