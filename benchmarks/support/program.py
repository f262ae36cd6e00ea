"""How every benchmark starts and ends as a program."""

import sys
from collections.abc import Callable
from typing import NoReturn

from vlsuite.errors import UserError


def run_as_program(main: Callable[[], int | None]) -> NoReturn:
    """Run ``main`` and exit; what the user can mend is one line on stderr, without a traceback.

    Args:
        main: of the benchmark; what it returns is the exit code, None being 0.
    """
    try:
        code = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    sys.exit(code or 0)
