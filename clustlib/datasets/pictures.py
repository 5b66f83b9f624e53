"""One image file, whatever it holds, as 8-bit RGB, or the reason why not.

The reasons are short, so that files can be counted by them. Only the formats named here are opened: Pillow would hand
a PostScript file to another program, whatever the file is called.
"""

import io
import os
import stat
import threading
import warnings
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clustlib.errors import OneLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL import Image

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
LARGEST_FILE = 512 << 20  # bytes
LARGEST_PICTURE = 1 << 27  # pixels; the largest cameras of telephones are below it
_ALONE = 1 << 24  # pixels from which on one picture is decoded at a time
_SIXTEEN_BITS = 65535
_ORIENTATION = 0x0112  # the tag of EXIF
_one_at_a_time = threading.Lock()


class Unreadable(OneLine, ValueError):
    """A file that is no image that can be read.

    ``reason`` is the kind, the same for all files of that kind; ``detail`` is what is known beyond it.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


def content_of(path: str | Path) -> bytes:
    """The bytes of a regular file.

    Raises
    ------
    Unreadable : it is gone, no regular file (a pipe, a device, a folder), empty, too large, or may not be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise Unreadable(_why_not_opened(path, error)) from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise Unreadable("not a regular file")
    with open(handle, "rb") as file:
        if status.st_size == 0:
            raise Unreadable("empty file")
        if status.st_size > LARGEST_FILE:
            raise Unreadable(f"larger than {LARGEST_FILE >> 20} MB")
        try:
            return file.read()
        except OSError as error:
            raise Unreadable("cannot be read", error.strerror or "") from None


def _why_not_opened(path: str | Path, error: OSError) -> str:
    if os.path.islink(path) and not os.path.exists(path):
        return "link to nothing"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    return "gone" if isinstance(error, FileNotFoundError) else "not a regular file"


def picture(content: bytes, *, upright: bool = True, least: int | None = None) -> "Image.Image":
    """The image in ``content`` as RGB, 8 bits a channel.

    Grey, palette, CMYK and the like are converted; what is transparent lies on white; of an animation it is the first
    frame. 16 bits are scaled by their range (0..65535), 32-bit and floating values by that of the image, unless
    they are floats within 0..1.

    Parameters
    ----------
    upright : turn the image as its EXIF orientation says.
    least : pixels; a JPEG may be decoded at a half, a quarter or an eighth of its size while both sides keep so many.

    Raises
    ------
    Unreadable : not an image, damaged, without a finite value, or of more than 2**27 pixels.
    """

    def made(image: "Image.Image") -> "Image.Image":
        return _turned(_rgb(image), _orientation(image) if upright else 1)

    return _safely(content, made, least)


def _safely(content: bytes, made: "Callable[[Image.Image], Image.Image]", least: int | None = None) -> "Image.Image":
    """What ``made`` makes of the opened image."""
    with quietly():
        try:
            with _opened(content) as image:
                if least is not None:
                    image.draft(None, (least, least))
                with _turn(image.width * image.height):
                    image.load()
                    return made(image)
        except Unreadable:
            raise
        except MemoryError:
            raise Unreadable("too many pixels") from None
        except Exception as error:  # decoders raise a dozen types on a damaged file
            raise Unreadable("damaged", _line(error)) from None


def decoded(content: bytes, mode: str) -> "Image.Image":
    """The image in ``content`` in ``mode`` "L" or "RGB", as it lies in the file: not turned, transparency left out.

    So are the registered sets read. Wide values are scaled as :func:`picture` does.

    Raises
    ------
    Unreadable : as :func:`picture`.
    """
    return _safely(content, lambda image: (_scaled(image) if image.mode in _WIDE else image).convert(mode))


@contextmanager
def quietly() -> "Iterator[None]":
    """Without Pillow's warnings: odd EXIF blocks and the like do not concern the pixels.

    Python's filters belong to the process, so only the main thread sets them; workers run within its block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _opened(content: bytes) -> "Image.Image":
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        raise Unreadable("too many pixels") from None
    except UnidentifiedImageError:
        raise Unreadable("not an image") from None
    if image.width * image.height > LARGEST_PICTURE:
        raise Unreadable("too many pixels", f"{image.width:,} x {image.height:,}")
    return image


def _turn(pixels: int) -> Any:
    """Large pictures take turns, so that many threads do not need many times the memory."""
    return _one_at_a_time if pixels > _ALONE else nullcontext()


_WIDE = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def _rgb(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    if image.mode in _WIDE:
        return _scaled(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    return image.convert("RGB")


def _scaled(image: "Image.Image") -> "Image.Image":
    """Values wider than 8 bits as 0..255."""
    from PIL import Image

    values = np.asarray(image)
    if values.dtype.kind == "u" or (image.mode == "I" and image.format in ("PNG", "PPM")):  # 16 bits
        wide = values.astype(np.uint32)
        return Image.fromarray(((wide * 255 + _SIXTEEN_BITS // 2) // _SIXTEEN_BITS).astype(np.uint8))
    finite = np.isfinite(values)
    if not finite.any():
        raise Unreadable("no finite value")
    low, high = float(values[finite].min()), float(values[finite].max())
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    share = (np.where(finite, values, low).astype(np.float64) - low) / (high - low or 1)
    return Image.fromarray(np.rint(share * 255).astype(np.uint8))


def _orientation(image: "Image.Image") -> int:
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged block of EXIF says nothing about the pixels
        return 1


def _turned(image: "Image.Image", orientation: int) -> "Image.Image":
    from PIL.Image import Transpose

    steps = ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")
    return image.transpose(Transpose[steps[orientation - 2]]) if orientation in range(2, 9) else image


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:120]
