"""No task's address of a repository shows a password."""

from __future__ import annotations

import pytest

from dray.runtime.errors import InvalidInput
from dray.runtime.repositories import check_repository


@pytest.mark.parametrize(
    "address",
    [
        "",
        "https://github.com/a/b.git",
        "git@github.com:a/b.git",
        "ssh://git:ignored@host/a/b",
        "https://org@dev.azure.com/org/project/_git/b",
        "https://oauth2:${MY_TOKEN}@gitlab.com/a/b.git",
        "https://${MY_USER_WITH_A_VERY_LONG_NAME_}:${MY_TOKEN}@gitlab.com/a/b.git",
        "/srv/git/b.git",
    ],
)
def test_an_address_without_a_secret_may_be_stored(address: str) -> None:
    check_repository(address)


@pytest.mark.parametrize(
    "address",
    [
        "https://me:hunter2@github.com/a/b.git",
        "http://me:p@ss@github.com/a/b.git",
        "https://ghp_0123456789abcdefghij0123456789@github.com/a/b.git",
        "https://ghp_0123456789abcdefghij0123456789:x-oauth-basic@github.com/a/b.git",
        "https://me:${NAME}x@github.com/a/b.git",
    ],
)
def test_one_with_a_secret_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_repository(address)
    assert "${NAME}@" in str(caught.value)
    assert "hunter2" not in str(caught.value) + str(caught.value.details)
