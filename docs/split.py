"""The part of each face of a data set, as a table that other projects can use; it made `split/utkface.csv.gz`.

python docs/split.py age_gender.csv parts.csv.gz
"""

import sys

import numpy as np
import pandas as pd

from ageclf.faces.clusters import assign_parts, cluster_near_duplicates
from ageclf.faces.reading import find_source, load_faces


def split(data: str) -> pd.DataFrame:
    """Return a row for each face of a data set as `find_source` takes it, without its exact copies.

    `face_id` is the first 16 hex digits of the SHA-256 of its 2,304 grey values, one byte each; `cluster` the smallest
    face id among its near-duplicates; `part` train, val or test, as with `split_seed=0` everywhere else.
    """
    faces = load_faces(find_source(data), on_bad_rows="drop")
    clusters, ids = cluster_near_duplicates(faces.images), faces.table["face_id"]
    smallest = ids.groupby(np.asarray(clusters)).transform("min")
    parts = pd.DataFrame({"face_id": ids, "cluster": smallest, "part": assign_parts(ids, clusters)})
    return parts.drop_duplicates("face_id").sort_values("face_id", ignore_index=True)


if __name__ == "__main__":
    # No time of day in the compressed file: the same faces give the same bytes.
    split(sys.argv[1]).to_csv(sys.argv[2], index=False, compression={"method": "infer", "mtime": 0})
