"""Zoom blur: the picture averaged with its own enlargements.

Hendrycks and Dietterich 2019, arXiv 1903.12261; definition as in their script (see
:mod:`eval.corruptions.severities`). Each enlargement interpolates linearly, so all of them
together are one sparse matrix over pixels, made once for a severity and frame size.
"""

import warnings
from functools import lru_cache

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from scipy.sparse import csr_matrix, identity, kron
from torch import Tensor

from eval.corruptions.operators import crop_of_zoom, zoom_matrix
from eval.corruptions.pixels import Images, intensities, to_bytes
from eval.corruptions.severities import SEVERITIES, Zoom


def zoom_blur(images: Images, constants: Zoom) -> Images:
    """Average of the picture and of its enlargements, the factor 1 among them."""
    batch, _, height, width = images.shape
    pixels = rearrange(intensities(images), "batch rgb height width -> (height width) (batch rgb)")
    blurred = to_bytes(_operator(constants, height, width, images.device) @ pixels)
    pattern = "(height width) (batch rgb) -> batch rgb height width"
    return rearrange(blurred, pattern, batch=batch, height=height).contiguous()


@lru_cache(maxsize=len(SEVERITIES))
def _operator(
    constants: Zoom, height: int, width: int, device: torch.device
) -> Float[Tensor, "pixels pixels"]:
    """Mean of the identity and of every enlargement; 20 to 35 weights a pixel (14 MB at 224)."""
    total = csr_matrix(identity(height * width))
    factors = np.arange(1, constants.stop, constants.step).tolist()
    for factor in factors:
        total += kron(_enlarging(height, factor), _enlarging(width, factor), format="csr")
    weights = csr_matrix(total / (len(factors) + 1), dtype=np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        return torch.sparse_csr_tensor(
            torch.from_numpy(weights.indptr.astype(np.int32)),
            torch.from_numpy(weights.indices.astype(np.int32)),
            torch.from_numpy(weights.data),
            size=weights.shape,
            device=device,
            check_invariants=True,
        )


def _enlarging(length: int, factor: float) -> csr_matrix:
    matrix = np.zeros((length, length))
    part = crop_of_zoom(length, factor)[0]
    matrix[:, part] = zoom_matrix(length, factor, dtype=torch.float64).numpy()
    return csr_matrix(matrix)
