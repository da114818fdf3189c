"""Pictures that tasks have written: which there are, and one of them as pixels.

Files of tasks may be hostile or broken. So each is read by a process of its own, `python -m tui_lab.results.pictures`,
with little memory and little time, that opens no other file for it. Pillow, resvg-py and pypdfium2 are imported there
alone: they are the extra `tui-lab[images]`.
"""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS: Final = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".pdf")
MOST: Final = 200  # pictures of a task
DEPTH: Final = 3  # folders below that of a task
LARGEST: Final = 50 << 20  # bytes of a file
MOST_PIXELS: Final = 40_000_000
WIDEST: Final = 4096  # pixels of what is made of it
FINER: Final = 4  # times the wanted size, in which drawings are made before they are made smaller
MEMORY: Final = 2 << 30  # bytes
PROCESSOR_TIME: Final = 5  # seconds
PATIENCE: Final = 20.0  # seconds, on a machine that does other things, too


class PictureError(Exception):
    """A picture can't be shown. Its text says why."""


class PictureFile(NamedTuple):
    """A picture. name: its path from the folder of its task."""

    path: Path
    name: str
    size: int
    changed: int  # nanoseconds since 1970


class Raster(NamedTuple):
    """Pixels from left to right, from top to bottom: three bytes each, red, green and blue."""

    width: int
    height: int
    pixels: bytes


def find(folder: Path) -> list[PictureFile]:
    """Return the pictures in a folder and in those below it, by name; of too many, the first. Symbolic links to folders
    are not followed."""
    found: list[PictureFile] = []
    for path in _walk(folder, DEPTH):
        try:
            facts = path.stat()
        except OSError:
            continue
        if stat.S_ISREG(facts.st_mode) and facts.st_size:
            found.append(PictureFile(path, str(path.relative_to(folder)), facts.st_size, facts.st_mtime_ns))
            if len(found) == MOST:
                break
    return found


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    yield from (folder / entry.name for entry in inside if entry.name.lower().endswith(ENDINGS))
    if depth:
        for entry in inside:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(folder / entry.name, depth - 1)


def rasterize(file: PictureFile, width: int, height: int) -> Raster:
    """Return a picture as large as fits into some pixels; of a document, its first page. Blocks.

    Raises PictureError.
    """
    if missing := _missing(file.path):
        raise PictureError(missing)
    size = [str(max(1, min(length, WIDEST))) for length in (width, height)]
    command = [sys.executable, "-P", "-m", "tui_lab.results.pictures", str(file.path), *size]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False, cwd="/"
        )
    except subprocess.TimeoutExpired:
        raise PictureError(f"it takes more than {PATIENCE:g} s to read") from None
    except OSError as error:
        raise PictureError(f"it can't be read: {error.strerror}") from None
    head, _, pixels = done.stdout.partition(b"\n")
    if done.returncode or not head:
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2] if done.returncode == _SAID else ""
        raise PictureError(said[:200] or "it is broken, or needs too much memory or time")
    found = [int(number) for number in head.split()]
    return Raster(found[0], found[1], pixels)


def _missing(path: Path) -> str:
    """Return what is to be installed before a file can be read."""
    needed = {".svg": "resvg_py", ".pdf": "pypdfium2"}.get(path.suffix.lower(), "PIL")
    there = find_spec("PIL") is not None and find_spec(needed) is not None
    return "" if there else "pictures need: pip install 'tui-lab[images]'"


# --- The process that reads a file
_SAID: Final = 3  # its exit status, if its last line says what is wrong


def main(words: list[str]) -> int:
    """Read a file, and write it to standard output, as its size and its pixels; return the exit status."""
    _limit()
    from PIL import Image, UnidentifiedImageError

    path, width, height = words[0], int(words[1]), int(words[2])
    try:
        picture = rasterized(path, width, height)
    except PictureError as error:
        print(error, file=sys.stderr)
        return _SAID
    except MemoryError:
        print("it needs too much memory", file=sys.stderr)
        return _SAID
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        print("it has too many pixels", file=sys.stderr)
        return _SAID
    except UnidentifiedImageError:
        print("it is no picture of this format", file=sys.stderr)
        return _SAID
    except Exception as error:  # noqa: BLE001 (whatever the libraries raise at a broken file)
        print(f"it can't be read: {str(error) or type(error).__name__}", file=sys.stderr)
        return _SAID
    sys.stdout.buffer.write(b"%d %d\n" % picture.size)
    sys.stdout.buffer.write(picture.tobytes())
    sys.stdout.buffer.flush()
    return 0


def _limit() -> None:
    """Give this process little memory and time, and let it write no file."""
    import resource

    for what, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, PROCESSOR_TIME),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))


def rasterized(path: str, width: int, height: int) -> Image:
    """Return a picture that fits into some pixels, on white; in this process, which should be a limited one.

    Raises PictureError, and whatever the libraries raise at a broken file.
    """
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would be waited for
    with os.fdopen(number, "rb") as file:
        facts = os.fstat(number)
        if not stat.S_ISREG(facts.st_mode):
            raise PictureError("it is no file")
        if facts.st_size > LARGEST:
            raise PictureError(f"it has {facts.st_size >> 20:,} MiB; at most {LARGEST >> 20} are shown")
        data = file.read(LARGEST + 1)
    ending = os.path.splitext(path)[1].lower()  # noqa: PTH122
    if ending == ".svg":
        picture = _svg(data, width * FINER)
    elif ending == ".pdf":
        picture = _first_page(data, width * FINER, height * FINER)
    else:
        picture = Image.open(io.BytesIO(data), formats=["PNG", "JPEG", "GIF", "WEBP"])
        if picture.width * picture.height > MOST_PIXELS:
            raise PictureError(f"it has {picture.width:,} x {picture.height:,} pixels: too many")
        picture.draft("RGB", (width * 2, height * 2))  # a JPEG is read in less detail
    scale = min(width / picture.width, height / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    if picture.mode == "RGB":
        return picture.resize(size, Image.Resampling.LANCZOS)
    fitting = picture.convert("RGBA").resize(size, Image.Resampling.LANCZOS)
    ground = Image.new("RGB", size, "white")
    ground.paste(fitting, mask=fitting.getchannel("A"))
    return ground


def _svg(data: bytes, width: int) -> Image:
    import resvg_py
    from PIL import Image

    drawn = resvg_py.svg_to_bytes(svg_string=_without_references(data), width=min(width, WIDEST), dpi=96)
    return Image.open(io.BytesIO(bytes(drawn)), formats=["PNG"])


def _without_references(data: bytes) -> str:
    """Return an SVG without the names of other files, which resvg would open. Those in a picture within it are not."""
    from xml.etree import ElementTree

    root = ElementTree.fromstring(data)
    for element in root.iter():
        for name, value in list(element.attrib.items()):
            if name.rpartition("}")[2] == "href" and not value.strip().startswith(("#", "data:")):
                del element.attrib[name]
    return ElementTree.tostring(root, "unicode")


def _first_page(data: bytes, width: int, height: int) -> Image:
    import pypdfium2

    page = pypdfium2.PdfDocument(data)[0]
    scale = min(width / page.get_width(), height / page.get_height())
    drawn: Image = page.render(scale=scale, may_draw_forms=False).to_pil()
    return drawn.convert("RGB")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
