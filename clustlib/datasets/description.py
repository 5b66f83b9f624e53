"""What is said about a data set: where it is from, how it differs, which files hold it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataFile:
    """One file (or folder) of a set.

    Parameters
    ----------
    path : below the data folder, with forward slashes.
    sha256 : of the file, where it is known; ``md5`` where its home documents only that.
    unpacked_sha256 : of the decompressed content; on loading it takes the place of ``sha256``, so that a
        copy that was packed anew passes.
    size : bytes. urls : where it can be downloaded, best first. folder : ``path`` is a folder.
    """

    path: str
    sha256: str | None = None
    size: int | None = None
    urls: tuple[str, ...] = ()
    md5: str | None = None
    unpacked_sha256: str | None = None
    folder: bool = False

    @property
    def pinned(self) -> bool:
        """Whether a checksum is known, so that the file may be downloaded."""
        return bool(self.sha256 or self.md5)


@dataclass(frozen=True)
class Layout:
    """One way in which a set may lie on disk: its files and the reader that turns them into images."""

    reader: str
    files: tuple[DataFile, ...] = ()

    @property
    def downloadable(self) -> bool:
        """Whether every file has an address and a checksum."""
        return bool(self.files) and all(file.urls and file.pinned for file in self.files)

    def __str__(self) -> str:
        return " + ".join(file.path + "/" * file.folder for file in self.files)


@dataclass(frozen=True)
class DatasetInfo:
    """What a reader should know before using a set.

    Parameters
    ----------
    shape : (C, H, W) of an image, None where images differ in size.
    source, licence, differs : text; ``differs`` says how our copy departs from the papers' or the original.
    how : how to get it.
    stand_in : the registered set that stands in for it where it cannot be had.
    layouts : the ways it may lie on disk; the first that is there is read.
    supplied : to be supplied by the user: ``load`` never downloads it.
    exact : whether the number of images is checked (it cannot be where a paper drew a subset at random).
    content : the loaded set's ``ImageSet.checksum``, for a file that users pack themselves.
    """

    name: str
    title: str
    n_samples: int
    n_classes: int | None
    shape: tuple[int, int, int] | None
    source: str
    licence: str
    how: str
    differs: str
    stand_in: str | None = None
    layouts: tuple[Layout, ...] = ()
    supplied: bool = False
    exact: bool = True
    content: str | None = None

    @property
    def files(self) -> tuple[DataFile, ...]:
        """Every file that any of the layouts names."""
        return tuple(dict.fromkeys(file for layout in self.layouts for file in layout.files))

    @property
    def streamed(self) -> bool:
        """Too large for one array: notebooks read it image by image from its folder."""
        return self.layouts[0].reader == "stream"

    @property
    def download(self) -> Layout | None:
        """The layout that can be downloaded, if there is one."""
        return next((layout for layout in self.layouts if layout.downloadable), None)
