"""Is the video tower Frozen in Time's, and does a training step take no longer?

With the same random weights it is compared with the published equations in float64 loops, for
clips of 1, 4 and 8 frames, and with the authors' module (``--peer``: model/video_transformer.py of
a clone of github.com/m-bain/frozen-in-time), whose step, forward and backward, is timed in turn
with ours: CPU time of this process.
"""

import argparse
import contextlib
import importlib.util
import io
import statistics
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.space_time_loops import video_feature
from benchmarks.support.timed_process import BenchmarkError
from vlsuite.models.frozen_in_time.from_image_tower import video_tower
from vlsuite.models.frozen_in_time.tower import VideoTower

FRAMES = (1, 4, 8)


def our_tower(side: int, patch: int, width: int, depth: int, seed: int) -> VideoTower:
    """A tower around timm's ViT, which the authors start from, with weights of time that matter."""
    from open_clip.timm_model import TimmModel
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(seed)
    image = TimmModel("vit_tiny_patch16_224", width, image_size=side, pool="token", proj="none")
    image.trunk = VisionTransformer(
        img_size=side, patch_size=patch, embed_dim=width, depth=depth, num_heads=width // 64 or 1,
        num_classes=0,
    )  # fmt: skip
    tower = video_tower(
        image, name="timm's ViT", size=(side, side), max_frames=max(FRAMES),
        time_init="identity", log_frames_bias=False,
    )  # fmt: skip
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return tower


def load_peer(path: Path) -> Any:
    """The authors' file as a module; it asks timm for a module that newer ones have elsewhere."""
    if not path.is_file():
        raise BenchmarkError(
            f"no {path}; name model/video_transformer.py of a clone with --peer, or leave it out"
        )
    import timm.layers

    sys.modules.setdefault("timm.models.layers", timm.layers)
    spec = importlib.util.spec_from_file_location("frozen_in_time_peer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def peer_tower(module: types.ModuleType, ours: VideoTower, side: int, patch: int) -> nn.Module:
    """The authors' tower with the weights of ours."""
    width, blocks = ours.times.shape[1], len(ours.blocks)
    with contextlib.redirect_stdout(io.StringIO()):
        peer = module.SpaceTimeTransformer(
            img_size=side, patch_size=patch, embed_dim=width, depth=blocks,
            num_heads=width // 64 or 1, num_classes=0, num_frames=max(FRAMES), time_init="zeros",
        )  # fmt: skip
    state = {_peer_name(name): value for name, value in ours.state_dict().items()}
    state["temporal_embed"] = state["temporal_embed"][None]
    state["pos_embed"] = state["pos_embed"].reshape(1, -1, width)
    peer.load_state_dict(state)
    return peer


def _peer_name(name: str) -> str:
    for ours, theirs in (
        ("patch_embed.", "patch_embed.proj."), ("class_embed", "cls_token"),
        ("positions", "pos_embed"), ("times", "temporal_embed"), ("norm_time", "norm3"),
        ("norm_space", "norm1"), ("norm_mlp", "norm2"), (".time.", ".timeattn."),
        (".space.", ".attn."), ("pooling.norm.", "norm."),
    ):  # fmt: skip
        name = name.replace(ours, theirs)
    return name


def step_time(forward: Callable[[], Tensor], module: nn.Module) -> float:
    """CPU seconds of one forward and backward pass."""
    module.zero_grad(set_to_none=True)
    begin = time.process_time()
    forward().square().mean().backward()
    return time.process_time() - begin


def compare_times(
    ours: VideoTower, peer: nn.Module, side: int, batch: int, rounds: int
) -> dict[str, Any]:
    """Ratios ours over theirs, in turn, by frames of a clip."""
    found: dict[str, Any] = {}
    for frames in FRAMES:
        clips = torch.randn(batch, frames, 3, side, side)
        flat = clips.flatten(0, 1)

        def our_pass(flat: Tensor = flat, frames: int = frames) -> Tensor:
            return ours(flat, [frames] * batch)

        def peer_pass(clips: Tensor = clips) -> Tensor:
            return peer(clips)

        step_time(our_pass, ours)
        step_time(peer_pass, peer)
        pairs = [(step_time(our_pass, ours), step_time(peer_pass, peer)) for _ in range(rounds)]
        ratios = sorted(own / other for own, other in pairs)
        found[str(frames)] = {
            "ours_s": statistics.median(own for own, _ in pairs),
            "peer_s": statistics.median(other for _, other in pairs),
            "ratio": statistics.median(ratios),
            "lowest": ratios[0],
            "highest": ratios[-1],
        }
    return found


def differences(ours: VideoTower, peer: nn.Module | None, side: int, seed: int) -> dict[str, Any]:
    """Largest differences of a feature, by frames of a clip."""
    found: dict[str, Any] = {}
    generator = torch.Generator().manual_seed(seed)
    for frames in FRAMES:
        clip = torch.randn(frames, 3, side, side, generator=generator)
        with torch.no_grad():
            feature = ours(clip, [frames])[0].double()
            found[str(frames)] = {
                "loops": _largest(feature, video_feature(ours, clip)),
                "peer": None
                if peer is None
                else float((feature - peer(clip[None])[0]).abs().max()),
            }
    return found


def _largest(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.frozen_parity", description=__doc__)
    parser.add_argument("--peer", type=Path, help="the authors' model/video_transformer.py")
    parser.add_argument("--quick", action="store_true", help="smaller towers, 3 rounds")
    parser.add_argument("--rounds", type=int, help="timed pairs of steps (default 9; quick 3)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results")
    return parser


def main() -> None:
    """Compare, time, print, and end with one JSON object."""
    args = _parser().parse_args()
    torch.set_num_threads(args.threads)
    shape = (112, 16, 192, 4, 2) if args.quick else (224, 16, 384, 6, 2)
    side, patch, width, depth, batch = shape
    small = our_tower(32, 8, 64, 3, args.seed).eval()
    module = None if args.peer is None else load_peer(args.peer)
    small_peer = None if module is None else peer_tower(module, small, 32, 8).eval()
    found = differences(small, small_peer, 32, args.seed)
    print(f"{'frames':>6}{'ours - float64 loops':>22}{'ours - authors':>16}")
    for frames, row in found.items():
        peer = "-" if row["peer"] is None else f"{row['peer']:.1e}"
        print(f"{frames:>6}{row['loops']:>22.1e}{peer:>16}")
    times: dict[str, Any] = {}
    if module is not None:
        ours = our_tower(side, patch, width, depth, args.seed)
        peer = peer_tower(module, ours, side, patch)
        times = compare_times(ours, peer, side, batch, args.rounds or (3 if args.quick else 9))
        for frames, row in times.items():
            print(
                f"{frames:>6} frames: {row['ours_s']:.2f} s against {row['peer_s']:.2f} s, ratio "
                f"{row['ratio']:.2f} ({row['lowest']:.2f} to {row['highest']:.2f})"
            )
    largest = max(v for row in found.values() for v in row.values() if v is not None)
    figures = {
        "max_diff": largest,
        "step_time_ratio": max((row["ratio"] for row in times.values()), default=None),
        "differences": found,
        "times": times,
    }
    config = {"side": side, "patch": patch, "width": width, "depth": depth, "batch": batch,
              "threads": args.threads, "seed": args.seed}  # fmt: skip
    finish("frozen_parity", figures, describe(), config=config, save=args.save)


if __name__ == "__main__":
    run_as_program(main)
