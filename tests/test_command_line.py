"""python -m fastnn: what it prints, writes and refuses; what becomes of each table that is not as it should be."""

import csv
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from optional import optional

import fastnn
from fastnn import _command_line, _tables, files, layers
from fastnn._command_line import load_with, main
from fastnn._tables import Preparation
from fastnn.errors import FormatError


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name, rows, separator=","):
    with open(name, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator).writerows(rows)


def people(n=120, seed=0):
    """Rows of age, height and town; class "old" or "young" follows from the age, income from age and town."""
    rng = np.random.default_rng(seed)
    rows = [["age", "height", "town", "group", "income"]]
    for _ in range(n):
        age, town = int(rng.integers(0, 90)), str(rng.choice(["Ulm", "Bonn", "Köln"]))
        height = f"{rng.normal(170, 10):.1f}"
        income = f"{20 * age + 1000 * (town == 'Bonn') + rng.normal():.2f}"
        rows.append([str(age), height, town, "old" if age > 45 else "young", income])
    return rows


def run(capsys, *arguments):
    code = main(list(map(str, arguments)))
    said = capsys.readouterr()
    assert code in (0, 2) and bool(code) == ("fastnn: " in said.err)
    return said.err if code else said.out


def predictions(text):
    return list(csv.reader(text.splitlines()))


# -------------------------------------------------------------------------------------------------------- what it does


def test_classes_from_training_to_predictions(here, capsys):
    rows = people()
    write("people.csv", [row[:4] for row in rows])
    said = run(capsys, "train", "people.csv", "--target", "group", "--save", "group.fnn", "--epochs", 60)
    assert "people.csv: 120 rows, 4 columns, a header" in said
    assert "target 'group': one of 2 classes (old, young)" in said and "held out 24" in said
    accuracy = float(said.split("accuracy ")[1].split()[0])
    alone = float(said.split("would have ")[1].split()[0])
    assert accuracy > 0.85 > 0.7 > alone > 0.4
    assert f"saved: group.fnn, {os.path.getsize('group.fnn')} bytes" in said
    write("new.csv", [["town", "extra", "age", "height"], ["Ulm", "x", "80", "170"], ["Bonn", "y", "5", "165.5"]])
    found = predictions(run(capsys, "predict", "group.fnn", "new.csv"))
    assert [row[0] for row in found] == ["group", "old", "young"] and found[0][1] == "probability"
    assert all(0.5 <= float(row[1]) <= 1 for row in found[1:])
    assert run(capsys, "predict", "group.fnn", "new.csv", "--output", "out.csv") == ""
    assert predictions((here / "out.csv").read_text()) == found
    assert sorted(os.listdir()) == ["group.fnn", "new.csv", "out.csv", "people.csv"]


def test_the_constant_answer_is_chosen_by_rows_that_are_trained_on(here, capsys):
    """Of 8 rows "a" and 9 rows "b" 2 and 3 are held out: 6 of each are left, of which the first is the usual one."""
    write("a.csv", [["x", "k"], *([str(0.5 * i), "a" if i < 8 else "b"] for i in range(17))])
    said = run(capsys, "train", "a.csv", "--target", "k", "--epochs", 1, "--held-out", 0.3)
    assert "held out 5" in said and "always answering 'a' would have 0.400" in said


def test_a_quantity_is_predicted_in_its_own_units(here, capsys):
    rows = people(300)
    write("people.csv", [[row[0], row[2], row[4]] for row in rows])
    arguments = ("--learning-rate", 0.01, "--seed", 1)
    said = run(capsys, "train", "people.csv", "--target", "income", "--save", "m.fnn", *arguments)
    assert "target 'income': a quantity, " in said
    error, alone = (float(said.split(word)[1].split()[0]) for word in ("mean error ", "would have "))
    assert 0 < error < alone / 5 and 300 < alone < 900
    found = predictions(run(capsys, "predict", "m.fnn", "people.csv"))
    assert found[0] == ["income"] and len(found) == 301
    truth = np.array([float(row[4]) for row in rows[1:]])
    assert np.abs(np.array([float(row[0]) for row in found[1:]]) - truth).mean() < alone / 5


def test_errors_are_in_the_units_of_the_target():
    """Of 10, 14 and 6 with predictions of 12, 14 and 10, where the mean is 10: (2 + 0 + 4) / 3 and (0 + 4 + 4) / 3."""
    held = _tables.Table("a.csv", ["y"], [["10"], ["14"], ["6"]], [2, 3, 4], True, ",")
    said = _command_line._score(_tables.Target("y", [], 10.0, 4.0), held, held, np.array([[0.5], [1.0], [0.0]]))
    assert said == "mean error 2 on the rows held out; always answering the mean, 10, would have 2.667"


def test_the_same_seed_gives_the_same_file(here, capsys):
    write("people.csv", people(40))
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        run(capsys, "train", "people.csv", "--target", "group", "--save", name, "--seed", seed, "--epochs", 2)
    a, b, c = (load_with(name)[0].get_weights() for name in "abc")
    assert all(np.array_equal(u, v) for u, v in zip(a, b, strict=True))
    assert not all(np.array_equal(u, v) for u, v in zip(a, c, strict=True))


def test_whole_numbers_are_classes_where_they_are_few(here, capsys):
    rng = np.random.default_rng(0)
    write("a.csv", [["x", "k"], *([f"{k + rng.normal(0, 0.1):.3f}", f"{k}.0" if i % 2 else k] for i, k in
                                  enumerate(rng.integers(1, 4, 90)))])  # fmt: skip
    said = run(capsys, "train", "a.csv", "--target", "k", "--save", "m", "--epochs", 5)
    assert "one of 3 classes (1, 2, 3)" in said  # 1 and 1.0 are the same
    assert load_with("m")[1].target.classes == ["1", "2", "3"]
    said = run(capsys, "train", "a.csv", "--target", "k", "--problem", "regression", "--epochs", 1)
    assert "target 'k': a quantity, 1 to 3" in said
    assert "target 'x': a quantity" in run(capsys, "train", "a.csv", "--target", "x", "--epochs", 1)
    assert "too many for classes" in run(capsys, "train", "a.csv", "--target", "x", "--problem", "classes")


def test_what_is_held_out_is_not_learned_from(here, capsys):
    """Means, medians and categories are those of the rows that are trained on."""
    rows = [["x", "t", "y"]] + [[str(i), f"t{i % 3}", str(i / 7)] for i in range(30)]
    write("a.csv", rows)
    run(capsys, "train", "a.csv", "--target", "y", "--save", "m", "--epochs", 1, "--held-out", 0.5)
    preparation = load_with("m")[1]
    x = preparation.columns[0]
    assert x.mean != pytest.approx(14.5) and preparation.target.mean != pytest.approx(14.5 / 7)
    assert x.mean == pytest.approx(7 * preparation.target.mean)  # the same rows


def test_numbers_are_standardised_and_text_is_spread():
    rows = [["1", "a"], ["3", "b"], ["5", "a"]]
    table = _tables.Table("t", ["n", "c"], rows, [2, 3, 4], True, ",")
    n, c = (_tables.column_of(table, name, []) for name in "nc")
    np.testing.assert_allclose(n.numbers(table, [])[:, 0], [-np.sqrt(1.5), 0, np.sqrt(1.5)])
    np.testing.assert_array_equal(c.numbers(table, []), [[1, 0], [0, 1], [1, 0]])


def test_a_missing_number_is_the_median():
    table = _tables.Table("t", ["n"], [["1"], ["2"], ["9"], [""]], [2, 3, 4, 5], True, ",")
    column = _tables.column_of(table, "n", [])
    filled = np.array([1, 2, 9, 2])
    np.testing.assert_allclose(column.numbers(table, [])[:, 0], (filled - filled.mean()) / filled.std())


def test_large_numbers_that_differ_little_stay_apart(here, capsys):
    write("a.csv", [["day", "y"], *([str(20260000000 + i), "late" if i > 20 else "early"] for i in range(40))])
    said = run(capsys, "train", "a.csv", "--target", "y", "--learning-rate", 0.02)
    assert float(said.split("accuracy ")[1].split()[0]) >= 0.85


def test_only_the_most_frequent_categories_have_a_column():
    cells = [f"c{i}" for i in range(150) for _ in range(2 if i < 100 else 1)] + ["?"]
    table = _tables.Table("t", ["c"], [[cell] for cell in cells], list(range(len(cells))), True, ",")
    column = _tables.column_of(table, "c", [])
    assert column.width == 102 and column.rare and column.missing
    notes = []
    x = column.numbers(table, notes)
    assert (x.sum(axis=1) == 1).all() and x[:, 100].sum() == 50 and x[-1, 101] == 1
    assert "50 cells are rare or unknown" in notes[1] and "1 missing in column 'c', a category" in notes[0]


# ------------------------------------------------------------------------------- tables that are not as they should be


def test_missing_values_are_filled_and_said(here, capsys):
    rows = people(60)
    for i, at, cell in ((1, 0, ""), (2, 0, "NA"), (3, 2, "?"), (4, 2, "null"), (5, 1, " nan ")):
        rows[i][at] = cell
    write("a.csv", rows)
    said = run(capsys, "train", "a.csv", "--target", "group", "--save", "m", "--epochs", 1)
    assert "filled: 2 missing in column 'age', with the median" in said
    assert "filled: 1 missing in column 'height', with the median" in said
    assert "filled: 2 missing in column 'town', a category of their own" in said
    write("new.csv", [rows[0], ["", "", "", "", ""]])
    assert main(["predict", "m", "new.csv"]) == 0
    said = capsys.readouterr()
    assert len(predictions(said.out)) == 2 and "filled: 1 missing in column 'income'" in said.err


def test_a_target_that_is_missing_leaves_its_row_out(here, capsys):
    rows = people(60)
    for i in (1, 5, 9):
        rows[i][3] = "NA"
    write("a.csv", rows)
    assert "left out: 3 rows without a 'group'" in run(capsys, "train", "a.csv", "--target", "group", "--epochs", 1)
    write("b.csv", [*rows[:1], *([*row[:3], "", row[4]] for row in rows[1:-4]), *rows[-4:]])
    assert "4 rows have a 'group'; at least 5 are needed" in run(capsys, "train", "b.csv", "--target", "group")


def test_unknown_categories_are_counted_and_are_none(here, capsys):
    write("a.csv", [row[:4] for row in people(60)])
    run(capsys, "train", "a.csv", "--target", "group", "--save", "m", "--epochs", 1)
    write("new.csv", [["age", "height", "town"], ["5", "160", "Paris\x1b[2J"], ["5", "160", ""], ["5", "160", "Ulm"]])
    assert main(["predict", "m", "new.csv"]) == 0
    said = capsys.readouterr()
    found = predictions(said.out)
    assert found[1] == found[2] and len(found) == 4
    assert "column 'town': 1 cells are unknown, and taken as none, such as 'Paris?[2J'" in said.err
    assert "filled: 1 missing in column 'town', as no category" in said.err


def test_a_file_without_a_header_has_numbered_columns(here, capsys):
    rows = [row[:4] for row in people(60)[1:]]
    write("a.csv", rows)
    said = run(capsys, "train", "a.csv", "--target", 4, "--save", "m", "--epochs", 30, "--learning-rate", 0.01)
    assert "60 rows, 4 columns, no header: its columns are called 1 to 4" in said and "'4': one of 2 classes" in said
    whole = run(capsys, "predict", "m", "a.csv")
    write("b.csv", [row[:3] for row in rows])  # without the target
    assert run(capsys, "predict", "m", "b.csv") == whole and len(predictions(whole)) == 61
    write("c.csv", [row[:2] for row in rows])
    assert "c.csv: expected 4 columns as in training, got 2" in run(capsys, "predict", "m", "c.csv")
    # a target in front: those behind it keep their numbers
    write("d.csv", [row[::-1] for row in rows])
    run(capsys, "train", "d.csv", "--target", 1, "--save", "m", "--epochs", 30, "--learning-rate", 0.01)
    write("e.csv", [row[:3][::-1] for row in rows])
    assert run(capsys, "predict", "m", "e.csv") == run(capsys, "predict", "m", "d.csv")


def test_text_alone_needs_to_be_told_whether_it_has_a_header(here, capsys):
    write("a.csv", [["red", "yes"], ["blue", "no"]] * 10)
    assert "19 rows, 2 columns, a header" in run(capsys, "train", "a.csv", "--target", "yes", "--epochs", 1)
    said = run(capsys, "train", "a.csv", "--target", 2, "--no-header", "--epochs", 1)
    assert "20 rows, 2 columns, no header" in said and "(no, yes)" in said
    write("b.csv", [["2019", "2020"], *([i % 7, i % 2] for i in range(30))])
    said = run(capsys, "train", "b.csv", "--target", 2020)
    assert "the first row has a number, and was taken for data; if it has the names, add --header" in said
    assert "'2020': one of 2 classes (0, 1)" in run(
        capsys, "train", "b.csv", "--header", "--target", 2020, "--epochs", 1
    )


def test_columns_that_tell_nothing_are_left_out_and_said(here, capsys):
    rows = people(60)
    extra = [["same", "one", "none", "id", "some"]]
    extra += [["7", "x", "", f"n{i}", "3" if i % 2 else ""] for i in range(60)]
    write("a.csv", [[*row, *more] for row, more in zip(rows, extra, strict=True)])
    said = run(capsys, "train", "a.csv", "--target", "group", "--save", "m", "--epochs", 1)
    for name, why in (
        ("same", "the same in every row"),
        ("one", "the same in every row"),
        ("none", "empty"),
        ("id", "text that differs in every row"),
        ("some", "the same in every row"),
    ):
        assert f"left out: column '{name}', which is {why}" in said
    assert [column.name for column in load_with("m")[1].columns] == ["age", "height", "town", "income"]
    write("b.csv", [["same", "group"], *(["7", str(i % 2)] for i in range(20))])
    assert "no column but the target tells anything" in run(capsys, "train", "b.csv", "--target", "group")


def test_numbers_with_something_else_among_them_are_text_and_said(here, capsys):
    rows = people(60)
    rows[3][0] = "12 years"
    write("a.csv", rows)
    said = run(capsys, "train", "a.csv", "--target", "group", "--save", "m", "--epochs", 1)
    assert "column 'age' is taken as text: 1 cells are no numbers, such as '12 years'" in said
    write("b.csv", people(60))
    run(capsys, "train", "b.csv", "--target", "group", "--save", "m", "--epochs", 1)
    said = run(capsys, "predict", "m", "a.csv")
    assert "a.csv: column 'age', line 4: expected a number, got '12 years'" in said
    write("c.csv", [*people(60), ["1e200", "170", "Ulm", "old", "3"]])
    said = run(capsys, "train", "c.csv", "--target", "group")
    assert "c.csv: column 'age', line 62: 1e200 is too large a number" in said
    rows = people(60)
    rows[7][1] = "-inf"
    write("d.csv", rows)
    assert "d.csv: column 'height', line 8: expected a number, got '-inf'" in run(
        capsys, "train", "d.csv", "--target", "group", "--held-out", 0.02
    )


def test_numbers_that_a_network_cannot_compute_with_are_refused(here, capsys):
    write("a.csv", people(60))
    run(capsys, "train", "a.csv", "--target", "group", "--save", "m", "--epochs", 1)
    write("b.csv", [*people(5), ["1e99", "170", "Ulm", "old", "3"]])
    said = run(capsys, "predict", "m", "b.csv")
    assert "b.csv: column 'age', line 7: 1e+99 is too far from the numbers trained on" in said


def test_text_among_the_numbers_of_a_target_is_named(here, capsys):
    write("a.csv", [["x", "y"], *([i, "low" if i == 5 else f"{i}.5"] for i in range(40))])
    said = run(capsys, "train", "a.csv", "--target", "y")
    assert "a.csv: column 'y', line 7: expected a number as in most rows, got 'low'" in said


def test_a_column_left_out_as_text_tells_what_is_no_number(here, capsys):
    write("a.csv", [["x", "z", "y"], *([f"{i}.5" if i else "low", i % 4, "ab"[i % 2]] for i in range(30))])
    said = run(capsys, "train", "a.csv", "--target", "y", "--epochs", 1, "--held-out", 0.04)
    assert "left out: column 'x', which is text that differs in every row, though 27 cells are numbers: 'low'" in said


def test_classes_of_three_rows_and_of_one(here, capsys):
    rows = [["x", "kind"], *([str(i), "abc"[i % 3]] for i in range(9))]
    write("a.csv", rows)
    said = run(capsys, "train", "a.csv", "--target", "kind", "--epochs", 1)
    assert "one of 3 classes (a, b, c)" in said and "trained on 6 rows of 1 numbers" in said and "held out 3" in said
    write("b.csv", [*rows, ["10", "alone"]])
    said = run(capsys, "train", "b.csv", "--target", "kind", "--epochs", 1)
    assert "class 'alone' has one row: it is trained on, and not scored" in said and "held out 3" in said


def test_a_target_that_is_always_the_same_is_refused(here, capsys):
    write("a.csv", [["x", "y"], *([str(i), "1"] for i in range(20))])
    assert "--target: 'y' is '1' in every row; there is nothing to learn" in run(
        capsys, "train", "a.csv", "--target", "y"
    )
    said = run(capsys, "train", "a.csv", "--target", "x", "--problem", "regression", "--epochs", 1)
    assert "no column but the target tells anything" in said


BAD = {
    "empty": (b"", "a.csv: the file is empty"),
    "blank": (b"\n\n \n", "a.csv: the file is empty"),
    "header only": (b"x,y\n", "a.csv: there is a header, but no row below it"),
    "few": (b"x,y\n1,2\n3,4\n", "2 rows have a 'y'; at least 5 are needed"),
    "ragged": (b"x,y\n1,2\n3\n", "a.csv: line 3 has 1 cells, expected 2 as in the first row"),
    "twice": (b"y,y\n1,2\n", "a.csv: two columns are called 'y'; names must differ"),
    "quote": (b'x,y\n1,"2\n', "is no CSV"),
    "zero byte": (b"x,y\n1,2\n3,\0004\n", "a.csv: line 3 holds a zero byte"),
    "latin": ("x,y\nK\u00f6ln,2\n".encode("latin-1"), "a.csv: this is no text in UTF-8"),
    "column": (b"x,yy\n1,2\n", "--target: unknown name 'y'; did you mean 'yy'? (known: x, yy)"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_are_no_tables_are_refused(name, here, capsys):
    content, expected = BAD[name]
    (here / "a.csv").write_bytes(content)
    assert expected in run(capsys, "train", "a.csv", "--target", "y")
    assert os.listdir() == ["a.csv"]


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (("--hidden", "many"), "--hidden: expected whole numbers such as 64,32, got 'many'"),
        (("--hidden", "0"), "--hidden: expected whole numbers"),
        (("--held-out", "1.5"), "--held-out: expected a finite number"),
        (("--separator", "ab"), "--separator: expected one character, or tab, got 'ab'"),
        (("--save", "nowhere/m"), "--save: there is no folder 'nowhere'"),
        (("--save", "."), "--save: '.' is a folder; name a file in it"),
        (("--problem", "regression"), "--problem: 'group' holds text such as"),
        (("--epochs", "-1"), "--epochs: expected a whole number >= 1, got -1"),
        (("--epochs", "0"), "--epochs: expected a whole number >= 1, got 0"),
        (("--learning-rate", "-1"), "--learning-rate: expected a finite number > 0, got -1.0"),
        (("--batch-size", "0"), "--batch-size: expected a whole number >= 1, got 0"),
        (("--seed", "-5"), "--seed: expected a whole number >= 0"),
        (("--hidden", "9999999999999"), "there is not enough memory for this"),
    ],
)
def test_arguments_are_checked(arguments, expected, here, capsys):
    write("a.csv", people(20))
    assert expected in run(capsys, "train", "a.csv", "--target", "group", *arguments)
    assert "No such file" in run(capsys, "train", "b.csv", "--target", "group")
    said = run(capsys, "train", "a.csv", "--target", "income", "--problem", "regression", "--held-out", 0.99)
    assert "--held-out: 0.99 of 20 rows leaves 1 to train on; hold out fewer" in said


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_separators_are_found(separator, here, capsys):
    write("a.csv", [row[:4] for row in people(30)], separator)
    (here / "a.csv").write_bytes(b"\xef\xbb\xbf" + (here / "a.csv").read_bytes())  # as Excel marks UTF-8
    assert "30 rows, 4 columns" in run(capsys, "train", "a.csv", "--target", "group", "--save", "m", "--epochs", 1)
    assert load_with("m")[1].names[0] == "age"
    given = "tab" if separator == "\t" else separator
    assert run(capsys, "predict", "m", "a.csv", "--separator", given) == run(capsys, "predict", "m", "a.csv")


MESSY = [  # area, day, colour and what is to be predicted, as programs write them
    ("plain", "{i},{a:.2f},{d},{c},{t}\n", "id,area,day,colour,big\n"),
    ("as Excel does here and there", '{i};{e};{d};"{c}";{t}\r\n', "\ufeffNr;area;day;colour;big\r\n\r\n"),
    ("a frame with its index", '{i},"{a:,.2f}",{d},"{c}",{t}\n', ",area,day,colour,big\n"),
    ("spaces", '{i}\t{s}\t {d}\t "{c}"\t {t} \n', "#\t area\tday\tcolour\tbig\n"),
]


@pytest.mark.parametrize("name, row, head", MESSY, ids=[one[0] for one in MESSY])
def test_tables_as_programs_write_them(name, row, head, here, capsys):
    """The same table four times, and the same numbers of it."""
    rng = np.random.default_rng(0)
    text, areas = head, []
    for i in range(60):
        a = round(rng.uniform(900, 9000), 2)
        parts = {"i": i + 1, "a": a, "d": f"2024-{i % 12 + 1:02d}-{i % 28 + 1:02d}", "c": "red" if i % 3 else "blue"}
        grouped = f"{a:,.2f}"
        parts["e"] = grouped.replace(",", "_").replace(".", ",").replace("_", ".")
        parts["s"] = grouped.replace(",", "\u00a0")
        areas.append(a)
        text += row.format(**parts, t="yes" if a > 5000 else "no")
    (here / "table.csv").write_bytes((text + "\n\n").encode())
    assert main(["train", "table.csv", "--target", "big", "--epochs", "3", "--save", "m.fnn"]) == 0
    said = capsys.readouterr().out
    assert "60 rows, 5 columns, a header" in said and "which counts the rows" in said
    assert "dates are days since 1970: '2024-01-01' is 19723" in said
    assert ("numbers with commas or spaces are numbers: '" in said) == (name != "plain")
    _, preparation = load_with("m.fnn")
    area, day, colour = preparation.columns
    assert (area.name, day.name, colour.name) == ("area", "day", "colour") and colour.categories == ["blue", "red"]
    numbers = preparation.inputs(preparation.read("table.csv"), [])
    np.testing.assert_allclose(numbers[:, 0] * area.deviation + area.mean, areas, rtol=1e-5)
    np.testing.assert_array_equal(numbers[:, 2:], [[not i % 3, i % 3 > 0] for i in range(60)])
    assert main(["predict", "m.fnn", "table.csv"]) == 0
    first = capsys.readouterr().out.splitlines()
    assert first[0] == "big,probability" and len(first) == 61


def test_what_is_taken_for_a_number():
    for separator, cells in {
        ",": {"1,234": "1234", "12,345.5": "12345.5", "1 234": "1234", "-1\u202f234.5": "-1234.5", "1'000": "1000"},
        ";": {"0,5": "0.5", "1.234,5": "1234.5", "-12,5e3": "-12.5e3", "1 234,5": "1234.5", "1.234": "1.234"},
    }.items():
        for cell, number in cells.items():
            assert _tables.plain(cell, separator) == number
    for separator in ",;":
        for cell in ("12,34,5", "0 123", "1 23", "red", "", "3 %", "2024-13-01", "2024-1-1", "01.02.2024", "12 3456"):
            assert _tables.plain(cell, separator) == cell
        assert _tables.plain("1970-01-02 12:00", separator) == "1.5"


def test_a_year_is_no_counter(here, capsys):
    """Only what is called as one: a column of years counts too, and may tell something."""
    rows = "".join(f"{1950 + i},{2 * i + i % 3}\n" for i in range(50))
    (here / "years.csv").write_text("year,cars\n" + rows)
    assert main(["train", "years.csv", "--target", "cars", "--epochs", "2", "--problem", "regression"]) == 0
    assert "counts the rows" not in capsys.readouterr().out


def test_bench(capsys):
    assert main(["bench", "--seconds", "0.001"]) == 0
    said = capsys.readouterr().out
    for name in ("tiny", "small", "digits", "medium"):
        assert re.search(rf"^{name} +[\d-]+ +\d+ +[\d.]+ µs +\d+ +[\d.]+ µs$", said, re.MULTILINE), said
    assert main(["bench", "--seconds", "0"]) == 2


def test_columns_that_are_missing_at_prediction_are_named(here, capsys):
    write("a.csv", people(30))
    run(capsys, "train", "a.csv", "--target", "group", "--save", "m", "--epochs", 1)
    write("b.csv", [["age", "town", "income"], ["1", "Ulm", "3"]])
    said = run(capsys, "predict", "m", "b.csv")
    assert "b.csv: there is no column 'height'; the model was trained on age, height, town, income" in said


# --------------------------------------------------------------------------------------------------------------- files


@pytest.fixture
def saved(here, capsys):
    write("a.csv", people(30))
    run(capsys, "train", "a.csv", "--target", "group", "--save", "m", "--epochs", 1)
    return here / "m"


def test_the_file_is_a_model_and_a_safetensors_file(saved, capsys):
    model, preparation = load_with("m")
    plain = fastnn.load("m", compile=False)
    x = preparation.inputs(preparation.read("a.csv"), [])
    np.testing.assert_array_equal(plain(x), model(x))
    safetensors = optional("safetensors")
    with safetensors.safe_open("m", "np") as file:
        assert set(file.metadata()) == {"format", "version", "fastnn", "table"}


def change(path, edit):
    """The file with another description of its table."""
    tensors, metadata = files.load_tensors(path)
    described = json.loads(metadata["table"])
    edit(described)
    files.save_tensors(path, tensors, metadata | {"table": json.dumps(described)})


SPOILED = {
    "version": lambda d: d.update(version=2),
    "surplus": lambda d: d.update(run="code"),
    "kind": lambda d: d["columns"][0].update(kind="os.system"),
    "no columns": lambda d: d.update(columns=[]),
    "a number is text": lambda d: d["columns"][0].update(mean="1"),
    "a flag is a number": lambda d: d.update(header=1),
    "names are no list": lambda d: d.update(names={}),
    "names come twice": lambda d: d["names"].append("age"),
    "categories are numbers": lambda d: d["columns"][2].update(categories=[1]),
    "no deviation": lambda d: d["columns"][0].update(deviation=0),
    "column unknown": lambda d: d["columns"][0].update(name="other"),
    "target unknown": lambda d: d["target"].update(name="other"),
    "target is a column": lambda d: d["target"].update(name="age"),
    "one class": lambda d: d["target"].update(classes=["old"]),
    "more classes": lambda d: d["target"].update(classes=["a", "b", "c"]),
    "more categories": lambda d: d["columns"][2]["categories"].append("Rom"),
    "not a dict": lambda d: d["columns"].append(1),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_description_is_refused(name, saved):
    change("m", SPOILED[name])
    with pytest.raises(FormatError):
        load_with("m")
    assert main(["predict", "m", "a.csv"]) == 2


def test_any_json_is_refused_by_an_error_of_its_own():
    good = Preparation(["a", "y"], True, [_tables.Quantity("a", 1, 2, 3)], _tables.Target("y", [])).described()
    assert Preparation.from_description(json.loads(json.dumps(good))).described() == good
    for value in (None, 1, [], "x", {}, {"version": 1}, {**good, "columns": None}, {**good, "target": []}):
        with pytest.raises(FormatError):
            Preparation.from_description(value)


def test_a_model_without_a_table_is_refused(here, capsys):
    fastnn.Sequential([layers.Input((2,)), layers.Dense(1)]).save("m")
    write("a.csv", people(30))
    assert "m: no model of a table; predict reads what train --save wrote" in run(capsys, "predict", "m", "a.csv")


def test_inspect_makes_nothing(saved, capsys, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("something was made")

    for name in ("Dense", "InputLayer", "Layer"):
        monkeypatch.setattr(getattr(layers, name), "__init__", refuse)
    monkeypatch.setattr(fastnn.Sequential, "__init__", refuse)
    said = run(capsys, "inspect", "m")
    assert f"m: {os.path.getsize('m')} bytes, 6 tensors" in said and "a fastnn model, format 1" in said
    assert "Dense(units=64, activation=relu)" in said and "/kernel: float32 (64, 64)" in said
    assert "predicts group, one of 2 classes, from\n  age: numbers\n  height: numbers\n  town: 3 categories" in said
    assert "compiled with Adam and BinaryCrossentropy" in said


def test_inspect_shows_what_is_inside_and_nothing_that_a_terminal_obeys(here, capsys):
    inner = layers.Residual([layers.Dense(2, name="in\x1b[31mside")])
    both = layers.Parallel([layers.Dense(1), [layers.Dense(3, name="three")]], merge="concatenate")
    fastnn.Sequential([layers.Input((2,)), inner, fastnn.Sequential([both])]).save("m")
    said = run(capsys, "inspect", "m")
    assert "in?[31mside: Dense(units=2" in said and "three: Dense(units=3" in said and "\x1b" not in said
    files.save_tensors("t", {"w": np.zeros((2, 3))})
    assert "no fastnn model" in run(capsys, "inspect", "t")
    for text in ("1", "[]", '{"config": 3}', '{"config": {"layers": [1, {"config": 2}]}}', "{}"):
        files.save_tensors("t", {"w": np.zeros(1)}, {"fastnn": text})
        assert "not described as they should be" in run(capsys, "inspect", "t").replace(
            "that is not", "are not"
        ).replace("as it should", "as they should")
    (here / "t").write_bytes(b"\x00" * 100)
    assert "t is no model file" in run(capsys, "inspect", "t")


# ---------------------------------------------------------------------------------------------------------- the others


def test_info(capsys):
    said = run(capsys, "info")
    assert f"fastnn {fastnn.__version__}" in said and np.__version__ in said
    assert f"isa: {fastnn.cpu_info()['isa']}" in said and "threads: " in said


def test_demo(capsys):
    said = run(capsys, "demo")
    assert "Total params: 4,547" in said
    assert float(said.split("accuracy ")[-1].split("%")[0]) > 90 and "loaded with the same output: True" in said


def test_it_runs_as_a_module():
    def call(*arguments):
        command = [sys.executable, "-m", "fastnn", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = call("info")
    assert done.returncode == 0 and done.stdout.startswith("fastnn ") and not done.stderr
    done = call("inspect", "there is no such file")
    assert done.returncode == 2 and done.stderr.startswith("fastnn: ") and "Traceback" not in done.stderr
    assert call().returncode == 2 and "train" in call("--help").stdout


def test_the_page_shows_what_is_printed(here, capsys, sources):
    page = (sources / "docs" / "command-line.md").read_text(encoding="utf-8")
    rng = np.random.default_rng(5)
    rows = [
        ["area", "rooms", "town", "heating", "rent"],
        ["61.5", "2", "Ulm", "gas", "705"],
        ["48", "1", "Bonn", "", "590"],
    ]
    while len(rows) < 301:
        rooms, town = int(rng.integers(1, 6)), int(rng.integers(3))
        area, heating = (
            round(rooms * 18 + rng.normal(10, 6), 1),
            str(rng.choice(["gas", "oil", ""], p=[0.6, 0.33, 0.07])),
        )
        rent = area * (8 + 2 * town) + 50 * (heating == "oil") + rng.normal(0, 20)
        rows.append([str(area), str(rooms), ["Ulm", "Bonn", "Jena"][town], heating, f"{rent:.1f}"])
    write("flats.csv", rows)
    assert "\n".join(",".join(row) for row in rows[:3]) in page
    commands = re.findall(r"```sh\npython -m fastnn (.*)\n```", page)
    assert [command.split()[0] for command in commands] == ["train", "predict", "inspect"]
    said = [run(capsys, *command.split()) for command in commands]
    shape = re.compile(r"\d+(\.\d+)?")  # the words are the page's; the numbers of training depend on the machine
    assert shape.sub("#", said[0]) in shape.sub("#", page)
    assert len(predictions((here / "rents.csv").read_text())) == 301 and "predicts rent" in said[2]
