"""Errors a user can cause, as one shallow family.

Every message says what happened, where, and how to fix it, in one line. The command line prints
it without a traceback and exits with code 2. ``vlsuite.errors`` extends this family.
"""

import re

from data_pipelines.printable import one_line

_ADDRESS = re.compile(r"<[^<>]* at 0x[0-9a-fA-F]+>")


class UserError(Exception):
    """Something the user can mend; the message is the whole report."""

    #: What the command line returns to the shell.
    exit_code = 2

    def __str__(self) -> str:
        """In one line that a terminal, a log or a page can have: much of it is from outside."""
        return one_line(super().__str__())


class DataError(UserError):
    """A data source, file or table cannot be used as asked."""


class ConfigError(UserError):
    """A setting is unknown, of the wrong type, or contradicts another."""


class UnknownNameError(ConfigError):
    """A recipe, model, objective or benchmark name is not registered."""


class BadSampleError(DataError):
    """One sample cannot be used; what happens then is the reader's policy.

    Attributes:
        kind: short and the same for all like cases ("truncated image"), for counting.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}" if message else kind)
        self.kind = kind


class ShardError(DataError):
    """A shard, its index or its manifest is missing, broken or inconsistent."""


def reason_of(error: BaseException) -> str:
    """What a decoder says of broken bytes, in one line that is the same each time.

    libsndfile and Pillow put memory addresses into their messages; logs are compared byte by byte.
    """
    told = getattr(error, "error_string", None) or str(error)
    told = one_line(_ADDRESS.sub("<data>", " ".join(str(told).split())))
    return told[:200] or type(error).__name__
