"""Which architectures of open_clip load, train, evaluate and export, with whose embeddings?

Each is built with random weights after its widths, depths and vocabulary were made small; what
makes its kind (pooling, masks, heads, norms, activations, timm's family) stays. It then takes two
steps on a softmax loss, embeds pictures and texts, is exported, and is compared with what plain
open_clip gives after loading the export. What cannot be had without a network is refused in a
line. open_clip's own tokenizer files are not needed: a small vocabulary takes their place.
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
from benchmarks.support.report import finish
from benchmarks.support.timed_process import work_folder
from data_pipelines.errors import UserError
from vlsuite.batches.tokenizer import train_tokenizer
from vlsuite.models.dual_encoder import export_forms as forms
from vlsuite.models.dual_encoder.config import OpenClipConfig, architecture
from vlsuite.models.dual_encoder.open_clip_folder import write_open_clip_folder

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
    "swin": "swin_tiny_patch4_window7_224", "eva02": "eva02_base_patch16_clip_224",
    "vit_pe_core": "vit_pe_core_tiny_patch16_384", "vit_": "vit_tiny_patch16_224",
}  # fmt: skip


class Row(NamedTuple):
    """One architecture: how far it came, the smallest cosine, and a refusal or a fault."""

    name: str
    stage: str
    cosine: float | None
    message: str


def main() -> int:
    """Run the table; returns 1 where an architecture ends in a fault or other embeddings."""
    args = _parse()
    environment = describe()
    names = args.names or (_QUICK if args.quick else open_clip.list_models())
    rows = []
    with work_folder("architectures", parent=None) as work:
        train_tokenizer(
            ["a photo of a cat", "two dogs run"], vocab_size=300, out_dir=work / "t",
            context_length=16,
        )  # fmt: skip
        for name in names:
            rows.append(_row(name, work, seed=args.seed))
            cosine = "" if rows[-1].cosine is None else f"{rows[-1].cosine:.6f}"
            print(f"{name:40} {rows[-1].stage:10} {cosine:9} {rows[-1].message[:120]}", flush=True)
    stages = [row.stage for row in rows]
    figures = {
        "ok": stages.count("ok"),
        "refused": stages.count("refused"),
        "faults": len(stages) - stages.count("ok") - stages.count("refused"),
        "rows": [row._asdict() for row in rows],
    }
    finish("architectures", figures, environment, config={"seed": args.seed}, save=args.save)
    return int(figures["faults"] > 0)


def _row(name: str, work: Path, *, seed: int) -> Row:
    torch.manual_seed(seed)
    stage = "loads"
    try:
        short = _register(name, work)
        built = OpenClipConfig(name=short, tokenizer=str(work / "t")).build()
        stage = "trains"
        towers = built.encoder.train()
        pixels = torch.randn(4, 3, *built.preprocess["size"])
        ids = built.tokenizer(["a cat", "two dogs", "a photo of a cat", "run"])
        optimiser = torch.optim.AdamW(towers.parameters(), lr=1e-4)
        for _ in range(2):
            images, texts = towers(pixels, ids)
            loss = F.cross_entropy(10 * images @ texts.T, torch.arange(4))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        if not bool(torch.isfinite(loss)):
            return Row(name, "fault", None, f"loss {float(loss)} after two steps")
        towers.eval()
        stage = "evaluates"
        clip = built.evaluated(short, scalars={"logit_scale": 10.0}, device=torch.device("cpu"))
        stage = "exports"
        folder = work / f"{short}-export"
        folder.mkdir()
        weights = {key: value.detach() for key, value in towers.state_dict().items()}
        write_open_clip_folder(folder, built, weights, logit_scale=10.0, logit_bias=None)
        return _compared(name, clip, forms.reload_open_clip(folder))
    except UserError as error:
        return Row(name, "refused", None, f"{stage}: {error}")
    except Exception as error:  # the table is about these
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Row(name, "fault", None, f"{stage}: {type(error).__name__} {error} ({where.name})")


def _compared(name: str, clip: Any, theirs: forms.Reloaded) -> Row:
    side = clip.image_transform(Image.new("RGB", (8, 8))).shape[-1]
    pictures = forms.random_pictures(side, seed=0)
    captions = forms.random_captions(seed=0)
    pixels = torch.stack([clip.image_transform(picture) for picture in pictures])
    cosines = [
        F.cosine_similarity(clip.embed_images(pixels), theirs.embed_images(pictures)).min(),
        F.cosine_similarity(clip.embed_texts(captions), theirs.embed_texts(captions)).min(),
    ]
    smallest = float(min(cosines))
    return Row(name, "ok" if smallest > 0.99999 else "fault", smallest, "")


def _register(name: str, work: Path) -> str:
    """A small copy under a name of its own."""
    cfg = deepcopy(architecture(name))
    vision, text = cfg["vision_cfg"], cfg["text_cfg"]
    cfg["embed_dim"] = 32
    if "timm_model_name" in vision:
        fitting = [key for key in _SMALL_TIMM if vision["timm_model_name"].startswith(key)]
        if fitting:
            vision["timm_model_name"] = _SMALL_TIMM[max(fitting, key=len)]
        if vision["timm_model_name"] == "vit_pe_core_tiny_patch16_384":
            vision["image_size"] = 384
        if vision.get("timm_proj") in (None, "", "none"):
            vision["timm_proj"] = "linear" if vision.get("timm_pool") != "map" else None
            cfg["embed_dim"] = 192 if vision["timm_proj"] is None else 32
    elif isinstance(vision["layers"], int):
        vision |= {"layers": 2, "width": 64, "head_width": 32, "patch_size": 16, "image_size": 32}
    else:
        vision |= {"layers": [1, 1, 1, 1], "width": 16, "image_size": 64}
    text |= {"context_length": 16}
    if "hf_model_name" not in text:
        text |= {"width": 32, "heads": 2, "layers": 2}
    short = "small-" + name.replace("/", "-")
    path = work / f"{short}.json"
    path.write_text(json.dumps(cfg))
    open_clip.add_model_config(path)
    return short


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="architectures; default: all of open_clip's")
    parser.add_argument("--quick", action="store_true", help="one of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results/")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
