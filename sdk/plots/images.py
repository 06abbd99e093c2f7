"""Images that scripts hold in memory, as PNG files: arrays, tensors, those of Pillow.

PNG loses nothing: a mask or a map of labels is not what it was after JPEG. It is written with the
standard library, so that an array needs no other package than its own.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib

from dray.runtime.errors import InvalidInput, WrongType
from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Channels of a pixel → colour type of a PNG: grey, grey and alpha, RGB, RGBA.
_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
#: Quick rather than small: photographs hardly get smaller at higher ones.
_LEVEL = 3
#: Floats up to here are brightness from 0 to 1, made by arithmetic that is a little off.
_BRIGHTEST = 1.01


def png_of(image: Any) -> bytes:
    """The PNG file of an image.

    Args:
        image: a NumPy array or a tensor of height x width (x 1 to 4 channels), or channels first
            where only that fits; an image of Pillow. Floats up to 1.0 are brightness and are
            stretched to 255, bools are black and white, numbers of 16 bits lose the lower 8;
            others are cut to 0 to 255. Any: no library of images is imported here.

    Raises:
        WrongType: it is none of them.
        InvalidInput: another shape, or elements that are no numbers.
    """
    if callable(getattr(image, "save", None)) and hasattr(image, "mode"):
        return _of_pillow(image)
    is_torch = hasattr(image, "detach")
    for way in ("detach", "cpu", "numpy"):  # a tensor's way to an array
        step = getattr(image, way, None)
        if callable(step):
            image = step()
    if not all(hasattr(image, name) for name in ("shape", "dtype", "tobytes", "astype")):
        raise WrongType(
            "image must be a NumPy array, a tensor or an image of Pillow, got "
            f"{type(image).__name__}",
            field="image",
        )
    pixels = _bytes_of(_channels_last(image, is_torch))
    pillow = getattr(sys.modules.get("PIL.Image"), "fromarray", None)
    if callable(pillow):  # the user's own, which chooses a filter for each row
        return _of_pillow(pillow(pixels))
    return encoded(pixels)


def encoded(pixels: Any) -> bytes:
    """A PNG file of an array of bytes: height x width (x 2 to 4 channels)."""
    height, width = int(pixels.shape[0]), int(pixels.shape[1])
    n_channels = int(pixels.shape[2]) if pixels.ndim == 3 else 1
    # Each row is its difference to the one above, which says its first byte: filter 2.
    rows = pixels.copy()
    rows[1:] -= pixels[:-1]
    data, n_bytes = rows.tobytes(), width * n_channels
    lines = b"".join(b"\2" + data[at * n_bytes : (at + 1) * n_bytes] for at in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[n_channels], 0, 0, 0)
    return b"".join(
        [
            _SIGNATURE,
            _chunk(b"IHDR", head),
            _chunk(b"IDAT", zlib.compress(lines, _LEVEL)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def _of_pillow(image: Any) -> bytes:
    buffer = io.BytesIO()
    try:
        known = image if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else None
        (known or image.convert("RGB")).save(buffer, format="PNG")
    except (OSError, ValueError, AttributeError) as exc:
        raise InvalidInput(f"image cannot be written as PNG: {exc}", field="image") from exc
    return buffer.getvalue()


def _channels_last(array: Any, prefers_first: bool) -> Any:
    """Height x width x channels; torch has the channels first where both would fit."""
    shape = tuple(int(size) for size in array.shape)
    is_first = len(shape) == 3 and shape[0] in (1, 3, 4)
    if is_first and (prefers_first or shape[2] not in _COLOURS):
        array = array.transpose(1, 2, 0)
        shape = (shape[1], shape[2], shape[0])
    if len(shape) == 3 and shape[2] == 1:
        array, shape = array.reshape(shape[:2]), shape[:2]
    fits = len(shape) == 2 or (len(shape) == 3 and shape[2] in _COLOURS)
    if not fits or 0 in shape:
        raise InvalidInput(
            f"image has shape {tuple(array.shape)}; expected height x width, or height x width x "
            "1 to 4 channels",
            field="image",
        )
    return array


def _bytes_of(array: Any) -> Any:
    """The same numbers as unsigned bytes."""
    kind = str(getattr(array.dtype, "kind", ""))
    if array.dtype == "uint8":
        return array
    if kind == "b":
        return array.astype("uint8") * 255
    if kind not in ("i", "u", "f"):
        raise InvalidInput(
            f"image has numbers of type {array.dtype}; expected whole ones or floats",
            field="image",
        )
    if kind == "f":
        array = array.astype("float32")  # a copy
        array[array != array] = 0  # NaN is black
    high = float(array.max())
    if kind == "f" and high <= _BRIGHTEST:
        array = array * 255
    elif array.dtype == "uint16" and high > 255:
        array = array // 256  # scanners and telescopes write 16 bits
    return array.clip(0, 255).astype("uint8")
