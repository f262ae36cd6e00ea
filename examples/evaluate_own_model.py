"""Evaluate a model that this package has never heard of: any object of the right shape.

    python examples/evaluate_own_model.py runs/demo/data/unseen_emoji --task zero_shot

The model here has no weights. A picture is its mean colour, a text the colours it names: a
baseline hardly better than guessing. ``eval.contract`` says what else a model may be able to do.
"""

import argparse

import torch
import torch.nn.functional as F
from PIL import Image, ImageColor
from torchvision.transforms.functional import pil_to_tensor

import vlsuite


class MeanColour:
    """Satisfies ``eval.contract.EmbeddingModel``."""

    name = "mean-colour"
    fingerprint = "mean-colour-1"  # of real weights: their SHA-256
    embed_dim = 4
    logit_scale, logit_bias = 100.0, 0.0
    device = torch.device("cpu")

    def image_transform(self, image: Image.Image) -> torch.Tensor:
        return pil_to_tensor(image.resize((16, 16)))

    def embed_images(self, images: torch.Tensor) -> torch.Tensor:
        drawn = (images.amin(dim=1, keepdim=True) < 250).float()  # not the white ground
        return _unit((images * drawn).sum(dim=(2, 3)) / drawn.sum(dim=(2, 3)).clamp(min=1))

    def embed_texts(self, texts: list[str]) -> torch.Tensor:
        return _unit(torch.tensor([_colour_of(text) for text in texts]))


def _colour_of(text: str) -> list[float]:
    known = [ImageColor.getrgb(w) for w in text.lower().split() if w in ImageColor.colormap]
    return torch.tensor(known or [(128, 128, 128)]).float().mean(dim=0).tolist()


def _unit(colours: torch.Tensor) -> torch.Tensor:
    """Colours around gray as unit vectors; the fourth number keeps gray itself off zero."""
    centred = colours / 127.5 - 1.0
    return F.normalize(torch.cat([centred, torch.full_like(centred[:, :1], 0.5)], dim=1), dim=1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="+", help="as for 'vlsuite eval --data'")
    parser.add_argument("--task", action="append", help="default: what the data is for")
    args = parser.parse_args()

    for result in vlsuite.evaluate(MeanColour(), args.data, tasks=args.task or ["auto"]):
        for name, score in result.scores.items():
            interval = f"[{score.low:.3f}, {score.high:.3f}]" if score.has_interval else ""
            print(f"{result.dataset} {result.benchmark} {name}: {score.value:.3f} {interval}")


if __name__ == "__main__":
    main()
