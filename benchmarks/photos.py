"""Faces found in photos and cropped, by MTCNN and its five points against OpenCV's cascade and its box.

    python benchmarks/photos.py [FOLDER]

Scenes of 1000×750 pixels, drawn by a seed: UTKFace's own crops of 200 pixels from the folder, pasted onto textures.
Without a folder the faces are synthetic, and both detectors miss many. A face is found where the middle of a box is
near its own; its crop is compared with the one that was pasted. Cascade and box are the baseline.
"""

import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from _measure import print_table
from _synthetic_faces import synthesize_sample
from PIL import Image

from ageclf.faces.groups import age_to_group
from ageclf.faces.photos import UTKFACE_SIDE, crop_face, find_faces
from ageclf.faces.utkface import shrink
from ageclf.network.checkpoints import find_checkpoint, load_checkpoint
from ageclf.network.prediction import predict_probabilities

WIDTH, HEIGHT = 1000, 750
# Each kind of scene: sides of its faces in pixels, by how many degrees they are tilted to either side, and the rest.
KINDS = {
    **{f"{side} pixels": {"side": (side, side)} for side in (30, 40, 60, 100, 200, 300)},
    **{f"tilted by {tilt}°": {"tilt": tilt} for tilt in (15, 30, 45)},
    "groups": {"side": (90, 170), "apart": 0.75},
    "dark (a fifth)": {"light": 0.2},
    "blurred (8 of 200 pixels)": {"blur": 8},
    "mouth covered": {"cover": True},
    "photo on its side": {"quarters": 1},
    "photo on its head": {"quarters": 2},
    "no faces": {"side": None},
}


def texture(rng: np.random.Generator) -> np.ndarray:
    """Draw what a photo has besides faces: blots of several sizes, stripes and edges, uint8 (750, 1000, 3)."""
    scene = np.full((HEIGHT, WIDTH, 3), rng.uniform(60, 180, 3), np.float32)
    for cells in (3, 8, 20, 60, 200):
        noise = rng.normal(0, rng.uniform(5, 25), (cells, cells, 3)).astype(np.float32)
        scene += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for _ in range(3):
        wave = np.sin(x * rng.uniform(-0.2, 0.2) + y * rng.uniform(-0.2, 0.2))
        inside = x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1) > rng.uniform(-300, 300)
        scene += (rng.uniform(5, 30) * wave * inside)[..., np.newaxis]
    return np.clip(scene, 0, 255).astype(np.uint8)


def draw(chips: list[np.ndarray], rng: np.random.Generator, side=(200, 200), tilt=0, apart=1.05, cover=False, **other):
    """Draw a scene: the photo, and of each of its faces: number of the chip, middle, side, and the chip as pasted."""
    scene, faces = texture(rng), []
    cell = 0 if side is None else apart * side[1] * (1.35 if tilt else 1)
    columns, rows = (int(WIDTH // cell), int(HEIGHT // cell)) if side else (0, 0)
    for place in rng.permutation(columns * rows)[:12]:
        number, size = int(rng.integers(len(chips))), int(rng.integers(side[0], side[1] + 1))
        middle = np.array([place % columns + 0.5, place // columns + 0.5]) * [WIDTH / columns, HEIGHT / rows]
        middle += rng.uniform(-0.02, 0.02, 2) * size
        chip = chips[number].copy()
        if cover:  # a mask
            chip[115:175, 35:165] = rng.integers(0, 256, 3)
        if "blur" in other:
            chip = cv2.GaussianBlur(chip, (0, 0), other["blur"])
        small = cv2.resize(chip, (size, size), interpolation=cv2.INTER_AREA if size < 200 else cv2.INTER_CUBIC)
        matrix = cv2.getRotationMatrix2D((size / 2 - 0.5, size / 2 - 0.5), rng.choice([-tilt, tilt]), 1)
        matrix[:, 2] += middle - size / 2
        cv2.warpAffine(small, matrix, (WIDTH, HEIGHT), scene, cv2.INTER_CUBIC, cv2.BORDER_TRANSPARENT)
        faces.append((number, complex(*middle), size, chip))
    scene = (scene * other.get("light", 1)).astype(np.uint8)
    for _ in range(other.get("quarters", 0)):  # counterclockwise
        scene = np.rot90(scene)
        faces = [(number, complex(middle.imag, len(scene) - middle.real), *rest) for number, middle, *rest in faces]
    return np.ascontiguousarray(scene), faces


@cache
def cascade() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.data.haarcascades, "haarcascade_frontalface_alt2.xml")))


def by_cascade(photo: np.ndarray) -> Iterator[tuple[complex, np.ndarray]]:
    """Yield the middle and the crop of each face: the cascade's box, scaled and shifted to UTKFace's median."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    border = max(grey.shape) // 4
    grey = cv2.copyMakeBorder(grey, border, border, border, border, cv2.BORDER_CONSTANT, value=0)
    for left, top, width, height in cascade().detectMultiScale(grey, 1.1, 8, minSize=(30, 30)):
        x, y = left - border + width / 2, top - border + height / 2
        side = 0.98 * width
        corner = round(x - side / 2), round(y - side / 2 + 0.09 * side)
        crop = Image.fromarray(photo).crop((*corner, *(round(one + side) for one in corner)))
        way = cv2.INTER_AREA if side > UTKFACE_SIDE else cv2.INTER_LINEAR
        large = cv2.resize(np.asarray(crop), (UTKFACE_SIDE, UTKFACE_SIDE), interpolation=way)
        yield complex(x, y), shrink(large[..., ::-1])


def by_mtcnn(photo: np.ndarray) -> Iterator[tuple[complex, np.ndarray]]:
    boxes, points, _ = find_faces(photo)
    for (left, top, width, height), of_face in zip(boxes, points, strict=True):
        yield complex(left + width / 2, top + height / 2), crop_face(photo, of_face)[0]


WAYS = {"cascade": by_cascade, "mtcnn": by_mtcnn}


def match(found: list[tuple[complex, np.ndarray]], faces: list[tuple]) -> tuple[dict[int, np.ndarray], int]:
    """Return the crop of each face that was found, by its place in `faces`, and how many are of none."""
    crops, false = {}, 0
    for middle, crop in found:
        off = [abs(middle - where) / side for _, where, side, _ in faces]
        nearest = int(np.argmin(off)) if faces else -1
        if faces and off[nearest] < 0.3:
            crops[nearest] = crop
        else:
            false += 1
    return crops, false


def measure_kind(chips: list[np.ndarray], ages: list[int], scenes: int, seed: int, predict, **kind) -> dict:
    """Return what both ways found in scenes of one kind: faces, and of each way false ones, seconds, correlations…"""
    rng = np.random.default_rng(seed)
    results = {way: {"false": 0, "seconds": [], "correlation": [], "right": 0} for way in WAYS}
    faces = 0
    for _ in range(scenes):
        photo, drawn = draw(chips, rng, **kind)
        faces += len(drawn)
        for way, result in results.items():
            started = time.process_time()
            found = list(WAYS[way](photo))
            result["seconds"].append(time.process_time() - started)
            crops, false = match(found, drawn)
            result["false"] += false
            true = [shrink(np.ascontiguousarray(drawn[i][3][..., ::-1])) for i in crops]
            pairs = zip(true, crops.values(), strict=True)
            result["correlation"] += [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in pairs]
            if predict and crops:
                expected = [ages[drawn[i][0]] for i in crops]
                result["right"] += int(np.sum(predict(np.stack(list(crops.values())), expected)))
    return {"faces": faces, **results}


def read_chips(folder: str | None) -> tuple[list[np.ndarray], list[int]]:
    """Return chips, uint8 (200, 200, 3) in RGB, and ages: those of a folder, or synthetic ones."""
    if not folder:
        images, table = synthesize_sample(60)
        size = UTKFACE_SIDE, UTKFACE_SIDE
        large = [cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) for image in images]
        return [np.repeat(one[..., np.newaxis], 3, axis=2) for one in large], table["age"].tolist()
    paths = sorted(Path(folder).glob("*_*_*_*.jpg"))
    return [cv2.imread(str(path))[..., ::-1].copy() for path in paths], [int(path.name.split("_")[0]) for path in paths]


def main(arguments: list[str], kinds: dict[str, dict] = KINDS, scenes: int = 6) -> None:
    folder = arguments[0] if arguments else None
    chips, ages = read_chips(folder)
    print(f"{len(chips)} chips of {Path(folder).name}" if folder else f"{len(chips)} SYNTHETIC faces")
    predict = None
    if folder:
        path = find_checkpoint("auto", "")
        model, metadata = load_checkpoint(path)

        def predict(crops: np.ndarray, ages: list[int]) -> np.ndarray:
            true = age_to_group(np.array(ages), metadata["edges"])
            return predict_probabilities(model, crops).argmax(axis=1) == true

        own = predict(np.stack([shrink(np.ascontiguousarray(chip[..., ::-1])) for chip in chips]), ages)
        print(f"{path.name} is right about {np.mean(own):.0%} of the chips themselves, some of which it was trained on")
    table, spent = [], {way: [] for way in WAYS}
    list(by_mtcnn(np.zeros((100, 100, 3), np.uint8)))  # its networks are built once
    for seed, (name, kind) in enumerate(kinds.items()):
        found = measure_kind(chips, ages, scenes, seed, predict, **kind)
        faces, ways = found["faces"], [found[way] for way in WAYS]
        for way in WAYS:
            spent[way] += found[way]["seconds"]
        share = [f"{len(way['correlation']) / faces:.0%}" if faces else "–" for way in ways]
        close = [f"{median(way['correlation']):.2f}" if way["correlation"] else "–" for way in ways]
        right = [f"{way['right'] / faces:.0%}" if faces and predict else "–" for way in ways]
        milliseconds = [f"{1000 * median(way['seconds']):.0f}" for way in ways]
        table.append([name, faces, *share, *(way["false"] for way in ways), *close, *right, *milliseconds])
    columns = ["recall", "false faces", "median correlation with the true crop", "found and right", "median ms"]
    print_table(["scenes", "faces", *(f"{column}: {way}" for column in columns for way in WAYS)], table)
    cost = [median(spent[way]) for way in WAYS]
    ratio, each, all_of_them = cost[1] / cost[0], 1000 * cost[1], 1000 * np.mean(spent["mtcnn"]) / 60
    print("Times are of the processor, so that they do not depend on what else runs.")
    print(f"MTCNN takes {ratio:.2f} times as long as the baseline: {each:.0f} ms a scene, in the median.")
    print(f"A thousand such photos: {all_of_them:.0f} minutes, without reading them.")


if __name__ == "__main__":
    main(sys.argv[1:])
