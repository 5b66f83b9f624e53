"""Forty and more kinds of files that people have in folders of images, and what must become of each."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

READ = "read"  # every other outcome is the reason why a file is skipped


def photo(height: int = 40, width: int = 50, seed: int = 0) -> Image.Image:
    """A smooth picture that no other seed gives."""
    low = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(low).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb(side: int = 13_000) -> bytes:
    """A PNG of a few kilobytes that decodes to ``side`` x ``side`` grey pixels."""
    packer = zlib.compressobj(9)
    row = bytes(side + 1)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _huge_header() -> bytes:
    head = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IEND", b"")


def _rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(photo(20, 60), "JPEG", exif=exif)


def _animation() -> bytes:
    frames = [photo(seed=i).quantize() for i in range(3)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def _deep(depth: int = 30) -> str:
    return "/".join(["d"] * depth) + "/deep.png"


def _wide(dtype: str) -> np.ndarray:
    return np.linspace(0, np.iinfo(dtype).max, 30 * 40).reshape(30, 40).astype(dtype)


_RGBA = np.dstack([np.asarray(photo()), np.tile(np.linspace(0, 255, 50), (40, 1)).astype(np.uint8)])

FILES: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    "photo.jpg": (lambda: encoded(photo(), "JPEG"), READ),
    "UPPER.JPEG": (lambda: encoded(photo(seed=1), "JPEG"), READ),
    "progressive.JPG": (lambda: encoded(photo(seed=2), "JPEG", progressive=True), READ),
    "grey.jpg": (lambda: encoded(photo(seed=3).convert("L"), "JPEG"), READ),
    "cmyk.jpg": (lambda: encoded(photo(seed=4).convert("CMYK"), "JPEG"), READ),
    "exif.jpg": (_rotated, READ),
    "broken-exif.jpg": (lambda: encoded(photo(seed=5), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), READ),
    "rgb.png": (lambda: encoded(photo(seed=6), "PNG"), READ),
    "palette.png": (lambda: encoded(photo(seed=7).quantize(), "PNG"), READ),
    "palette-clear.png": (lambda: encoded(photo(seed=8).quantize(), "PNG", transparency=0), READ),
    "alpha.png": (lambda: encoded(Image.fromarray(_RGBA), "PNG"), READ),
    "grey-alpha.png": (lambda: encoded(photo(seed=9).convert("LA"), "PNG"), READ),
    "one-bit.png": (lambda: encoded(photo(seed=10).convert("1"), "PNG"), READ),
    "sixteen.png": (lambda: encoded(Image.fromarray(_wide("uint16")), "PNG"), READ),
    "sixteen.tif": (lambda: encoded(Image.fromarray(_wide("uint16")), "TIFF"), READ),
    "thirty-two.tiff": (lambda: encoded(Image.fromarray(_wide("int32")), "TIFF"), READ),
    "float.tiff": (
        lambda: encoded(Image.fromarray(_wide("uint16").astype("f4") - 9), "TIFF"),
        READ,
    ),
    "nan.tiff": (lambda: encoded(Image.fromarray(np.full((8, 8), np.nan, "f4")), "TIFF"), "no finite value"),
    "packed.TIF": (lambda: encoded(photo(seed=11), "TIFF", compression="tiff_lzw"), READ),
    "windows.bmp": (lambda: encoded(photo(seed=12), "BMP"), READ),
    "still.gif": (lambda: encoded(photo(seed=13).quantize(), "GIF"), READ),
    "moving.gif": (_animation, READ),
    "web.webp": (lambda: encoded(photo(seed=14), "WEBP"), READ),
    "web-lossless.WebP": (lambda: encoded(photo(seed=15).convert("RGBA"), "WEBP", lossless=True), READ),
    "pixel.png": (lambda: encoded(photo(1, 1), "PNG"), READ),
    "line.png": (lambda: encoded(photo(1, 4000), "PNG"), READ),
    "black.png": (lambda: encoded(Image.new("RGB", (30, 30)), "PNG"), READ),
    "large.jpg": (lambda: encoded(photo(2400, 3000, 16), "JPEG"), READ),
    "png-called.jpg": (lambda: encoded(photo(seed=17), "PNG"), READ),
    "twin.png": (lambda: encoded(photo(seed=6), "PNG"), READ),
    "sub folder/žluťoučký kůň.png": (lambda: encoded(photo(seed=18), "PNG"), READ),
    "写真/猫.jpg": (lambda: encoded(photo(seed=19), "JPEG"), READ),
    "a,b\"c'&<script>alert(1)</script>.png".replace("/", "∕"): (lambda: encoded(photo(seed=20), "PNG"), READ),
    "new\nline.png": (lambda: encoded(photo(seed=21), "PNG"), READ),
    _deep(): (lambda: encoded(photo(seed=22), "PNG"), READ),
    "=1+1.png": (lambda: encoded(photo(seed=23), "PNG"), READ),
    "bomb.png": (bomb, "too many pixels"),
    "huge-header.png": (_huge_header, "too many pixels"),
    "empty.png": (b"", "empty file"),
    "cut-off.jpg": (lambda: encoded(photo(400, 500), "JPEG")[:3000], "damaged"),
    "cut-off.png": (lambda: encoded(photo(400, 500), "PNG")[:3000], "damaged"),
    "zeros.png": (bytes(5000), "not an image"),
    "text.jpg": (b"<html>404 not found</html>", "not an image"),
    "postscript.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) show\n", "not an image"),
    ".hidden.jpg": (lambda: encoded(photo(), "JPEG"), "hidden"),
    "._resource.jpg": (b"\0\5\x16\7", "hidden"),
    ".thumbnails/small.jpg": (lambda: encoded(photo(), "JPEG"), "hidden"),
    "Thumbs.db": (b"\xd0\xcf\x11\xe0", "not an image file (.db)"),
    "notes.txt": (b"hello", "not an image file (.txt)"),
    "raw.CR2": (b"II*\0", "not an image file (.cr2)"),
    "README": (b"hello", "not an image file"),
}


def fill(folder: Path) -> dict[str, str]:
    """Write every kind into ``folder``; what must become of each file."""
    expected = {}
    for name, (content, outcome) in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content())
        expected[name if not name.startswith(".thumb") else ".thumbnails"] = outcome
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    (folder / "itself.png").symlink_to("itself.png")
    (folder / "link.png").symlink_to("rgb.png")
    (folder / "circle").symlink_to(folder, target_is_directory=True)
    (folder / "device.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    (folder / "folder.png" / "inside.png").write_bytes(encoded(photo(seed=24), "PNG"))
    expected |= {"dangling.png": "link to nothing", "itself.png": "link in a circle", "link.png": READ}
    expected |= {"circle": "folder that was listed already", "device.png": "not a regular file"}
    expected |= {"pipe.png": "not a regular file", "folder.png/inside.png": READ}
    odd = os.fsdecode(b"latin\xe9.png")
    (folder / odd).write_bytes(encoded(photo(seed=25), "PNG"))
    return {**expected, odd: READ}
