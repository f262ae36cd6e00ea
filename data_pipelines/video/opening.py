"""A container opened with nothing allowed but its own bytes."""

from typing import Any

from data_pipelines.errors import BadSampleError, reason_of
from data_pipelines.video.errors import MissingDecoderError
from data_pipelines.video.limits import DecodeLimits, Source

#: FFmpeg's demuxers that read one file. Playlists and descriptions (hls, dash, concat, sdp, imf)
#: would have other files and addresses opened; still pictures are no videos.
_FORMATS = (
    "mov,matroska,webm,avi,flv,live_flv,asf,rm,swf,ogg,gif,apng,mpeg,mpegts,mpegvideo,m4v,h261,"
    "h263,h264,hevc,vvc,ivf,obu,av1,mjpeg,dv,vc1,nut,mxf,dirac,wtv,nuv,avs2,avs3,cavsvideo,amv,ea,"
    "4xm,bink,smk,roq,rpl,film_cpk,yuv4mpegpipe,y4m"
)
#: Containers whose header says everything about streams and times.
_WITH_HEADER = {"mov", "matroska", "avi"}
_BUFFER = 1 << 16  # bytes of one call from FFmpeg into Python


class OpenVideo:
    """A container and its video stream; PyAV's objects.

    Args:
        source: a seekable stream of bytes.
        limits: of a frame's size.
        probe: decode the first frames to learn what headers do not say; False where a stored
            index says it.
    Raises:
        BadSampleError: "broken video": no container, or none with a video; "too many pixels".
        MissingDecoderError: PyAV is missing.
    """

    def __init__(self, source: Source, limits: DecodeLimits, *, probe: bool = True) -> None:
        av = require_av()
        from av.stream import Discard

        options = {"max_pixels": str(limits.max_pixels), "threads": "1"}
        if not probe:
            options |= {"codec_whitelist": "none", "probesize": "32", "analyzeduration": "1"}
        source.seek(0)
        try:
            self.container = av.open(
                source,
                options=options,
                container_options={"format_whitelist": _FORMATS, "protocol_whitelist": "none"},
                buffer_size=_BUFFER,
                metadata_errors="replace",
            )
            self.stream = _video_stream(self.container)
        except (av.error.FFmpegError, ValueError, OSError) as error:
            reason = getattr(error, "strerror", None) or reason_of(error)
            raise BadSampleError("broken video", reason) from error
        for other in self.container.streams:
            if other.index != self.stream.index:
                other.discard = Discard.all  # sound is not even read
        context = self.stream.codec_context
        if context.width * context.height > limits.max_pixels:
            raise BadSampleError("too many pixels", f"frames of {context.width} x {context.height}")
        context.options = {"max_pixels": str(limits.max_pixels)}
        context.thread_count = 1
        self.context = context

    @property
    def format(self) -> str:
        """FFmpeg's name of the container."""
        return self.container.format.name

    @property
    def has_header(self) -> bool:
        """Whether no packet has to be read to know streams and times."""
        return not _WITH_HEADER.isdisjoint(self.format.split(","))

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec, whichever decoder reads it."""
        return self.context.codec.canonical_name

    @property
    def has_foreign_codec(self) -> bool:
        """Of Matroska: whether its codec is described as in AVI, with the times of AVI."""
        return self.context.codec_tag.strip("\0") != ""

    @property
    def can_reorder(self) -> bool:
        """Whether frames may be stored in another order than they are shown in."""
        if self.codec == "mpeg4":  # its header tells
            return self.context.has_b_frames
        return self.context.codec.reorder

    def close(self) -> None:
        """Free what FFmpeg holds."""
        self.container.close()


def require_av() -> Any:
    """PyAV, which brings FFmpeg along.

    Raises:
        MissingDecoderError: it does not import.
    """
    try:
        import av
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise MissingDecoderError(
            f"this machine cannot read videos: PyAV does not import ({reason}); install it "
            "(pip install av), or leave the videos out"
        ) from error
    return av


def _video_stream(container: Any) -> Any:
    """The first video stream that is no cover picture."""
    from av.stream import Disposition

    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise BadSampleError("broken video", "it has no video stream")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is None:
        raise BadSampleError("broken video", "no decoder for its codec")
    return stream
