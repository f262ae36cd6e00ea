"""3D Common Corruptions of the sensor alone: few colours, high ISO, little light.

Kar et al. 2022, arXiv 2203.01441; formulas and constants of the authors' create_non3d.py.
"""

import torch
from jaxtyping import Float32, Float64, UInt8
from torch import Tensor

from eval.corruptions.draws import Draws
from eval.corruptions.pixels import intensities, to_bytes

Picture = UInt8[Tensor, "3 height width"]

_ISO_PHOTONS = 25.0
_ISO_SIGMA = tuple(0.7 * sigma for sigma in (0.08, 0.12, 0.18, 0.26, 0.38))
_LIGHT = (0.6, 0.5, 0.4, 0.3, 0.2)
_LIGHT_GAMMA = 2.0
#: The published script uses the noise of severity 3 for low light at every severity.
_LIGHT_PHOTONS, _LIGHT_SIGMA = 120.0, 0.018


def color_quant(image: Picture, _: None, severity: int, __: Draws) -> Picture:
    """Keep the upper 6 - severity bits of each byte."""
    dropped = 8 - (6 - severity)
    return (image >> dropped) << dropped


def iso_noise(image: Picture, _: None, severity: int, draws: Draws) -> Picture:
    """Photon noise of one strength, then electronic noise that grows."""
    return _noisy(intensities(image[None]), _ISO_PHOTONS, _ISO_SIGMA[severity - 1], draws)


def low_light(image: Picture, _: None, severity: int, draws: Draws) -> Picture:
    """Darken by a power of 2 down to a ceiling, then photon and electronic noise."""
    values = intensities(image[None])
    darkest, span = values.amin(), values.amax() - values.amin()
    stretched = (values - darkest) / span if span > 0 else torch.zeros_like(values)
    dark = stretched.pow(_LIGHT_GAMMA) * _LIGHT[severity - 1]
    return _noisy(dark, _LIGHT_PHOTONS, _LIGHT_SIGMA, draws)


def _noisy(
    values: Float32[Tensor, "1 3 height width"], photons: float, sigma: float, draws: Draws
) -> Picture:
    shape = values.shape[1:]
    counts = poisson_counts(values.double() * photons, draws.uniform(*shape, stream=0))
    shot = (counts / photons).clamp(max=1)
    return to_bytes(shot.add_(draws.normal(*shape, stream=1).double(), alpha=sigma)[0])


def poisson_counts(
    means: Float64[Tensor, "*shape"], uniforms: Float32[Tensor, "*shape"]
) -> Float64[Tensor, "*shape"]:
    """The number of ``n`` whose cumulative probability lies below a uniform number.

    Args:
        means: below 700, where exp(-mean) is still a number.
        uniforms: at most 1 - 2**-24, so that the sum of probabilities passes all of them.
    """
    counts = torch.zeros_like(means)
    probability = torch.exp(-means)
    cumulative = probability.clone()
    number = 0
    while bool((is_above := uniforms > cumulative).any()):
        counts += is_above
        number += 1
        probability *= means / number
        cumulative += probability
    return counts
