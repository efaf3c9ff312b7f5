"""Reading faces, for the first time and from the cache, against `pd.read_csv` and a `str.split` per row.

    python benchmarks/reading.py [CSV]

Without a file it writes one of 5,000 synthetic rows. The imports are not timed; the memory is that of the whole
process. "First time" is without a cache of ours. "Off the disk" is also after Linux has dropped the file from its page
cache; a virtual machine's host may have it in memory all the same. Then the first time again, as rows grow: the same
rows over and over.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from _measure import compare, evicted, measure, print_table, spread
from _synthetic_faces import synthesize_sample

from ageclf.faces.csv_table import open_unpacked

OURS = "import platformdirs; from pathlib import Path; from ageclf.faces.reading import load_faces; path = {path!r}"
FOLDER = "platformdirs.user_cache_path = lambda name: Path({folder!r})"
FRESH = "import shutil; shutil.rmtree({folder!r}, ignore_errors=True)"
EVICTED = "from _measure import evict; evict(Path(path))"
PLAIN = "import numpy as np, pandas as pd; path = {path!r}"
SPLIT = """
table = pd.read_csv(path)
images = np.array([np.array(text.split(), dtype=np.uint8) for text in table.pop("pixels")]).reshape(-1, 48, 48)
"""


def write_rows(path: Path, rows: int = 5000) -> None:
    images, table = synthesize_sample()
    noise = np.random.default_rng(0).integers(-9, 10, (rows, 48 * 48))
    pick = np.arange(rows) % len(images)
    pixels = np.clip(images[pick].reshape(rows, -1) + noise, 0, 255)
    table = table.iloc[pick].assign(pixels=[" ".join(map(str, row)) for row in pixels])
    table.to_csv(path, index=False)


def repeat_rows(path: Path, times: int, repeated: Path) -> int:
    """Write the rows of a CSV file several times below its header, line by line; return the number of rows."""
    written = 0
    with repeated.open("wb") as output:
        for _ in range(times):
            with open_unpacked(path, path.read_bytes()) as lines:
                header = next(lines)
                if not written:
                    output.write(header)
                for line in lines:
                    written += output.write(line.rstrip(b"\r\n") + b"\n") > 1
    return written


def main(arguments: list[str], rows: int = 5000, repetitions: int = 3) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(arguments[0]).resolve() if arguments else Path(folder, "faces.csv")
        if not arguments:
            write_rows(path, rows)
        names = {"path": str(path), "folder": str(Path(folder, "cache"))}
        ours = "; ".join([OURS, FOLDER]).format(**names)
        fresh = "; ".join([OURS, FOLDER, FRESH]).format(**names)
        pieces = {"load_faces, first time": (fresh, "load_faces(path)")}
        if evicted(path):
            pieces["load_faces, first time, off the disk"] = (f"{fresh}; {EVICTED}", "load_faces(path)")
        pieces["load_faces, from the cache"] = (ours, "load_faces(path)")
        pieces["baseline: read_csv and str.split"] = (PLAIN.format(**names), SPLIT)
        print(f"{path.name}, {path.stat().st_size / 1e6:.0f} MB{'' if arguments else ', SYNTHETIC'}")
        compare(pieces, repetitions)

        growth, grown = [], Path(folder, "grown.csv")
        setup = "; ".join([OURS, FOLDER, FRESH]).format(path=str(grown), folder=names["folder"])
        for times in (1, 2, 4, 8):
            count, size = repeat_rows(path, times, grown), grown.stat().st_size
            runs = [measure(setup, "load_faces(path)") for _ in range(repetitions)]
            taken, peaks = zip(*runs, strict=True)
            growth.append([f"{count:,}", f"{size / 1e6:.0f}", taken, f"{statistics.median(peaks):.0f}"])
        once = statistics.median(growth[0][2])
        rows = [[n, mb, spread(taken), f"{statistics.median(taken) / once:.2f}", peak] for n, mb, taken, peak in growth]
        print_table(["rows", "MB", "seconds, median (min–max)", "of the first line", "peak MiB"], rows)


if __name__ == "__main__":
    main(sys.argv[1:])
