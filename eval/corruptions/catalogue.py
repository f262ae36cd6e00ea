"""Which functions make each corruption: one that draws, where there is chance, and one that acts.

``apply(images, constants)`` or ``apply(images, constants, draws)``; a function that acts is
deterministic, so the draws of a reference can be handed to it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from eval.corruptions import blur, digital, elastic, glass, noise, spatter, weather, zoom
from eval.corruptions.pixels import Images


class Kernel(NamedTuple):
    """The two halves of a corruption.

    Attributes:
        apply: acts.
        draw: ``draw(draws, context, constants)``; None without chance.
        num_on_cpu: pictures of 224 pixels that are quickest at a time on a CPU.
    """

    apply: Callable[..., Images]
    draw: Callable[..., Any] | None = None
    num_on_cpu: int = 2


KERNELS: dict[str, Kernel] = {
    "gaussian_noise": Kernel(noise.gaussian_noise, noise.draw_normal),
    "shot_noise": Kernel(noise.shot_noise, noise.draw_uniform),
    "impulse_noise": Kernel(noise.impulse_noise, noise.draw_salt_and_pepper),
    "defocus_blur": Kernel(blur.defocus_blur),
    "glass_blur": Kernel(glass.glass_blur, glass.draw_shifts),
    "motion_blur": Kernel(blur.motion_blur, blur.draw_angles),
    "zoom_blur": Kernel(zoom.zoom_blur, num_on_cpu=8),
    "snow": Kernel(weather.snow, weather.draw_snow),
    "frost": Kernel(weather.frost, weather.draw_frost),
    "fog": Kernel(weather.fog, weather.draw_fog),
    "brightness": Kernel(digital.brightness),
    "contrast": Kernel(digital.contrast),
    "elastic_transform": Kernel(elastic.elastic_transform, elastic.draw_elastic),
    "pixelate": Kernel(digital.pixelate),
    "jpeg_compression": Kernel(digital.jpeg_compression),
    "speckle_noise": Kernel(noise.speckle_noise, noise.draw_normal),
    "gaussian_blur": Kernel(blur.gaussian_blur),
    "spatter": Kernel(spatter.spatter, spatter.draw_spatter),
    "saturate": Kernel(digital.saturate),
}
