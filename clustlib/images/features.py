"""From image files to vectors, pixels or what a network makes of them: streamed, and kept by content."""

import hashlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from clustlib.datasets.listing import Listing
from clustlib.datasets.pictures import Unreadable, content_of, picture, quietly
from clustlib.images.store import Row, Store

if TYPE_CHECKING:
    from PIL import Image

THUMBNAIL = 112  # pixels of the longer side
_BATCH = 8  # images that go through the network at once; always so many, so that what comes out is always the same
_COMMIT = 2.0  # seconds between two transactions


@dataclass(frozen=True)
class Maker:
    """How vectors are made: ``rule`` names everything that shapes them; ``make`` takes (n, size, size, 3) uint8."""

    rule: str
    size: int
    dtype: Any
    make: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Look:
    """What was seen in a folder.

    Attributes
    ----------
    files : those that could be read, relative to the folder, in order.
    contents : the SHA-256 of each.
    vectors : (n, d) float16 activations, or uint8 pixels (n, size * size * 3) in H, W, C order.
    thumbnails : each as a JPEG.
    skipped : file to (reason, detail).
    """

    files: list[str]
    contents: list[bytes]
    vectors: np.ndarray
    thumbnails: list[bytes]
    skipped: dict[str, tuple[str, str]] = field(default_factory=dict)


def pixels_maker(size: int) -> Maker:
    """Vectors that are the pixels of the middle square, resized."""
    return Maker(f"pixels {size} {_code()}", size, np.uint8, lambda images: images.reshape(len(images), -1))


def _code() -> str:
    """What else shapes a vector: how images are read and cut, and the library that decodes them."""
    import PIL

    from clustlib.datasets import pictures

    total = hashlib.sha256(PIL.__version__.encode())
    for module in (pictures.__file__, __file__):
        with open(module, "rb") as file:
            total.update(file.read())
    return total.hexdigest()[:16]


def look(listing: Listing, maker: Callable[[], Maker] | Maker, store: Store, *, verbose: bool = True) -> Look:
    """The vectors and thumbnails of a folder's images: those that the store lacks are made and kept as they come.

    A run that is killed loses two seconds of work.
    """
    maker = maker() if callable(maker) else maker
    states, skipped = _states(listing)
    known = store.contents((os.fsencode(listing.path(file)), state) for file, state in states.items())
    contents = {f: c for f in states if (c := known.get(os.fsencode(listing.path(f))))}
    have = store.known(maker.rule, contents.values())
    missing = [file for file in states if contents.get(file) not in have]
    with quietly():
        for file, content, problem in _made(listing, states, missing, maker, store, verbose):
            if content is None:
                skipped[file] = problem
            else:
                contents[file] = content
    return _gathered(listing, contents, maker, store, {**_reasons(listing), **skipped})


def _states(listing: Listing) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """What would change with each file's content; files that are gone meanwhile."""
    states, skipped = {}, {}
    for file in listing.files:
        try:
            status = os.stat(listing.path(file))
        except OSError:
            skipped[file] = ("gone", "")
            continue
        states[file] = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
    return states, skipped


def _reasons(listing: Listing) -> dict[str, tuple[str, str]]:
    return {file: (reason, "") for file, reason in listing.skipped.items()}


Made = list[tuple[str, bytes | None, Any]]  # file, content, and its row or why it has no content


def _made(
    listing: Listing, states: dict[str, str], missing: list[str], maker: Maker, store: Store, verbose: bool
) -> Iterator[tuple[str, bytes | None, Any]]:
    """(file, content, None), or (file, None, why) for what has no content, of the files that are missing."""
    from tqdm.auto import tqdm

    if not missing:
        return
    clock = time.monotonic()
    with tqdm(
        total=len(missing), desc="reading images", unit="img", disable=not verbose, mininterval=0.5, delay=0.5
    ) as bar:
        for made in _in_batches([(file, listing.path(file)) for file in missing], maker):
            for file, content, row in made:
                if content is None:
                    yield file, None, row
                    continue
                store.keep_file(os.fsencode(listing.path(file)), states[file], content)
                store.keep_picture(content, maker.rule, row)
                yield file, content, None
            bar.update(len(made))
            if time.monotonic() - clock > _COMMIT:
                store.commit()
                clock = time.monotonic()
    store.commit()


def _in_batches(files: list[tuple[str, str]], maker: Maker) -> Iterator[Made]:
    """Batches in the order in which they are done, one thread for each processor, few waiting."""
    workers = processors()
    batches = iter([files[i : i + _BATCH] for i in range(0, len(files), _BATCH)])
    running: set[Future[Made]] = set()
    with _threads_back(), ThreadPoolExecutor(workers) as pool:
        try:
            for batch in batches:
                running.add(pool.submit(_batch, batch, maker))
                if len(running) > 2 * workers:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in running:
                future.cancel()


def processors() -> int:
    """How many this process may use, and ``OMP_NUM_THREADS`` at most."""
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(free, int(asked)) if asked.isdigit() and int(asked) > 0 else free


@contextmanager
def _threads_back() -> Iterator[None]:
    """Give torch its threads back in the end: the workers compute with one each, which holds for the whole process."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else processors()
    try:
        yield
    finally:
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(before)


def _batch(batch: list[tuple[str, str]], maker: Maker) -> Made:
    made: Made = []
    good: list[tuple[str, bytes, np.ndarray, bytes]] = []
    for file, path in batch:
        try:
            data = content_of(path)
        except Unreadable as error:
            made.append((file, None, (error.reason, error.detail)))
            continue
        content = hashlib.sha256(data).digest()
        try:
            image = picture(data, least=max(maker.size, THUMBNAIL))
        except Unreadable as error:
            made.append((file, content, Row((f"{error.reason}\n{error.detail}", b"", b""))))
            continue
        good.append((file, content, square(image, maker.size), thumbnail(image)))
    if good:
        vectors = maker.make(np.stack([pixels for _, _, pixels, _ in good])).astype(maker.dtype, copy=False)
        for (file, content, _, small), vector in zip(good, vectors):
            made.append((file, content, Row((None, vector.tobytes(), small))))
    return made


def square(image: "Image.Image", size: int) -> np.ndarray:
    """The middle square of an image at ``size`` by ``size`` pixels, (size, size, 3) uint8."""
    from PIL import Image

    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box, reducing_gap=3.0))


def thumbnail(image: "Image.Image") -> bytes:
    """The whole image, small, as a JPEG; one that is very long is cut to its middle."""
    from PIL import Image

    width, height = image.size
    wide, high = min(width, 2 * height), min(height, 2 * width)
    box = ((width - wide) // 2, (height - high) // 2, (width + wide) // 2, (height + high) // 2)
    scale = min(1.0, THUMBNAIL / max(wide, high))
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    written = io.BytesIO()
    image.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=3.0).save(written, "JPEG", quality=72)
    return written.getvalue()


def _gathered(
    listing: Listing, contents: dict[str, bytes], maker: Maker, store: Store, skipped: dict[str, tuple[str, str]]
) -> Look:
    """Everything in the order of the listing, out of the store."""
    places: dict[bytes, list[str]] = {}
    for file in listing.files:
        if file in contents:
            places.setdefault(contents[file], []).append(file)
    problems: dict[bytes, tuple[str, str]] = {}
    known = store.known(maker.rule, places)
    order = {content: i for i, content in enumerate(c for c in places if c in known)}
    vectors: np.ndarray | None = None
    thumbnails: list[bytes] = [b""] * len(order)
    for content, row in store.rows(maker.rule, order):
        if row.problem is not None:
            reason, _, detail = row.problem.partition("\n")
            problems[content] = (reason, detail)
            continue
        vector = np.frombuffer(row.vector, maker.dtype)
        if vectors is None:
            vectors = np.empty((len(order), len(vector)), maker.dtype)
        vectors[order[content]] = vector
        thumbnails[order[content]] = row.thumbnail
    files = [f for f in listing.files if f in contents and contents[f] not in problems]
    skipped |= {f: problems[c] for f, c in contents.items() if c in problems}
    if not files or vectors is None:
        return Look([], [], np.empty((0, 0), maker.dtype), [], skipped)
    index = [order[contents[file]] for file in files]
    if index != list(range(len(vectors))):
        vectors = vectors[index]
    return Look(files, [contents[f] for f in files], vectors, [thumbnails[i] for i in index], skipped)
