"""What is read, and what decoding one video may cost."""

import io
from dataclasses import dataclass

#: Encoded bytes that can be read from any place: in memory, or a file.
Source = io.BytesIO | io.BufferedReader


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodeLimits:
    """Larger videos are refused.

    Attributes:
        max_pixels: of one frame, as for pictures.
        max_frames: of the video.
        max_output_bytes: of all frames that are asked for at once.
        max_kept_bytes: of encoded packets kept in memory between the two passes over a video;
            larger ones are read twice.
    """

    max_pixels: int = 64_000_000
    max_frames: int = 1_000_000
    max_output_bytes: int = 1 << 30
    max_kept_bytes: int = 1 << 28
