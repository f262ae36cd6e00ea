"""A real, small, randomly initialised CLIP for tests of the evaluation."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from open_clip.model import CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from torch import Tensor

from vlsuite.batches.transforms import to_uint8

IMAGE_SIDE = 16  # pixels
CONTEXT_LENGTH = 16


class SmallClip:
    """An open_clip CustomTextCLIP of two narrow towers behind the EmbeddingModel protocol.

    Args:
        seed: of the weights.
        name: shown in results.
    """

    def __init__(self, *, seed: int = 0, name: str = "small-clip") -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.model = CustomTextCLIP(
                embed_dim=16,
                vision_cfg=CLIPVisionCfg(
                    layers=1, width=16, head_width=8, patch_size=8, image_size=IMAGE_SIDE
                ),
                text_cfg=CLIPTextCfg(
                    context_length=CONTEXT_LENGTH, vocab_size=49408, width=16, heads=2, layers=1
                ),
            ).eval()
            # Token embeddings start so small (0.02) that all texts would nearly coincide.
            torch.nn.init.normal_(self.model.text.token_embedding.weight, std=1.0)
        self.name = name
        self.embed_dim = 16
        self.logit_scale = 100.0
        self.logit_bias = 0.0
        self.device = torch.device("cpu")
        self.tokenizer = SimpleTokenizer(context_length=CONTEXT_LENGTH)
        self.fingerprint = f"small-clip-{seed}".ljust(64, "0")
        self.image_batch_sizes: list[int] = []
        self.num_texts = 0

    def image_transform(self, image: Image.Image) -> UInt8[Tensor, "3 height width"]:
        """Squash to a square."""
        return to_uint8(image.resize((IMAGE_SIDE, IMAGE_SIDE)))

    @torch.no_grad()
    def embed_images(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """Unit-norm embeddings."""
        self.image_batch_sizes.append(len(images))
        return F.normalize(self.model.encode_image(images.float() / 127.5 - 1.0), dim=-1)

    def embed_pixels(
        self, pixels: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """Unit-norm embeddings of pictures in [0, 1], with gradients."""
        return F.normalize(self.model.encode_image(pixels * 2.0 - 1.0), dim=-1)

    @torch.no_grad()
    def embed_texts(self, texts: list[str]) -> Float[Tensor, "texts embed_dim"]:
        """Unit-norm embeddings."""
        self.num_texts += len(texts)
        return F.normalize(self.model.encode_text(self.tokenizer(texts)), dim=-1)
