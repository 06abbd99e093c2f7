"""``Session().send_request``: an action by the names of its service and itself, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from dray.runtime.errors import DrayError
from dray.sdk.backend.api_client import APIClient
from dray.sdk.backend.entity import Answers, Struct

#: The version of ClearML's interface whose shapes are answered.
_VERSION = "2.34"


class Reply:
    """What came back, in the envelope scripts open with ``json()``."""

    def __init__(self, endpoint: str, data: Any = None, error: DrayError | None = None) -> None:
        self.status_code = 200 if error is None else 400
        self.ok = error is None
        self._body: dict[str, Any] = {
            "meta": {
                "endpoint": {"name": endpoint, "actual_version": _VERSION},
                "result_code": self.status_code,
                "result_msg": "OK" if error is None else error.message,
            },
            "data": {} if data is None else data,
        }

    def json(self) -> dict[str, Any]:
        """The envelope: ``{"meta": …, "data": …}``."""
        return self._body


class Session:
    """Asks the configured server by the names of services and actions."""

    def __init__(self) -> None:
        self._client = APIClient()

    def send_request(
        self,
        service: str,
        action: str,
        version: str | None = None,
        method: str = "get",
        data: Mapping[str, Any] | None = None,
        json: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> Reply:
        """Do an action; a refusal is a reply whose ``ok`` is False.

        Args:
            service: such as ``tasks``.
            action: such as ``get_all``.
            version: there is one.
            method: there is one way.
            data: arguments of the action.
            json: the same.
            others: how it would travel; not needed.
        """
        del version, method, others
        try:
            answer = self._client.service(service).action(action)(**(json or data or {}))
        except DrayError as exc:
            return Reply(f"{service}.{action}", error=exc)
        return Reply(f"{service}.{action}", data=_plain(service, answer))


def _plain(service: str, answer: Any) -> Any:
    if isinstance(answer, Answers):
        items = cast("Answers[Struct]", answer)
        return {service: [item.to_dict() for item in items]}
    if isinstance(answer, Struct):
        named = answer.to_dict()
        is_thing = "id" in named and "name" in named
        return {service.removesuffix("s"): named} if is_thing else named
    return answer
