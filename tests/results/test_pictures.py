"""Pictures of tasks: found, and read by a process that nothing in them can harm."""

from __future__ import annotations

import os
import struct
import zlib
from base64 import b64encode
from pathlib import Path

import pytest
from PIL import Image

from tui_lab.results import pictures
from tui_lab.results.pictures import MOST, PictureError, PictureFile, Raster, find, rasterize, rasterized

RED = (255, 0, 0)


def read(path: Path, width: int = 40, height: int = 40) -> Raster:
    return rasterize(PictureFile(path, path.name, 1, 1), width, height)


def pixel(raster: Raster, x: int, y: int) -> tuple[int, ...]:
    at = (y * raster.width + x) * 3
    return tuple(raster.pixels[at : at + 3])


def svg(inside: str, size: str = 'width="40" height="20"') -> str:
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f"<svg {names} {size}>{inside}</svg>"


def png(width: int, height: int, inside: bytes) -> bytes:
    """A PNG that says of which size it is."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(inside)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def test_pictures_are_found_by_name_a_few_folders_deep(tmp_path: Path) -> None:
    for name in ("b.PNG", "a/2.svg", "a/b/c/3.pdf", "a/b/c/d/too-deep.png", "stdout", "notes.txt", "c.jpeg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "gone.png").symlink_to("/nonexistent")
    (tmp_path / "round").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    found = find(tmp_path)
    assert [one.name for one in found] == ["b.PNG", "c.jpeg", "a/2.svg", "a/b/c/3.pdf"]
    assert found[0].size == 1
    assert find(tmp_path / "nonexistent") == []
    for number in range(MOST + 1):
        (tmp_path / f"{number}.gif").write_text("x")
    assert len(find(tmp_path)) == MOST


def test_each_format_is_fitted_into_the_room_on_white(tmp_path: Path) -> None:
    half = Image.new("RGBA", (200, 100), (0, 0, 0, 0))
    half.paste((*RED, 255), (0, 0, 100, 100))
    half.save(tmp_path / "a.png")
    half.save(tmp_path / "b.webp", lossless=True)
    half.convert("P").save(tmp_path / "c.gif", transparency=0)
    (tmp_path / "d.svg").write_text(svg('<rect width="20" height="20" fill="red"/>', 'width="40pt" height="20pt"'))
    for file in find(tmp_path):
        found = rasterize(file, 40, 40)
        assert (found.width, found.height, len(found.pixels)) == (40, 20, 2400), file.name
        assert pixel(found, 2, 10) == RED, file.name
        assert file.name == "c.gif" or pixel(found, 37, 10) == (255, 255, 255), file.name
    pages = [Image.new("RGB", (300, 600), colour) for colour in ("red", "blue")]
    pages[0].save(tmp_path / "e.pdf", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "f.jpg")
    for name in ("e.pdf", "f.jpg"):
        found = read(tmp_path / name)
        assert (found.width, found.height) == (20, 40)
        assert all(abs(a - b) < 3 for a, b in zip(pixel(found, 10, 20), RED, strict=True))  # the first page


def test_what_an_svg_refers_to_is_not_opened(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), "blue").save(tmp_path / "secret.png")
    own = "data:image/png;base64," + b64encode((tmp_path / "secret.png").read_bytes()).decode()
    (tmp_path / "a.svg").write_text(svg(f'<image xlink:href="{own}" width="40" height="20"/>'))
    assert pixel(read(tmp_path / "a.svg"), 20, 10) == (0, 0, 255)
    for reference in (
        "secret.png",
        f"{tmp_path}/secret.png",
        f" {tmp_path}/secret.png",
        f"file://{tmp_path}/secret.png",
    ):
        for name in ("href", "xlink:href"):
            text = svg(f'<image {name}="{reference}" width="40" height="20"/>')
            within = "data:image/svg+xml;base64," + b64encode(text.encode()).decode()
            for one in (text, svg(f'<image xlink:href="{within}" width="40" height="20"/>')):
                (tmp_path / "a.svg").write_text(one)
                found = rasterized(str(tmp_path / "a.svg"), 40, 40)
                assert found.getpixel((20, 10)) == (255, 255, 255), one


ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 20))


@pytest.mark.parametrize(
    ("name", "data", "wanted"),
    [
        ("bomb.png", png(60_000, 60_000, bytes(1000)), "it has too many pixels"),
        ("large.png", png(8000, 8000, bytes(1000)), "it has 8,000 x 8,000 pixels: too many"),
        ("no.png", b"no picture", "it is no picture of this format"),
        ("cut.png", png(100, 100, bytes(1000))[:70], "it can't be read: "),
        ("other.png", svg("").encode(), "it is no picture of this format"),
        ("broken.svg", b"<svg", "it can't be read: "),
        ("long.svg", svg("", 'width="1" height="100000000"').encode(), ""),
        ("laugh.svg", f"<!DOCTYPE s [<!ENTITY a0 'a'>{ENTITIES}]>{svg('<text>&a19;</text>')}".encode(), ""),
        ("no.pdf", b"%PDF-1.4", "it can't be read: "),
    ],
)
def test_a_broken_or_hostile_file_is_reported(tmp_path: Path, name: str, data: bytes, wanted: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(PictureError) as caught:
        read(tmp_path / name)
    said = str(caught.value)
    assert said.startswith(wanted) and said and "\n" not in said and str(tmp_path) not in said


def test_no_pipe_is_waited_for_and_no_large_file_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with open(tmp_path / "large.png", "wb") as large:
        large.truncate(60 << 20)
    for name, wanted in (("pipe.png", "it is no file"), ("large.png", "it has 60 MiB; at most 50 are shown")):
        with pytest.raises(PictureError, match=wanted):
            read(tmp_path / name)
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    with pytest.raises(PictureError, match=r"pictures need: pip install 'tui-lab\[images\]'"):
        read(tmp_path / "pipe.png")
