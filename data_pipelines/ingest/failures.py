"""Why a row has no picture, in words that are the same for all like cases."""


class FetchError(Exception):
    """An address gave no picture.

    Attributes:
        status: kind, for counting ("timeout", "http 404", "robots.txt").
        error: the detail, the same at each try of the same fault.
        http_status: of the answer; None where there was none.
        is_temporary: whether another try may do.
        wait: seconds that the server asks to wait before it.
    """

    def __init__(
        self,
        status: str,
        error: str = "",
        *,
        http_status: int | None = None,
        is_temporary: bool = False,
        wait: float | None = None,
    ) -> None:
        super().__init__(f"{status}: {error}")
        self.status = status
        self.error = error
        self.http_status = http_status
        self.is_temporary = is_temporary
        self.wait = wait

    def again(self) -> "FetchError":
        """The same for another row: one that is raised often would remember each time."""
        return FetchError(self.status, self.error, http_status=self.http_status)


ROBOTS = "robots.txt"
ROBOTS_UNREACHABLE = "robots.txt unreachable"
OPT_OUT = "opt-out header"
PRIVATE = "private address"
DNS = "dns"
CONNECTION = "connection"
TLS = "tls"
TIMEOUT = "timeout"
REDIRECTS = "redirects"
TOO_LARGE = "too large"
WRONG_LENGTH = "wrong length"
BROKEN_ANSWER = "broken answer"
NOT_AN_IMAGE = "not an image"
CRAWL_DELAY = "crawl delay too long"
HASH = "hash mismatch"
