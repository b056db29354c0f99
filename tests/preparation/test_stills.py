"""Stills of any format, folders of them, and files that are neither pictures nor films."""

import logging

import numpy as np
import pytest
from PIL import Image, features

from lipsync_fast import media
from lipsync_fast.errors import MediaError
from lipsync_fast.media.images import image_facts
from lipsync_fast.preparation import prepare

SUFFIXES = ["avif", "webp", "bmp", "tiff", "gif", "ppm", "tga", "jp2", "png", "jpg", "jfif"]


def drawn(turn=0):
    y, x, c = np.ogrid[:48, :64, :3]
    return Image.fromarray(((x * 3 + y * 2 + c * 30 + 20 * turn) % 200).astype(np.uint8))


def save(path, picture=None, **options):
    if path.suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    picture = drawn() if picture is None else picture
    picture.save(path, "JPEG" if path.suffix == ".jfif" else None, **options)
    return path


def made_of(source, tmp_path):
    return prepare(source, tmp_path / "t", preset="wav2lip96", rects="4,4,40,40")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_still_of_any_format_is_one_frame(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}")
    with made_of(path, tmp_path) as template:
        assert (template.count, template.fps, template.width) == (1, 25, 64)


def test_a_still_is_recognised_by_its_content(tmp_path):
    save(tmp_path / "a.webp").rename(tmp_path / "picture")
    with made_of(tmp_path / "picture", tmp_path) as template:
        assert template.count == 1


def test_a_folder_of_several_formats_is_whole(tmp_path, caplog):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, suffix in enumerate(("png", "webp", "bmp", "jpg")):
        save(folder / f"{i}.{suffix}", drawn(i))
    (folder / ".DS_Store").touch()
    for name in ("notes.txt", "a.psd"):
        (folder / name).touch()
    (folder / "more").mkdir()
    with caplog.at_level(logging.WARNING), made_of(folder, tmp_path) as template:
        assert template.count == 4
    assert "left out, since they are not images: a.psd, more, notes.txt" in caplog.text


@pytest.mark.parametrize("suffix", ["gif", "png"])
def test_animations_that_ffmpeg_reads_are_films(tmp_path, suffix):
    pytest.importorskip("av")
    rest = [drawn(i) for i in range(1, 5)]
    path = save(tmp_path / f"a.{suffix}", save_all=True, append_images=rest, duration=40)
    with made_of(path, tmp_path) as template:
        assert template.count == 5


@pytest.mark.parametrize("suffix", ["webp", "tiff", "avif"])
def test_other_animations_are_refused_not_cut_to_one_picture(tmp_path, suffix):
    rest = [drawn(i) for i in range(1, 5)]
    path = save(tmp_path / f"a.{suffix}", save_all=True, append_images=rest)
    with pytest.raises(MediaError, match="holds 5 pictures; save each"):
        made_of(path, tmp_path)
    with pytest.raises(MediaError, match="holds 5 pictures; save each"):
        made_of(tmp_path, tmp_path.parent)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("a.txt", "hello\n" * 40), ("a.nfo", "hello\n" * 40), ("a", "hello\n" * 40)),
        *(("a.mp4", "hello\n" * 40), ("a.srt", "1\n00:00:00,000 --> 00:00:01,000\nhello\n")),
        ("a.txt", "ffconcat version 1.0\nfile 'b.mp4'\n"),
        ("a.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nb.ts\n#EXT-X-ENDLIST\n"),
        *(("a.json", "{}"), ("a.png", "hello"), ("a.bin", "\x00\x01\x02" * 400), ("a.mp4", "")),
    ],
)
def test_a_text_is_no_film(tmp_path, name, text):
    pytest.importorskip("av")
    (tmp_path / name).write_text(text)
    with pytest.raises(MediaError, match=rf"{name} "):
        made_of(tmp_path / name, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_what_a_header_says(tmp_path):
    assert image_facts(save(tmp_path / "a.png")).alpha is False
    assert image_facts(save(tmp_path / "b.png", drawn().convert("RGBA"))).alpha is True
    palette = drawn().convert("P")
    assert image_facts(save(tmp_path / "c.png", palette, transparency=3)).alpha is True
    (tmp_path / "d.png").write_text("hello")
    assert image_facts(tmp_path / "d.png") is None


def test_size_is_looked_at_before_a_pixel_is_read(tmp_path, monkeypatch):
    """A picture of 10 kB that would take half a gigabyte."""
    path = tmp_path / "a.png"
    Image.new("1", (9000, 9000)).save(path)
    assert path.stat().st_size < 100_000

    def decoded(*arguments):
        pytest.fail("its pixels were read")

    monkeypatch.setattr(Image.Image, "convert", decoded)
    with pytest.raises(MediaError, match="9000x9000; the most is 67108864 pixels"):
        media.read_image(path)


@pytest.mark.parametrize("kind", ["pipe", "/dev/zero", "/dev/null"])
def test_pipes_and_devices_are_no_pictures(tmp_path, kind):
    import os

    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes here")
    path = tmp_path / "a.png"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(kind)
    with pytest.raises(MediaError, match="a pipe or a device"):
        media.read_image(path)
