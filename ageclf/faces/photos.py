"""A person's own photos: read upright, faces found in them, and cropped as in UTKFace."""

import contextlib
import io
import math
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

import ageclf
from ageclf.faces.csv_table import SIZE
from ageclf.faces.utkface import mended, shrink

READ = ["JPEG", "PNG", "WEBP", "GIF"]  # Pillow knows formats that run other programs, too
with contextlib.suppress(ImportError):  # a plugin that not everybody installs
    import pillow_heif

    pillow_heif.register_heif_opener()
    READ.append("HEIF")

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".gif")
FORMATS = "JPEG, PNG, WebP or HEIC"
MAX_SIDE = 4000  # pixels; larger photos are made smaller, most JPEGs of more than twice that while they are decoded
MAX_BYTES = 2**29  # of a file

# UTKFace's crop relative to the square that the cascade finds: medians of 59 of its crops, each in a wide black
# border, found in 61. The quartiles of the side are 0.95 and 1.04, those of the shift 0.08 and 0.10.
CROP_SIDE, CROP_DOWN = 0.98, 0.09  # of the square's side, of the crop's side
BOX = ("x", "y", "width", "height")  # pixels of the upright photo
UTKFACE_SIDE = 200  # pixels of its crops, before they become 48


def list_photos(paths: Iterable[str | Path]) -> list[Path]:
    """Return the files among paths, and of folders the pictures that lie in them, by name; each once.

    A path where there is nothing, and a folder without a picture, are returned as they are: `read_faces` reports them.
    """
    found = []
    for path in map(Path, paths):
        inside = []
        with contextlib.suppress(OSError):
            inside = sorted(file for file in path.glob("[!.]*") if file.suffix.lower() in ENDINGS and not file.is_dir())
        found += inside or [path]
    return list(dict.fromkeys(found))


def read_faces(paths: Iterable[str | Path], cropped: bool = False) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame]:
    """Find and crop the faces of photos, one photo after the other, so that only the crops are kept in memory.

    Returns a table with a row for each face, its crop, uint8 (n, 48, 48), and a table of the photos without one. The
    first has `photo` (its path, printable), `face` (from 1), and the box as `x`, `y`, `width`, `height`, in pixels of
    the upright photo; the last has `photo` and `reason`, whatever it was that went wrong with it. Pictures that are
    `cropped` already, as UTKFace's are, are taken whole.
    """
    rows, crops, problems = [], [], []
    for path in paths:
        try:
            photo, reduced = read_photo(path)
            if cropped and photo.shape[0] != photo.shape[1]:
                raise ValueError("not square, so no face cropped as in UTKFace; leave --cropped out")
            boxes = np.array([[0, 0, *photo.shape[:2]]]) if cropped else find_faces(photo)
            if not len(boxes):
                raise ValueError("no face found; it must be seen from the front, upright, and not too small")
            found = [_small(photo)] if cropped else [crop_face(photo, box) for box in boxes]
        except Exception as error:  # one photo must not cost the others
            what = error if isinstance(error, ValueError) else f"{type(error).__name__}: {error}; leave this photo out"
            problems.append((ageclf.printable(path), ageclf.printable(" ".join(str(what).split()))))
            continue
        boxes = (boxes * reduced).round().astype(int)
        rows += [(ageclf.printable(path), number, *box) for number, box in enumerate(boxes, start=1)]
        crops += found
    table = pd.DataFrame(rows, columns=["photo", "face", *BOX])
    crops = np.array(crops, dtype=np.uint8).reshape(-1, SIZE, SIZE)
    return table, crops, pd.DataFrame(problems, columns=["photo", "reason"])


def read_photo(path: str | Path) -> tuple[np.ndarray, float]:
    """Read a photo, turned upright, uint8 (height, width, 3), red, green, blue; and by how much it was reduced.

    That is 1, or what makes its longer side `MAX_SIDE`. Raises ValueError, with the reason and the remedy, for a file
    that is no photo in one of `FORMATS`, is damaged or animated, or has more pixels than Pillow takes for safe.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"no photo lies in this folder ({', '.join(ENDINGS[:-1])}); name the one that holds them")
    if not path.is_file():  # reading a device or a pipe may never end
        raise ValueError(f"{'this is no regular' if path.exists() else 'there is no such'} file; look at its name")
    with path.open("rb") as file:
        content = mended(file.read(min(MAX_BYTES, path.stat().st_size)))
    try:
        with warnings.catch_warnings(action="ignore"):  # Pillow's, of damage beside the picture
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=READ)
            longer, frames = max(picture.size), getattr(picture, "n_frames", 1)
            picture.thumbnail((MAX_SIDE, MAX_SIDE), reducing_gap=1.0)
            picture.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels; make it smaller first") from None
    except UnidentifiedImageError:
        lacks_plugin = path.suffix.lower() in {".heic", ".heif"} and "HEIF" not in READ
        remedy = "pip install pillow-heif" if lacks_plugin else f"photos are {FORMATS}; save it as one of them"
        raise ValueError(f"not a picture that can be read; {remedy}") from None
    except Exception as error:  # whatever a damaged file causes
        raise ValueError(f"cut short or damaged ({error}); get the file again") from None
    if frames > 1 and picture.format in ("GIF", "PNG", "WEBP"):
        raise ValueError(f"{picture.format} with {frames} pictures; save the one you mean as JPEG or PNG")
    if picture.mode.startswith("I"):  # 16 bits a pixel, which `convert` would cut off at 255
        picture = Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
    with contextlib.suppress(Exception), warnings.catch_warnings(action="ignore"):  # of what is not the picture
        ImageOps.exif_transpose(picture, in_place=True)
    if picture.has_transparency_data:  # what is seen through is white, as on paper
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    return np.asarray(picture.convert("RGB")), longer / max(picture.size)


def find_faces(photo: np.ndarray) -> np.ndarray:
    """Find faces seen from the front: int (n, 4), left, top, width and height in pixels of a photo, left ones first.

    By OpenCV's cascade (Viola and Jones, 2001), on the photo reduced to at most 1,000 pixels. It misses faces that are
    turned, covered, or smaller than a thirtieth of the photo, and sometimes finds a face in a pattern.
    """
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    shrunk = min(1.0, 1000 / max(grey.shape))
    size = [max(1, round(side * shrunk)) for side in grey.shape[::-1]]
    grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    border = max(grey.shape) // 4  # a face that fills the photo is not found without
    grey = cv2.copyMakeBorder(grey, border, border, border, border, cv2.BORDER_CONSTANT, value=0)
    boxes = _cascade().detectMultiScale(grey, scaleFactor=1.1, minNeighbors=8, minSize=(30, 30))
    boxes = ((np.reshape(np.asarray(boxes, float), (-1, 4)) - [border, border, 0, 0]) / shrunk).round().astype(int)
    return boxes[np.lexsort((boxes[:, 1], boxes[:, 0]))]


@cache
def _cascade() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.data.haarcascades, "haarcascade_frontalface_alt2.xml")))


def crop_face(photo: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Crop the face in one of the boxes of `find_faces` as UTKFace does, and make it what the network takes: uint8
    (48, 48). What lies outside the photo is black, as in UTKFace.
    """
    left, top, width, height = box
    side = CROP_SIDE * width
    x, y = math.floor(left + (width - side) / 2), math.floor(top + (height - side) / 2 + CROP_DOWN * side)
    size = max(1, round(side))
    return _small(np.asarray(Image.fromarray(photo).crop((x, y, x + size, y + size))))


def _small(crop: np.ndarray) -> np.ndarray:
    way = cv2.INTER_AREA if len(crop) > UTKFACE_SIDE else cv2.INTER_LINEAR
    return shrink(cv2.resize(crop, (UTKFACE_SIDE, UTKFACE_SIDE), interpolation=way)[..., ::-1])
