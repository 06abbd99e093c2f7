"""Which addresses there are: the API's prefix, the page's, and those that are open to all."""

from __future__ import annotations

API_PREFIX = "/api/v1"
PAGE_PREFIX = "/web/"

#: What is served to anybody: health, the page, and the API's description.
_OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/openapi.json"})


def is_open(path: str) -> bool:
    """Whether ``path`` is served without a token."""
    return path in _OPEN_PATHS or is_page(path)


def is_page(path: str) -> bool:
    """Whether ``path`` is the page or one of its files."""
    return path == "/" or path.startswith(PAGE_PREFIX)
