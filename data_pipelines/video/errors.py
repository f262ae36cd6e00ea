"""Why a video gives no frames."""

from data_pipelines.errors import ConfigError


class MissingDecoderError(ConfigError):
    """This machine cannot read videos, whichever they are."""
