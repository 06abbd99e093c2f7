"""``python -m dray``: the command line; with a script, or ``-m MODULE``, that script recorded."""

import sys


def is_script(arguments: list[str]) -> bool:
    """Whether ``arguments`` name something to run and record, and no command."""
    import os

    if not arguments:
        return False
    first = arguments[0]
    return (
        first in ("-m", "--project", "--name")
        or first.endswith((".py", ".pyc", ".pyz"))
        or (os.sep in first and os.path.exists(first))
    )


def main() -> None:
    """Run what the arguments name."""
    if is_script(sys.argv[1:]):
        from dray.sdk.bootstrap import main as run
    else:
        from dray.sdk.cli.main import run
    run()


if __name__ == "__main__":
    main()
