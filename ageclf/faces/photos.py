"""A person's own photos: read upright, faces found in them, cropped as UTKFace does it, and told into groups."""

import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ageclf.faces.utkface import shrink

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".gif")


FORMATS = "JPEG, PNG, WebP or HEIC"


MAX_PIXELS = 64_000_000  # 200 MB as they are decoded


TOO_LARGE = f"more than {MAX_PIXELS // 10**6} million pixels; make it smaller first"


# Where UTKFace's crop lies about the square that the cascade finds: medians of 59 of its crops, each in a wide black
# border, found in 61. The quartiles of the side are 0.95 and 1.04, those of the shift 0.08 and 0.10.
CROP_SIDE, CROP_DOWN = 0.98, 0.09  # of the square's side, of the crop's side


BOX = ("x", "y", "width", "height")  # pixels of the upright photo


UTKFACE_SIDE = 200  # pixels of its crops, before they become 48


def list_photos(paths: Iterable[str | Path]) -> list[Path]:
    """Return the files among paths, and of folders the pictures that lie in them, by name; each once.

    A path that there is not is returned as it is, and a folder without a picture too: `tell` says so.
    """
    found = []
    for path in map(Path, paths):
        inside = path.iterdir() if path.is_dir() else []
        pictures = (file for file in inside if file.suffix.lower() in ENDINGS and not file.name.startswith("."))
        found += sorted(file for file in pictures if not file.is_dir()) or [path]
    return list(dict.fromkeys(found))


def read_photo(path: str | Path) -> np.ndarray:
    """Read a photo as it is seen upright: uint8 (height, width, 3), red, green, blue.

    Raises ValueError, with the reason and the remedy, for what is no photo in one of `FORMATS`, is damaged, moves, or
    has more than `MAX_PIXELS`.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError("there is no such file; look at its name")
    if path.is_dir():
        raise ValueError(f"no photo lies in this folder ({', '.join(ENDINGS[:-1])}); name the one that holds them")
    _read_heic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is lower
            picture = Image.open(path)
        if not (refusal := _refusal(picture)):
            picture.load()
    except Image.DecompressionBombError:
        raise ValueError(TOO_LARGE) from None
    except UnidentifiedImageError:
        lacks_plugin = path.suffix.lower() in (".heic", ".heif") and not _read_heic()
        remedy = "pip install pillow-heif" if lacks_plugin else f"photos are {FORMATS}; get the file again"
        raise ValueError(f"not a picture that can be read; {remedy}") from None
    except Exception as error:  # whatever a damaged file leads to
        raise ValueError(f"cut short or damaged ({' '.join(str(error).split())}); get the file again") from None
    if refusal:
        raise ValueError(refusal)
    if picture.mode.startswith("I"):  # 16 bits a pixel, which `convert` would cut off at 255
        picture = Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
    upright = ImageOps.exif_transpose(picture)
    if upright.has_transparency_data:  # what is seen through is white, as on paper
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright.convert("RGBA"))
    return np.asarray(upright.convert("RGB"))


def _refusal(picture: Image.Image) -> str:
    if picture.format == "GIF" or (picture.format in ("PNG", "WEBP") and getattr(picture, "is_animated", False)):
        return f"{picture.format} with {picture.n_frames} pictures; save the one you mean as JPEG or PNG"
    if picture.width * picture.height > MAX_PIXELS:
        return f"{picture.width:,}×{picture.height:,} pixels, {TOO_LARGE}"
    return ""


@cache
def _read_heic() -> bool:
    """Let Pillow read HEIC, when its plugin is installed."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def find_faces(photo: np.ndarray) -> np.ndarray:
    """Find faces seen from the front: int (n, 4), left, top, width and height in pixels of a photo, left ones first.

    The cascade of OpenCV (Viola and Jones, 2001) sees the photo at 1,000 pixels at most. It misses faces that are
    turned, covered, or smaller than a thirtieth of the photo, and it takes a pattern for a face now and then.
    """
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    shrunk = min(1.0, 1000 / max(grey.shape))
    grey = cv2.resize(grey, None, fx=shrunk, fy=shrunk, interpolation=cv2.INTER_AREA) if shrunk < 1 else grey
    border = max(grey.shape) // 4  # a face that fills the photo is not found without
    grey = cv2.copyMakeBorder(grey, border, border, border, border, cv2.BORDER_CONSTANT, value=0)
    boxes = _cascade().detectMultiScale(grey, scaleFactor=1.1, minNeighbors=8, minSize=(30, 30))
    boxes = (np.reshape(np.asarray(boxes, float), (-1, 4)) - [border, border, 0, 0]) / shrunk
    boxes = boxes.round().astype(int)
    return boxes[np.lexsort((boxes[:, 1], boxes[:, 0]))]


@cache
def _cascade() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.data.haarcascades, "haarcascade_frontalface_alt2.xml")))


def crop_face(photo: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Crop the face in one of the boxes of `find_faces` as UTKFace does, and make it what the network takes: uint8
    (48, 48). What lies outside the photo is black, as it is there.
    """
    left, top, width, height = (float(value) for value in box)
    side = CROP_SIDE * width
    first = np.floor([left + (width - side) / 2, top + (height - side) / 2 + CROP_DOWN * side]).astype(int)
    size = max(1, round(side))
    crop = np.zeros((size, size, 3), np.uint8)
    inside = [slice(max(0, start), max(0, start + size)) for start in first[::-1]]
    seen = photo[inside[0], inside[1]]
    down, right = np.maximum(0, -first[::-1])
    crop[down : down + seen.shape[0], right : right + seen.shape[1]] = seen
    way = cv2.INTER_AREA if size > UTKFACE_SIDE else cv2.INTER_LINEAR
    return shrink(cv2.resize(crop, (UTKFACE_SIDE, UTKFACE_SIDE), interpolation=way)[..., ::-1])
