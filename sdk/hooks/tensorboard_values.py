"""What TensorBoard's messages hold: pictures, bars, curves, meshes and hyperparameters.

Messages come from several packages with classes of their own; all are read by their fields.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any

#: Bars a histogram is shown with; neighbours are added up.
N_BARS = 50
#: Points of a mesh that are shown.
MESH_LIMIT = 20_000
#: Parts of a mesh as some writers number them.
_MESH_PARTS = {"1": "VERTEX", "2": "FACE", "3": "COLOR"}
#: Section of the parameters that TensorBoard's hyperparameters become.
SECTION = "TB_hparams"
#: First bytes of a file → its extension.
_BEGINNINGS = (
    (b"\x89PNG", ".png"),
    (b"GIF8", ".gif"),
    (b"\xff\xd8", ".jpg"),
    (b"RIFF", ".wav"),
    (b"ID3", ".mp3"),
    (b"OggS", ".ogg"),
    (b"fLaC", ".flac"),
)
#: The type of tensors whose numbers have 32 bits.
DT_FLOAT = 1
#: DT_FLOAT, DT_DOUBLE, DT_INT32, DT_UINT8, DT_INT64 → code of ``struct`` and field of the tensor.
_TYPES = {
    DT_FLOAT: ("f", "float_val"),
    2: ("d", "double_val"),
    3: ("i", "int_val"),
    4: ("B", "int_val"),
    9: ("q", "int64_val"),
}


def extension(data: bytes) -> str:
    """The extension of a file that begins with ``data``."""
    return next((name for begin, name in _BEGINNINGS if data.startswith(begin)), ".bin")


def decimal(number: float) -> float:
    """The number of fewest digits that is ``number`` in 32 bits, as events hold it.

    A script that wrote 0.2 finds 0.2 again, and not 0.20000000298023224.
    """
    if number - number != 0.0 or (number.is_integer() and abs(number) < 1 << 24):
        return number
    packed = struct.pack("f", number)
    for digits in (6, 7, 8):
        short = float(f"{number:.{digits}g}")
        if struct.pack("f", short) == packed:
            return short
    return float(f"{number:.9g}")


def floats(tensor: Any) -> list[float]:
    """The numbers in a tensor, row by row; none of a type that is not numbers."""
    code, field = _TYPES.get(tensor.dtype, ("", ""))
    if not code:
        return []
    content = tensor.tensor_content
    if content:
        return [float(n) for (n,) in struct.iter_unpack(f"<{code}", content)]
    return [float(n) for n in getattr(tensor, field)]


def bars_of_histogram(histo: Any) -> dict[str, Any]:
    """A plot of a histogram of counts below limits."""
    limits, counts = list(histo.bucket_limit), list(histo.bucket)
    # The first bucket has no left limit, and the last one's may be the largest number there is.
    edges = [min(histo.min, *limits[:1]), *limits] if limits else []
    if edges:
        edges[-1] = max(edges[-2], min(edges[-1], histo.max))
    return _bars(list(pairwise(edges)), counts)


def bars_of_tensor(tensor: Any) -> dict[str, Any]:
    """A plot of rows of left edge, right edge and count."""
    numbers = floats(tensor)
    rows = [numbers[i : i + 3] for i in range(0, len(numbers) - 2, 3)]
    return _bars([(left, right) for left, right, _ in rows], [count for _, _, count in rows])


def pr_curve(tensor: Any) -> dict[str, Any]:
    """A plot of precision over recall, of rows TP, FP, TN, FN, precision, recall."""
    numbers = floats(tensor)
    n = len(numbers) // 6
    rows = [numbers[i * n : (i + 1) * n] for i in range(6)]
    names = ("TP", "FP", "TN", "FN")
    labels = [
        f"threshold {at / max(1, n - 1):.3f}<br>"
        + " ".join(f"{name} {row[at]:g}" for name, row in zip(names, rows, strict=False))
        for at in range(n)
    ]
    line = {"type": "scatter", "mode": "lines+markers", "x": rows[5], "y": rows[4], "text": labels}
    axes = {"xaxis": {"title": {"text": "recall"}}, "yaxis": {"title": {"text": "precision"}}}
    return {"data": [line], "layout": axes}


def meshes(found: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """Plots of the meshes among the values of a summary, by tag."""
    parts: dict[str, dict[str, Any]] = {}
    for value in found:
        if value.metadata.plugin_data.plugin_name != "mesh":
            continue
        tag, _, part = str(value.tag).rpartition("_")
        parts.setdefault(tag, {})[_MESH_PARTS.get(part, part)] = value.tensor
    return {tag: _mesh(own) for tag, own in parts.items() if "VERTEX" in own}


def hyperparameters(event: Any, value: Any) -> dict[str, dict[str, str]]:
    """Parameters of the task, of a message that begins a session; none of the other ones."""
    package = type(event).__module__.partition(".")[0]
    name = (
        "tensorboardX.proto.plugin_hparams_pb2"
        if package == "tensorboardX"
        else "tensorboard.plugins.hparams.plugin_data_pb2"
    )
    module = sys.modules.get(name) or import_module(name)
    data = module.HParamsPluginData.FromString(value.metadata.plugin_data.content)
    found: dict[str, dict[str, str]] = {}
    for key, held in data.session_start_info.hparams.items():
        kind = held.WhichOneof("kind")
        content = getattr(held, kind) if kind and kind != "null_value" else None
        word = {"number_value": "float", "bool_value": "bool"}.get(kind or "", "str")
        found[f"{SECTION}/{key}"] = {"value": _shown(content), "type": word, "description": ""}
    return found


def _shown(content: Any) -> str:
    if isinstance(content, float) and content.is_integer() and abs(content) < 1e15:
        return str(int(content))
    return "" if content is None else str(content)


def _bars(edges: Sequence[tuple[float, float]], counts: Sequence[float]) -> dict[str, Any]:
    held = [(*edge, count) for edge, count in zip(edges, counts, strict=False)]
    while held and not held[0][2]:
        held.pop(0)
    while held and not held[-1][2]:
        held.pop()
    width = max(1, -(-len(held) // N_BARS))
    groups = [held[i : i + width] for i in range(0, len(held), width)]
    bars = {
        "type": "bar",
        "x": [(group[0][0] + group[-1][1]) / 2 for group in groups],
        "width": [max(group[-1][1] - group[0][0], 1e-12) for group in groups],
        "y": [sum(count for _, _, count in group) for group in groups],
    }
    return {"data": [bars], "layout": {"bargap": 0, "yaxis": {"title": {"text": "count"}}}}


def _mesh(parts: dict[str, Any]) -> dict[str, Any]:
    vertices = _triples(parts["VERTEX"])[:MESH_LIMIT]
    x, y, z = zip(*vertices, strict=True) if vertices else ((), (), ())
    trace: dict[str, Any] = {"x": list(x), "y": list(y), "z": list(z)}
    colours = [f"rgb({r:g},{g:g},{b:g})" for r, g, b in _triples(parts.get("COLOR"))[:MESH_LIMIT]]
    faces = [face for face in _triples(parts.get("FACE")) if max(face) < len(vertices)]
    if faces:
        i, j, k = zip(*faces, strict=True)
        trace.update(type="mesh3d", i=list(map(int, i)), j=list(map(int, j)), k=list(map(int, k)))
        if colours:
            trace["vertexcolor"] = colours
    else:
        trace.update(type="scatter3d", mode="markers", marker={"size": 2})
        if colours:
            trace["marker"]["color"] = colours
    return {"data": [trace], "layout": {}}


def _triples(tensor: Any) -> list[tuple[float, float, float]]:
    numbers = [] if tensor is None else floats(tensor)
    return [(numbers[i], numbers[i + 1], numbers[i + 2]) for i in range(0, len(numbers) - 2, 3)]
