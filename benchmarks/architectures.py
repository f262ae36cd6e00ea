"""Which architectures of open_clip load, train, evaluate and export, with whose embeddings?

    python -m benchmarks.architectures --quick
    python -m benchmarks.architectures ViT-L-14-worldwide RN50

Each is built with random weights after its widths, depths and context were made small; what makes
its kind (pooling, masks, heads, norms, activations, cleaning of texts, timm's family) stays. It
then goes the way of any model: built (where it is compared with plain open_clip), two steps of
the training loop under DeepSpeed, retrieval by the evaluation of the run folder, and the run's
export opened by open_clip alone. Names of hubs cannot be opened here: tokenizers and text towers
that lie there are replaced by small random ones of the same kind.
"""

import argparse
import json
import traceback
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import open_clip
import torch
import torch.nn.functional as F
from PIL import Image

from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.small_text_towers import word_tokenizer, write_text_tower
from benchmarks.support.timed_process import work_folder
from data_pipelines.errors import UserError
from data_pipelines.settings import apply_overrides
from data_pipelines.sources.source import Target
from data_pipelines.sources.synthetic import SyntheticSource
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.distributed import start_distributed
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.train_loop import train
from vlsuite.models.dual_encoder import export_forms as forms
from vlsuite.models.dual_encoder.config import architecture
from vlsuite.models.opening import open_model

CONTEXT_LENGTH = 16
#: One of each kind of pooling, tokenizer and tower.
_QUICK = (
    "ViT-B-32", "ViT-B-32-quickgelu", "RN50", "ViT-L-14-worldwide", "ViT-L-14-CLIPA",
    "ViT-B-16-SigLIP", "ViT-B-16-SigLIP2", "PE-Core-B-16", "MobileCLIP-B", "ViTamin-S",
    "EVA02-B-16", "convnext_base", "swin_base_patch4_window7_224", "coca_ViT-B-32",
    "xlm-roberta-base-ViT-B-32", "mt5-base-ViT-B-32", "nllb-clip-base",
)  # fmt: skip
#: The smallest of timm's models of a family, by the beginning of a name; the longest one counts.
_SMALL_TIMM = {
    "convnext": "convnext_atto", "fastvit": "fastvit_mci0", "vitamin": "vitamin_small_224",
    "swin": "swin_tiny_patch4_window7_224", "eva_": "eva_large_patch14_196",
    "eva02": "eva02_base_patch16_clip_224",
    "vit_pe_core": "vit_pe_core_tiny_patch16_384", "vit_": "vit_tiny_patch16_224",
}  # fmt: skip

#: Pixels a side; fixed for some of them, small where that is free.
_SIZES = {
    "convnext_atto": 64, "eva_large_patch14_196": 196, "fastvit_mci0": 128,
    "vit_pe_core_tiny_patch16_384": 384, "vit_tiny_patch16_224": 224,
}  # fmt: skip


class Row(NamedTuple):
    """One architecture.

    Attributes:
        outcome: "ok", "refused" (in one line, before or at the stage named in the message) or
            "fault".
        cosine: smallest one of the run's embeddings with open_clip's of its export.
        texts: "cut" behind their end, or "whole".
        recall: of retrieval over the training pairs, which random weights leave near chance.
    """

    name: str
    outcome: str
    cosine: float | None = None
    texts: str = ""
    recall: float | None = None
    message: str = ""


def main() -> int:
    """Run the table; returns 1 where an architecture ends in a fault or other embeddings."""
    args = _parse()
    environment = describe()
    names = args.names or (_QUICK if args.quick else open_clip.list_models())
    rows = []
    with work_folder("architectures", parent=None) as work:
        SyntheticSource(num_samples=8, side=40).build(Target(out_dir=work / "shards"))
        word_tokenizer(work / "words", context_length=CONTEXT_LENGTH)
        known: dict[str, Row] = {}
        for name in names:
            row = _same_as(name, work, known, seed=args.seed) or _row(name, work, seed=args.seed)
            rows.append(row)
            cosine = "" if row.cosine is None else f"{row.cosine:.6f}"
            told = f"{row.outcome:8} {cosine:9} {row.texts:6} {row.message[:110]}"
            print(f"{name:40} {told}", flush=True)
    outcomes = [row.outcome for row in rows]
    cosines = [row.cosine for row in rows if row.cosine is not None]
    figures = {
        "ok": outcomes.count("ok"),
        "refused": outcomes.count("refused"),
        "faults": outcomes.count("fault"),
        "smallest_cosine": min(cosines, default=None),
        "rows": [row._asdict() for row in rows],
    }
    finish("architectures", figures, environment, config={"seed": args.seed}, save=args.save)
    return int(figures["faults"] > 0)


def _same_as(name: str, work: Path, known: dict[str, Row], *, seed: int) -> Row | None:
    """The row of an architecture, or that of one that became the same small one before.

    What they differ in is widths, depths and sizes alone, which were taken from both.
    """
    try:
        small = json.dumps(_small(name, work), sort_keys=True)
    except Exception:  # said by the row itself
        return None
    if small in known:
        return known[small]._replace(name=name, message=f"as {known[small].name}")
    known[small] = row = _row(name, work, seed=seed)
    return row


def _row(name: str, work: Path, *, seed: int) -> Row:
    stage = ["builds"]
    try:
        return _tried(name, work, seed, stage)
    except UserError as error:
        return Row(name, "refused", message=f"{stage[-1]}: {error}")
    except Exception as error:  # the table is about these
        where = traceback.extract_tb(error.__traceback__)[-1]
        told = " ".join(str(error).split())[:160]
        return Row(
            name, "fault", message=f"{stage[-1]}: {type(error).__name__} {told} ({where.name})"
        )


def _tried(name: str, work: Path, seed: int, stage: list[str]) -> Row:
    short = _register(name, work)
    overrides = ["objective=coca"] if "multimodal_cfg" in architecture(name) else []
    config = apply_overrides(
        TrainConfig(),
        [
            f"model.name={short}",
            f"data.train={work / 'shards'}",
            "data.num_workers=0",
            "global_batch_size=4",
            "duration=2steps",
            "optim.warmup_steps=1",
            f"seed={seed}",
            "threads=1",
            *overrides,
        ],
    )
    torch.manual_seed(seed)
    built = config.model.build()
    texts = "whole" if built.encoder.end_of_text is None else "cut"
    stage.append("trains")
    folder = RunFolder(work / "runs" / short)
    folder.create("architectures", config)
    state = train(config, start_distributed(threads=1), folder)
    stage.append("evaluates")
    clip = open_model(str(folder.path))
    recall = _recall(clip, work)
    stage.append("exports")
    clip = state.evaluated(short)
    state.engine.eval()
    cosine = _smallest_cosine(clip, forms.reload_open_clip(folder.export))
    return Row(name, "ok" if cosine > 0.99999 else "fault", cosine, texts, recall)


def _recall(clip: Any, work: Path) -> float:
    """Recall at 1 of texts to images by the evaluation task; embeddings are kept nowhere."""
    from eval.embedding.decode import StreamingDecoder
    from eval.embedding.embedder import StreamingEmbedder
    from eval.running.selection import benchmarks_for

    (benchmark,) = benchmarks_for([str(work / "shards")], tasks=["retrieval"])
    embedder = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1))
    scores = benchmark.run(clip, embedder).scores
    return next(score.value for key, score in scores.items() if "recall" in key)


def _smallest_cosine(clip: Any, theirs: forms.Reloaded) -> float:
    side = clip.image_transform(Image.new("RGB", (8, 8))).shape[-1]
    pictures = forms.random_pictures(side, seed=0)
    captions = forms.random_captions(seed=0)
    pixels = torch.stack([clip.image_transform(picture) for picture in pictures])
    pairs = (
        (clip.embed_images(pixels), theirs.embed_images(pictures)),
        (clip.embed_texts(captions), theirs.embed_texts(captions)),
    )
    return min(float(F.cosine_similarity(ours, other).min()) for ours, other in pairs)


def _small(name: str, work: Path) -> dict[str, Any]:
    """The architecture with small widths, depths and sizes."""
    cfg = deepcopy(architecture(name))
    cfg["embed_dim"] = 32
    _shrink_images(cfg)
    _shrink_texts(cfg, work)
    if "multimodal_cfg" in cfg:
        cfg["multimodal_cfg"] |= {
            "context_length": CONTEXT_LENGTH, "width": 32, "heads": 2, "layers": 2,
            "vocab_size": cfg["text_cfg"].get("vocab_size", 49408),
        }  # fmt: skip
    return cfg


def _register(name: str, work: Path) -> str:
    """A small copy under a name of its own."""
    cfg = _small(name, work)
    short = "small-" + name.replace("/", "-")
    path = work / f"{short}.json"
    path.write_text(json.dumps(cfg))
    open_clip.add_model_config(path)
    return short


def _shrink_images(cfg: dict[str, Any]) -> None:
    vision = cfg["vision_cfg"]
    if "timm_model_name" in vision:
        fitting = [key for key in _SMALL_TIMM if vision["timm_model_name"].startswith(key)]
        if fitting:
            vision["timm_model_name"] = _SMALL_TIMM[max(fitting, key=len)]
        vision["image_size"] = _SIZES.get(vision["timm_model_name"], 224)
        if vision.get("timm_proj") in (None, "", "none"):
            vision["timm_proj"] = "linear" if vision.get("timm_pool") != "map" else None
            cfg["embed_dim"] = 192 if vision["timm_proj"] is None else 32
    elif isinstance(vision["layers"], int):
        vision |= {"layers": 2, "width": 64, "head_width": 32, "patch_size": 16, "image_size": 32}
        if "multimodal_cfg" in cfg and not vision.get("attentional_pool"):
            vision |= {"width": 32, "head_width": 16}  # the decoder sees the tower's own tokens
        elif "multimodal_cfg" in cfg:
            vision |= {"attn_pooler_heads": 2}
    else:
        vision |= {"layers": [1, 1, 1, 1], "width": 16, "image_size": 64}


def _shrink_texts(cfg: dict[str, Any], work: Path) -> None:
    text = cfg["text_cfg"]
    text["context_length"] = CONTEXT_LENGTH
    if "hf_model_name" in text:
        text["hf_model_name"] = str(write_text_tower(text["hf_model_name"], work))
    else:
        # a tower without a projection is as wide as the space
        width = cfg["embed_dim"] if text.get("proj_type") == "none" else 32
        text |= {"width": width, "heads": 2, "layers": 2}
    if "hf_tokenizer_name" in text:
        tokenizer = open_clip.tokenizer.HFTokenizer(str(work / "words"))
        text |= {
            "hf_tokenizer_name": str(work / "words"),
            "vocab_size": len(tokenizer.tokenizer),
        }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.architectures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help="architectures; default: all of open_clip's")
    parser.add_argument("--quick", action="store_true", help="one of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results/")
    return parser.parse_args()


if __name__ == "__main__":
    run_as_program(main)
