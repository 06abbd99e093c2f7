"""Plots and debug samples as the events ClearML's scripts read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, cast
from urllib.parse import quote

from dray.runtime.answers import Media, Plot


def plot_event(task_id: str, worker: str, plot: Plot) -> dict[str, Any]:
    """A plot; whatever it was reported as, ``plot_str`` is JSON of a plotly figure."""
    text = json.dumps(figure_of(plot), separators=(",", ":"))
    return {
        **_event(task_id, worker, "plot", plot),
        "plot_str": text,
        "plot_len": len(text),
    }


def sample_event(task_id: str, worker: str, sample: Media, server: str) -> dict[str, Any]:
    """A debug sample; ``url`` is where its bytes are."""
    at_server = f"{server}/api/v1/tasks/{task_id}/media/{sample.seq}/{quote(sample.filename)}"
    return {
        **_event(task_id, worker, "training_debug_image", sample),
        "key": sample.filename,
        "url": sample.uri or at_server,
    }


def figure_of(plot: Plot) -> Any:
    """The plotly figure of a plot, as JSON's types."""
    if plot.type == "table" and isinstance(plot.data, Mapping):
        return _table(plot)
    if plot.type == "confusion_matrix" and isinstance(plot.data, Mapping):
        return _matrix(plot)
    return plot.data


def iso_time(at: float) -> str:
    """Seconds since the epoch as ``2026-01-31T12:00:00.000Z``."""
    moment = datetime.fromtimestamp(at, timezone.utc).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


def _event(task_id: str, worker: str, kind: str, one: Plot | Media) -> dict[str, Any]:
    return {
        "timestamp": round(one.at * 1000),
        "type": kind,
        "task": task_id,
        "iter": one.iteration,
        "metric": one.title,
        "variant": one.series,
        "@timestamp": iso_time(one.at),
        "worker": worker,
    }


def _table(plot: Plot) -> dict[str, Any]:
    data = cast("Mapping[str, Any]", plot.data)
    columns: list[Any] = list(data.get("columns") or [])
    rows: Sequence[Sequence[Any]] = data.get("rows") or []
    cells = [[row[i] if i < len(row) else None for row in rows] for i in range(len(columns))]
    trace = {"type": "table", "header": {"values": columns}, "cells": {"values": cells}}
    return {"data": [trace], "layout": {"title": {"text": plot.title}}}


def _matrix(plot: Plot) -> dict[str, Any]:
    data = cast("Mapping[str, Any]", plot.data)
    trace: dict[str, Any] = {"type": "heatmap", "z": data.get("matrix") or []}
    for axis, labels in (("x", "xlabels"), ("y", "ylabels")):
        if data.get(labels):
            trace[axis] = data[labels]
    return {
        "data": [trace],
        "layout": {
            "title": {"text": plot.title},
            "xaxis": {"title": {"text": data.get("xaxis") or ""}},
            "yaxis": {"title": {"text": data.get("yaxis") or ""}, "autorange": "reversed"},
        },
    }
