"""``python -m vlsuite``, the form that launchers start."""

import sys

from vlsuite.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
