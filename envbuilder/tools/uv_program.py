"""Where the uv program is: the one that came with ``dray[cluster]``."""

from __future__ import annotations

from functools import cache

from dray.envbuilder.failures import environment_failed


@cache
def uv_program() -> str:
    """The path of uv; looked up once.

    Raises:
        PreparationFailed: this installation of Dray has no uv.
    """
    try:
        import uv

        return uv.find_uv_bin()
    except (ImportError, FileNotFoundError) as exc:
        raise environment_failed(
            "uv is not installed beside Dray on this node; install it with "
            "`pip install 'dray[cluster]'`",
            str(exc),
        ) from exc
