"""Reading faces, for the first time and from the cache, against `pd.read_csv` and a `str.split` per row.

    python benchmarks/reading.py [CSV]

Without a file it writes one of 5,000 synthetic rows. The imports are not timed; the memory is that of the
whole process.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from _measure import compare

from ageclf.sample import draw_sample

OURS = "import platformdirs; from pathlib import Path; from ageclf.reading import load_faces; path = {path!r}"
FOLDER = "platformdirs.user_cache_path = lambda name: Path({folder!r})"
PLAIN = "import numpy as np, pandas as pd; path = {path!r}"
SPLIT = """
table = pd.read_csv(path)
images = np.array([np.array(text.split(), dtype=np.uint8) for text in table.pop("pixels")]).reshape(-1, 48, 48)
"""


def write_rows(path: Path, rows: int = 5000) -> None:
    images, table = draw_sample()
    noise = np.random.default_rng(0).integers(-9, 10, (rows, 48 * 48))
    pick = np.arange(rows) % len(images)
    pixels = np.clip(images[pick].reshape(rows, -1) + noise, 0, 255)
    table = table.iloc[pick].assign(pixels=[" ".join(map(str, row)) for row in pixels])
    table.to_csv(path, index=False)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(folder, "faces.csv")
        if len(sys.argv) == 1:
            write_rows(path)
        names = {"path": str(path), "folder": str(Path(folder, "cache"))}
        setup = f"{OURS}; {FOLDER}".format(**names)
        fresh = f"{setup}; import shutil; shutil.rmtree({names['folder']!r}, ignore_errors=True)"
        print(f"{path.name}, {path.stat().st_size / 1e6:.0f} MB\n")
        compare(
            {
                "load_faces, first time": (fresh, "load_faces(path)"),
                "load_faces, from the cache": (setup, "load_faces(path)"),
                "baseline: read_csv and str.split": (PLAIN.format(**names), SPLIT),
            }
        )


if __name__ == "__main__":
    main()
