"""``python -m dray``: the command line."""

from dray.sdk.cli.main import run

if __name__ == "__main__":
    run()
