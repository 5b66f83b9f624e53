"""Any file as 8-bit RGB, or the reason why not."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from odd_files import FILES, READ, bomb, encoded, fill, photo
from PIL import Image

from clustlib.datasets import ImageFolder
from clustlib.datasets.listing import list_images
from clustlib.datasets.pictures import Unreadable, content_of, picture


def test_there_are_forty_kinds():
    assert len(FILES) >= 40


@pytest.mark.parametrize("name", FILES)
def test_each_kind_of_content_is_read_or_named(name, tmp_path):
    content, outcome = FILES[name]
    path = tmp_path / "file"
    path.write_bytes(content if isinstance(content, bytes) else content())
    if outcome == READ:
        image = picture(content_of(path))
        assert image.mode == "RGB"
        assert image.width >= 1
    elif not outcome.startswith(("not an image file", "hidden")):
        with pytest.raises(Unreadable) as caught:
            picture(content_of(path))
        assert caught.value.reason == outcome
        assert len(str(caught.value)) <= 200


def test_sixteen_bits_are_scaled_by_their_range():
    values = np.array([[0, 4096, 32768, 65535]], np.uint16)
    for kind in ("PNG", "TIFF"):
        found = np.asarray(picture(encoded(Image.fromarray(values), kind)))
        assert found[0, :, 0].tolist() == [0, 16, 128, 255]


def test_other_wide_values_are_scaled_by_the_image_s_own_range_and_unit_floats_as_they_are():
    whole = np.array([[-1000, 0, 1000]], np.int32)
    assert np.asarray(picture(encoded(Image.fromarray(whole), "TIFF")))[0, :, 0].tolist() == [0, 128, 255]
    unit = np.array([[0.0, 0.25, 0.5]], np.float32)
    assert np.asarray(picture(encoded(Image.fromarray(unit), "TIFF")))[0, :, 0].tolist() == [0, 64, 128]
    wide = np.array([[0, np.nan, 50, 200]], np.float32)
    assert np.asarray(picture(encoded(Image.fromarray(wide), "TIFF")))[0, :, 0].tolist() == [0, 0, 64, 255]


def test_eight_bit_images_keep_their_values():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (np.asarray(picture(encoded(Image.fromarray(values), "PNG")))[..., 1] == values).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_on_white(mode):
    clear = Image.new("RGBA", (6, 6), (0, 0, 0, 0))
    image = clear.convert(mode) if mode != "P" else Image.new("P", (6, 6), 0)
    options = {"transparency": 0} if mode == "P" else {}
    assert (np.asarray(picture(encoded(image, "PNG", **options))) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_says(orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(photo(20, 60), "JPEG", exif=exif)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))
    assert (np.asarray(picture(content)) == wanted).all()
    assert picture(content, upright=False).size == (60, 20)


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.asarray(picture(content))[4, 4].tolist() == [255, 0, 0]


def test_a_large_jpeg_may_be_decoded_small():
    content = encoded(photo(1600, 2400), "JPEG")
    assert picture(content).size == (2400, 1600)
    assert 200 <= min(picture(content, least=200).size) < 800


def test_a_decompression_bomb_costs_no_memory():
    script = f"""
import resource, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from odd_files import bomb
from clustlib.datasets.pictures import Unreadable, picture
from PIL import Image
content = bomb()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    picture(content)
except Unreadable as error:
    print(error, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, encoding="utf-8")
    *said, megabytes = done.stdout.split()
    assert " ".join(said).startswith("too many pixels: 13,000 x 13,000"), done.stderr
    assert int(megabytes) < 50


def test_pillow_s_settings_and_python_s_filters_stay(recwarn):
    import warnings

    before = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    with pytest.raises(Unreadable):
        picture(bomb(12_000))
    assert (list(warnings.filters), Image.MAX_IMAGE_PIXELS) == before
    assert not recwarn.list


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_not_opened(make, tmp_path):
    make(tmp_path / "a.png")
    with pytest.raises(Unreadable, match="not a regular file"):
        content_of(tmp_path / "a.png")


def test_every_kind_of_entry_is_listed_or_skipped_with_its_reason(tmp_path):
    expected = fill(tmp_path)
    found = list_images(tmp_path)
    unread = {name: why for name, why in expected.items() if why in set(found.skipped.values()) - {"damaged"}}
    assert found.skipped == unread
    assert set(found.files) == set(expected) - set(unread)
    assert found.files == sorted(found.files, key=lambda name: name.split("/"))


def test_links_to_folders_are_followed_once(tmp_path):
    (tmp_path / "images" / "a").mkdir(parents=True)
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "x.png").write_bytes(encoded(photo(), "PNG"))
    (tmp_path / "images" / "b").symlink_to(tmp_path / "else")
    (tmp_path / "images" / "c").symlink_to(tmp_path / "else")
    (tmp_path / "images" / "a" / "up").symlink_to(tmp_path / "images")
    found = list_images(tmp_path / "images")
    assert found.files == ["b/x.png"]
    assert set(found.skipped.values()) == {"folder that was listed already"}


class TestImageFolder:
    def test_odd_files_fail_no_fit(self, tmp_path):
        expected = fill(tmp_path)
        folder = ImageFolder(tmp_path)
        assert len(folder.checksum) == 64
        read = [i for i in range(len(folder)) if folder.read(i) is not None]
        assert len(read) == sum(outcome == READ for outcome in expected.values())
        assert len(read) + len(folder.unreadable) == len(folder)
        assert "dangling.png" in folder.skipped

    def test_another_content_of_the_same_size_is_another_folder(self, tmp_path):
        path = tmp_path / "a.bmp"
        path.write_bytes(encoded(photo(seed=1), "BMP"))
        before = ImageFolder(tmp_path).state
        path.write_bytes(encoded(photo(seed=2), "BMP"))
        os.utime(path, ns=(1, 1))
        assert ImageFolder(tmp_path).state != before

    def test_a_vanished_file_is_counted(self, tmp_path):
        for name in "ab":
            (tmp_path / f"{name}.png").write_bytes(encoded(photo(), "PNG"))
        folder = ImageFolder(tmp_path)
        (tmp_path / "a.png").unlink()
        assert folder.read(0) is None
        assert folder.unreadable == {0: "gone"}
        assert len(folder.checksum) == 64
