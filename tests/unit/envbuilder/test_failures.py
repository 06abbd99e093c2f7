"""What users read of a failure has the end of the evidence and no credentials."""

from __future__ import annotations

import pytest

from dray.envbuilder.failures import environment_failed, redact, source_failed, without_credentials
from dray.runtime.causes import EVIDENCE_LIMIT_BYTES


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:secret@host/x.git", "https://***@host/x.git"),
        ("https://token@host/x.git", "https://***@host/x.git"),
        ("git+https://me:p%40ss@host/x", "git+https://***@host/x"),
        ("https://me:odd@sign@host/x", "https://***@host/x"),
        ("ssh://git@host/x.git", "ssh://git@host/x.git"),
        ("ssh://git:secret@host/x.git", "ssh://***@host/x.git"),
        ("git@host:x.git", "git@host:x.git"),
        ("mail me@host and https://host/a@b", "mail me@host and https://host/a@b"),
        ("'https://a:b@h/' and 'https://c:d@h/'", "'https://***@h/' and 'https://***@h/'"),
    ],
)
def test_credentials_of_urls_are_hidden(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_a_url_can_be_kept_without_its_credentials() -> None:
    assert without_credentials("https://me:secret@host/x.git") == "https://host/x.git"
    assert without_credentials("ssh://git@host/x.git") == "ssh://git@host/x.git"


def test_evidence_is_the_end_of_the_text_within_its_limit() -> None:
    error = environment_failed("no", "é" * EVIDENCE_LIMIT_BYTES + "the end\n")
    evidence = error.details["evidence"]
    assert evidence.endswith("the end")
    assert len(evidence.encode()) <= EVIDENCE_LIMIT_BYTES


def test_each_failure_names_its_kind_and_hides_credentials() -> None:
    error = source_failed("https://a:b@h/ is gone", "https://a:b@h/", field="execution.repository")
    assert error.code == "preparation_failed"
    assert error.message == "https://***@h/ is gone"
    assert error.details == {
        "kind": "source_failed",
        "evidence": "https://***@h/",
        "field": "execution.repository",
    }
    assert environment_failed("x").details["kind"] == "environment_failed"
