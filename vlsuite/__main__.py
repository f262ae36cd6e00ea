"""``vlsuite`` and ``python -m vlsuite``: the search path is made safe, then the command runs."""

import sys

from vlsuite.own_packages import leave_working_folder, shadowed


def main() -> int:
    """Run the command line; its exit code. Nothing else of ours is imported before the check."""
    leave_working_folder()
    problem = shadowed()
    if problem:
        print(f"error: {problem}", file=sys.stderr, flush=True)
        return 2
    from vlsuite.cli.main import main as command
    from vlsuite.engine.launcher import launcher_process

    launcher_process()  # before torch takes its seconds, in which the launcher may go
    return command()


if __name__ == "__main__":
    sys.exit(main())
