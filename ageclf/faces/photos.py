"""A person's own photos: read upright, faces found in them, and cropped as in UTKFace."""

import contextlib
import importlib.util
import io
import os
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

BOX = ("x", "y", "width", "height")  # pixels of the photo as it is read
UTKFACE_SIDE = 200  # pixels of its crops, before they become 48
# Where UTKFace's crops have the eyes, the nose and the corners of the mouth, x + iy from their middle: medians of what
# the detector finds in 61 of them, each in a black border of 100 pixels, moved apart by 3 %: least squares makes a face
# smaller by as much as its points err.
LANDMARKS = np.array([-42.7 - 43.0j, 37.9 - 42.5j, -1.2 + 3.0j, -36.5 + 38.8j, 32.6 + 38.1j])
TILTED = 20  # degrees from which points are looked for again in the upright crop; less, and that is as often worse
SURE = 0.995  # confidence of the detector; none of what it takes for faces in photos on their side or head reaches it
# What costs the network of `small` five points of accuracy on 1,500 validation faces made smaller (to 36 pixels;
# to 24, ten), blurred (by a standard deviation of 0.8 of their 48 pixels; by 1.0, nine) or darker (to a third; to a
# quarter, eight). Of UTKFace's own faces, 0.5 % are as blurred, and fewer than 0.1 % as dark.
SMALL, BLURRED, DARK = 36, 0.31, 42  # see `crop_face`


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
    first has `photo` (its path, printable), `face` (from 1), the box as `x`, `y`, `width`, `height`, in pixels of the
    photo as EXIF turns it, `points` (lists of [x, y]: eyes, nose, corners of the mouth), `turn` (the degrees clockwise
    that put the photo upright after that), and `doubts`, as of `crop_face`; the last has `photo` and `reason`, whatever
    it was that went wrong with it. Pictures that are `cropped` already, as UTKFace's are, are taken whole, and have no
    points. Raises ValueError where TensorFlow is missing, which finds the faces of all others.
    """
    rows, crops, problems = [], [], []
    for path in paths:
        if not cropped:
            _detector()  # what it lacks is no photo's fault
        try:
            photo, reduced = read_photo(path)
            if cropped and photo.shape[0] != photo.shape[1]:
                raise ValueError("not square, so no face cropped as in UTKFace; leave --cropped out")
            boxes, faces, turn = ([[0, 0, *photo.shape[:2]]], [None], 0) if cropped else find_faces(photo)
            if not len(boxes):
                raise ValueError("no face found; it must be seen from the front, and not too small or dark")
            found = [crop_face(photo, points) for points in faces]
        except Exception as error:  # one photo must not cost the others
            what = error if isinstance(error, ValueError) else f"{type(error).__name__}: {error}; leave this photo out"
            problems.append((ageclf.printable(path), ageclf.printable(" ".join(str(what).split()))))
            continue
        for number, (box, points, (crop, doubts)) in enumerate(zip(boxes, faces, found, strict=True), start=1):
            places = [] if points is None else np.multiply([points.real, points.imag], reduced).round(1).T.tolist()
            box = np.multiply(box, reduced).round().astype(int)
            rows.append((ageclf.printable(path), number, *box, places, turn, doubts))
            crops.append(crop)
    table = pd.DataFrame(rows, columns=["photo", "face", *BOX, "points", "turn", "doubts"])
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


def find_faces(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Find the faces of a photo, uint8 (height, width, 3), left ones first, in pixels of the photo.

    Returns boxes, float (n, 4): left, top, width, height; eyes, nose and corners of the mouth, complex (n, 5): x + iy;
    and the turn, 0, 90, 180 or 270 degrees clockwise, that puts the photo upright. It is not 0 where the detector is
    surer of the faces in the photo turned so, and sure of none as it lies.

    The detector is MTCNN (Zhang et al., 2016), on the photo reduced to at most 1,000 pixels, in which faces are at
    least about 20 pixels high. The points of a tilted face are looked for once more in its upright crop. Raises
    ValueError where TensorFlow is missing.
    """
    found = {0: _detect(photo)}
    if found[0][:, 7].real.max(initial=0) < SURE:
        found |= {quarters: _detect(np.rot90(photo, -quarters)) for quarters in (1, 2, 3)}
    turn = max(found, key=lambda quarters: found[quarters][:, 7].real.sum())
    best = found[turn][:, :7] * (-1j) ** turn + complex(*photo.shape[1::-1]) / 2
    corners = np.stack([best[:, :2].real, best[:, :2].imag], axis=2)
    boxes = np.concatenate([corners.min(axis=1), np.ptp(corners, axis=1)], axis=1)
    order = np.lexsort((boxes[:, 1], boxes[:, 0]))
    points = np.array([_seen_upright(photo, one) for one in best[order, 2:]]).reshape(-1, len(LANDMARKS))
    return boxes[order], points, 90 * turn


def _detect(photo: np.ndarray) -> np.ndarray:
    """Two corners of each face's box and its points, from the photo's middle; its confidence: complex (n, 8)."""
    small = Image.fromarray(photo)
    small.thumbnail((1000, 1000))
    # Without a face, there are fewer columns.
    found = _detector().detect_faces(np.asarray(small), output_type="numpy", box_format="xyxy").reshape(-1, 16)
    places = np.concatenate([found[:, 1:5:2] + 1j * found[:, 2:5:2], found[:, 6:11] + 1j * found[:, 11:]], axis=1)
    places = places * max(photo.shape) / max(small.size) - complex(*photo.shape[1::-1]) / 2
    return np.concatenate([places, found[:, 5:6]], axis=1)


@cache
def _detector() -> object:
    lacking = [name for name in ("mtcnn", "tensorflow") if importlib.util.find_spec(name) is None]
    if lacking or os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        remedy = f"pip install {' '.join(lacking)}" if lacking else "leave KERAS_BACKEND unset"
        raise ValueError(f"TensorFlow finds the faces in photos: {remedy}; or crop them yourself, and add --cropped")
    import mtcnn  # here, since it takes seconds

    # With its path: the name alone is looked for in the working directory first, and such a file is a pickle.
    weights, stages = Path(mtcnn.__file__).parent / "assets" / "weights", mtcnn.mtcnn.COMMON_STAGES
    named = zip("pro", stages["face_and_landmarks_detection"], strict=True)
    with contextlib.redirect_stderr(io.StringIO()):  # from Python 3.13 on, lz4 fails to close what it has read
        return mtcnn.MTCNN([stage(weights=f"{weights}/{letter}net.lz4") for letter, stage in named])


def _seen_upright(photo: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The points of a tilted face as they are found in its upright crop; others as they are."""
    a, b = _similarity(points)
    tilt = np.angle(a**4, deg=True) / 4  # from a quarter turn: the whole photo may lie on its side
    again = _detect(_aligned(photo, a, b, 2 * UTKFACE_SIDE))[:, 2:7] if abs(tilt) > TILTED else []
    off = [abs(one - LANDMARKS).mean() for one in again]
    return (again[np.argmin(off)] - b) / a if min(off, default=np.inf) < UTKFACE_SIDE / 4 else points


def _similarity(points: np.ndarray) -> tuple[complex, complex]:
    """The a and b for which a·points + b are nearest to the `LANDMARKS`, by least squares: turn and size, and shift."""
    return tuple(np.linalg.lstsq(np.stack([points, np.ones(len(points))], axis=1), LANDMARKS, rcond=None)[0])


def _aligned(photo: np.ndarray, a: complex, b: complex, side: int = UTKFACE_SIDE) -> np.ndarray:
    """The square of a photo whose points z lie at a·z + b from its middle; black outside the photo."""
    times = min(20, int(np.ceil(1 / abs(a))))  # a larger face is cropped at its size, and then averaged
    a, b = a * times, (b + side / 2 * (1 + 1j)) * times + (times - 1) / 2 * (1 + 1j)
    matrix = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
    return cv2.resize(cv2.warpAffine(photo, matrix, [side * times] * 2), (side, side), interpolation=cv2.INTER_AREA)


def crop_face(photo: np.ndarray, points: np.ndarray | None = None) -> tuple[np.ndarray, str]:
    """Crop a face by its points, complex (5,), as UTKFace does, and make it what the network takes: uint8 (48, 48).

    It is turned, scaled and shifted until its points lie where UTKFace's do, black outside the photo; without points,
    the whole photo is the face. Also returns doubts whether the network has seen the like: "small, blurred, dark",
    fewer of them, or "". Small: cropped from fewer than `SMALL` pixels a side. Blurred: the standard deviation of its
    Laplacian is below `BLURRED` times its own. Dark: its mean is below `DARK`.
    """
    a, b = (UTKFACE_SIDE / len(photo), 0) if points is None else _similarity(points)
    way, size = cv2.INTER_AREA if abs(a) < 1 else cv2.INTER_LINEAR, (UTKFACE_SIDE, UTKFACE_SIDE)
    chip = cv2.resize(photo, size, interpolation=way) if points is None else _aligned(photo, a, b)
    crop = shrink(chip[..., ::-1])
    unsharp = cv2.Laplacian(crop, cv2.CV_64F).std() < BLURRED * crop.std()
    doubts = {"small": UTKFACE_SIDE / abs(a) < SMALL, "blurred": unsharp, "dark": crop.mean() < DARK}
    return crop, ", ".join(doubt for doubt, holds in doubts.items() if holds)
