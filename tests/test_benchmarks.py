"""The benchmarks: each runs, on a few rows, to a table; and what they count and compare is what they say."""

import re
import subprocess
import sys
from pathlib import Path

import _collect
import _measure
import nbformat
import near_duplicates
import numpy as np
import photos
import prediction
import pytest
import reading
import sample_run
import time_to_accuracy
import training_step
from _plain import straightforward_network
from tiny_checkout import make_checkout, write_run

import ageclf
from ageclf.faces.clusters import cluster_near_duplicates
from ageclf.faces.reading import load_faces
from ageclf.network.backend import keras
from ageclf.network.model import build_network
from ageclf.workflow import run_files


def tables(text: str) -> list[list[list[str]]]:
    """Return the cells of all Markdown tables in a text; each must have a header, a rule, and rows as wide as these."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in block.splitlines()]
        assert len(rows) > 2
        assert set(rows[1]) == {"---"}
        assert len({len(row) for row in rows}) == 1
        found.append([rows[0], *rows[2:]])
    return found


@pytest.fixture
def csv(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    reading.write_rows(tmp_path / "faces.csv", 40)
    return tmp_path / "faces.csv"


def test_a_table_is_markdown_with_an_empty_line_around_it(capsys):
    print("text")
    _measure.print_table(["", "seconds"], [["a", 1], ["b", 2]])
    printed = capsys.readouterr().out
    assert tables(printed) == [[["", "seconds"], ["a", "1"], ["b", "2"]]]
    assert printed.startswith("text\n\n|")
    assert printed.endswith("|\n\n")


def test_a_piece_is_timed_without_its_setup_and_with_its_own_memory():
    seconds, small = _measure.measure("import time; time.sleep(1)", "pass")
    _, large = _measure.measure("", "kept = bytearray(64 * 2**20)")
    assert seconds < 1
    assert 50 < large - small < 80


def test_pieces_take_turns():
    order = []
    runs = _measure.in_turns({name: lambda name=name: order.append(name) or len(order) for name in "ab"}, 2)
    assert order == ["a", "b", "a", "b"]
    assert runs == {"a": [1, 3], "b": [2, 4]}


def test_repeated_rows_are_the_faces_of_the_file_over_and_over(csv, tmp_path):
    whole = csv.read_bytes()
    csv.write_bytes(whole.rstrip(b"\n"))  # files end in any way
    assert reading.repeat_rows(csv, 3, tmp_path / "grown.csv") == 120
    once, thrice = load_faces(csv), load_faces(tmp_path / "grown.csv")
    assert np.array_equal(thrice.images, np.tile(once.images, (3, 1, 1)))


def test_reading_compares_and_grows(csv, capsys):
    reading.main([str(csv)], repetitions=1)
    compared, growth = tables(capsys.readouterr().out)
    assert compared[-1][0].startswith("baseline")
    assert compared[-1][2] == compared[-1][4] == "1.00"
    assert [row[0] for row in growth[1:]] == ["40", "80", "160", "320"]


def test_random_pictures_hold_the_near_duplicates_that_were_planted_and_hardly_another(tmp_path):
    near_duplicates.write_fields(tmp_path / "images.npy", 1250)
    images = np.load(tmp_path / "images.npy")
    clusters = cluster_near_duplicates(images)
    assert (clusters[::100] == clusters[1::100]).all()
    assert 1250 - 13 - 3 <= clusters.max() + 1 <= 1250 - 13


def test_near_duplicates_compares_and_grows(csv, capsys):
    near_duplicates.main([str(csv)], (100, 200), repetitions=1)
    *compared, growth = tables(capsys.readouterr().out)
    assert [len(table) for table in compared] == [3, 3, 3]
    assert [row[0] for row in growth[1:]] == ["100", "200"]


def test_multiplications_are_those_counted_by_hand():
    layers, inputs = keras.layers, keras.Input((8, 8, 4))
    x = layers.Conv2D(6, 3, strides=2, padding="same", groups=2, name="convolution")(inputs)  # to 4 × 4 × 6
    inner = keras.Input((4, 4, 6))
    x = keras.Model(inner, layers.DepthwiseConv2D(3, depth_multiplier=2)(inner))(x)  # to 2 × 2 × 12
    x = layers.Dense(5)(layers.Flatten()(layers.BatchNormalization()(x)))
    by_hand = 4 * 4 * 6 * 3 * 3 * 2 + 2 * 2 * 12 * 3 * 3 + 48 * 5
    assert training_step.multiply_adds(keras.Model(inputs, x)) == by_hand


def test_the_straightforward_network_is_the_small_one_changed_at_random_after_it_is_made_large():
    network, small = straightforward_network(64), build_network("small", 64)
    assert network.get_layer("translation").input.shape == (None, 64, 64, 1)
    assert training_step.multiply_adds(network) == training_step.multiply_adds(small)
    network.set_weights([w for w in network.get_weights() if w.shape == (2,)] + small.get_weights())
    grey = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 1))
    assert np.allclose(network.predict(grey, verbose=0), small.predict(grey, verbose=0), atol=1e-5)


def test_the_parts_of_a_training_step_add_up(capsys, monkeypatch):
    monkeypatch.setattr(training_step, "alone", lambda function, *arguments: function(*arguments))
    training_step.main({"baseline": (16, 2, "float32", True)}, 1, 1, 32)
    steps, speeds = tables(capsys.readouterr().out)
    parts = [int(cell.split()[0]) for cell in steps[1][1:5]]
    assert abs(sum(parts) - int(steps[1][5])) <= 4  # rounded, each of them
    assert steps[1][7] == "1.00"
    assert speeds[1][-1] == "float32"


def test_prediction_compares_at_the_same_probabilities(csv, capsys, monkeypatch):
    prediction.main([str(csv)], {1: 1, 3: 1})
    (table,) = tables(capsys.readouterr().out)
    ways = ["predict_probabilities", "ONNX Runtime", "OpenVINO", "baseline: predict"]
    assert [row[1:3] for row in table[1:]] == [[count, way] for count in ("1", "3") for way in ways] * 2
    assert [row[4] for row in table[4::4]] == ["1.00"] * 4
    honest = prediction.predict_probabilities
    monkeypatch.setattr(prediction, "predict_probabilities", lambda *given: honest(*given) + 2e-4)
    with pytest.raises(ValueError, match=r"probabilities differ by 2\.\de-04"):
        prediction.main([str(csv)], {1: 1})


def test_scenes_hold_their_faces_where_they_say():
    """A white chip, wherever it lies, however it is turned."""
    chips = [np.full((200, 200, 3), 255, np.uint8)]
    for kind in ({"tilt": 45}, {"quarters": 1}, {"quarters": 2}, {"side": (90, 170), "apart": 0.75}):
        scene, faces = photos.draw(chips, np.random.default_rng(0), **kind)
        assert faces
        for _, middle, side, _ in faces:
            x, y, reach = int(middle.real), int(middle.imag), int(side / 2.2)
            assert scene[y, x].min() == scene[y, x - reach].min() == scene[y + reach, x].min() == 255
    assert photos.draw(chips, np.random.default_rng(0), side=None)[1] == []


def test_a_found_face_is_that_whose_middle_is_near_and_any_other_is_false():
    faces = [(0, 100 + 100j, 100, None), (0, 300 + 100j, 100, None)]
    crops, false = photos.match([(110 + 95j, "a"), (200 + 100j, "b"), (305 + 100j, "c")], faces)
    assert (crops, false) == ({0: "a", 1: "c"}, 1)
    assert photos.match([(1 + 1j, "a")], []) == ({}, 1)


def test_photos_compares_both_detectors(capsys):
    photos.main([], {"one": {"side": (300, 300)}, "no faces": {"side": None}}, scenes=1)
    printed = capsys.readouterr().out
    (table,) = tables(printed)
    assert [row[:2] for row in table[1:]] == [["one", "6"], ["no faces", "0"]]
    assert table[2][2] == "–"
    assert "SYNTHETIC" in printed
    assert re.search(r"MTCNN takes [\d.]+ times as long as the baseline: \d+ ms a scene", printed)


@pytest.fixture
def given():
    defaults = run_files.read_defaults(ageclf.CHECKOUT / "notebooks" / "04_training.ipynb")
    return defaults | {"epochs": 2, "batch_size": 8, "ema_momentum": 0.9, "batch_norm_faces": 8, "auxiliary": 0.1}


def test_a_recipe_ends_with_the_epoch_that_reaches_the_accuracy(csv, given):
    reached, seconds, epochs, best, faces = time_to_accuracy.follow_recipe(str(csv), given, 0.0, 600)
    assert (reached, epochs) == (True, pytest.approx(1))
    assert 0 <= best <= 1
    assert seconds > 0
    assert 20 < faces < 40


def test_the_straightforward_way_ends_when_the_time_is_up(csv, given):
    reached, _, epochs, best, faces = time_to_accuracy.go_straight(str(csv), given, 0.9, 0)
    assert (reached, best) == (False, 0)
    assert epochs == pytest.approx(1 / -(-faces // 32))


@pytest.mark.parametrize(
    ("recipe", "straight", "expected"),
    [
        ((True, 10.0, 2.0, 0.61, 100), (True, 40.0, 1.0, 0.62, 100), [("10", "0.25"), ("40", "1.00")]),
        ((True, 10.0, 2.0, 0.61, 100), (False, 40.0, 1.0, 0.5, 100), [("10", "below 0.25"), ("not within 40", "–")]),
        ((False, 20.0, 2.0, 0.5, 100), (True, 40.0, 1.0, 0.62, 100), [("not within 20", "–"), ("40", "1.00")]),
    ],
)
def test_a_way_that_does_not_get_there_gives_no_ratio_of_its_own(recipe, straight, expected, capsys, monkeypatch):
    monkeypatch.setattr(
        time_to_accuracy, "alone", lambda way, *_: recipe if way.__name__ == "follow_recipe" else straight
    )
    time_to_accuracy.main(["--run", "sample"])
    printed = capsys.readouterr().out
    assert [tuple(row[1:3]) for row in tables(printed)[0][1:]] == expected
    assert "SYNTHETIC" in printed


def test_the_seconds_of_a_notebook_are_shared_out(tmp_path):
    cells = [nbformat.v4.new_code_cell("import time", id="a"), nbformat.v4.new_code_cell("time.sleep(0.3)", id="b")]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), tmp_path / "a.ipynb")
    taken = sample_run.execute(tmp_path / "a.ipynb", tmp_path / "b.ipynb", tmp_path)
    shares, slowest = sample_run.break_down(tmp_path / "b.ipynb", taken)
    assert min(shares) > 0
    assert sum(shares) == pytest.approx(taken)
    assert shares[3] >= 0.3  # what its one cell of work sleeps
    assert slowest.startswith("b: 0.")


def test_the_stages_of_a_report_follow_each_other(tmp_path, monkeypatch):
    checkout = make_checkout(tmp_path / "checkout")
    write_run(checkout, "one", {"notebooks": ["01_black_edges"], "common": {"data": "sample"}})
    monkeypatch.setattr(sample_run, "CHECKOUT", checkout)
    stages = sample_run.time_report(tmp_path, "one")
    assert len(stages) == 5
    assert min(stages.values()) >= 0
    assert (tmp_path / "reports" / "index.html").exists()


def test_results_are_collected_into_one_file_or_none(tmp_path):
    good, bad, file = tmp_path / "good.py", tmp_path / "bad.py", tmp_path / "benchmarks.md"
    good.write_text(
        '"""Something.\n\n    python good.py [CSV]\n\nText.\n"""\nimport sys\nprint("given", sys.argv[1:])\n'
    )
    bad.write_text('"""Something else."""\nraise SystemExit("broken")\n')
    command = [sys.executable, _collect.__file__, file, "--data", "a.csv"]
    done = subprocess.run([*command, "--only", good], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = file.read_text()
    assert "\n## Something\n\n    python good.py [CSV]\n\nText.\n\ngiven ['a.csv']\n" in written
    assert re.search(r"^`make bench`.* \d+ cores of .+ GiB; python 3.*; commit \w+", written, re.MULTILINE)
    done = subprocess.run([*command, "--only", good, bad], capture_output=True, text=True)
    assert done.returncode == 2
    assert "broken\nerror: bad.py ended with an error" in done.stderr
    assert file.read_text() == written


@pytest.mark.parametrize("script", sorted(Path(_measure.__file__).parent.glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_a_script_says_in_a_heading_what_it_measures(script):
    assert re.match(r'"""[A-Z`][^\n]{20,118}\n', script.read_text())
