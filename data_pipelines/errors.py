"""Errors a user can cause, as one shallow family.

Every message says what happened, where, and how to fix it, in one line. The command line prints
it without a traceback and exits with code 2. ``vlsuite.errors`` extends this family.
"""


class UserError(Exception):
    """Something the user can mend; the message is the whole report."""


class DataError(UserError):
    """A data source, file or table cannot be used as asked."""


class ShardError(DataError):
    """A shard, its index or its manifest is missing, broken or inconsistent."""
