"""What a course asks for, on real data: handwritten digits are read, at rates of three optimizers."""

import runpy

import numpy as np
import pytest
from optional import optional

optional("sklearn")


@pytest.fixture
def digits(sources):
    return runpy.run_path(str(sources / "examples" / "digits.py"))


def test_digits_are_read(digits):
    """Five splits that the example does not draw."""
    accuracies = [digits["train"](seed)[0] for seed in range(100, 105)]
    assert np.mean(accuracies) >= 0.980 and min(accuracies) >= 0.965


def test_held_out_digits_are_no_copies(digits):
    """Each picture and its four shifts, against NumPy's roll; and ink that leaves the picture does not come back."""
    x = np.arange(128.0).reshape(2, 64)
    many, labels = digits["shifted"](x, np.array([3, 4]))
    assert many.shape == (10, 64) and labels.tolist() == [3, 4] * 5
    np.testing.assert_array_equal(many[:2], x)
    for rows, (shift, axis, edge) in zip(
        many[2:].reshape(4, 2, 8, 8), [(1, 1, 0), (-1, 1, 7), (1, 2, 0), (-1, 2, 7)], strict=True
    ):
        moved = np.roll(x.reshape(2, 8, 8), shift, axis)
        np.moveaxis(moved, axis, 0)[edge] = 0
        np.testing.assert_array_equal(rows, moved)


def test_three_optimizers_in_one_picture(digits, tmp_path, capsys, monkeypatch):
    optional("matplotlib").use("Agg")
    import matplotlib.pyplot as pyplot

    main = digits["main"]
    train = main.__globals__["train"]
    monkeypatch.setitem(
        main.__globals__, "train", lambda seed, name="Adam": train(0, name) if seed == 0 else (0.5, None)
    )
    main(tmp_path / "picture.png")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["Adagrad", "RMSprop", "Adam"] and "worst 0.5000" in lines[0]
    for line in lines[1:]:
        assert float(line.split()[2].rstrip(",")) < 0.4 and float(line.split()[-1]) > 0.94
    drawn = pyplot.gcf().axes[0]
    assert [line.get_label() for line in drawn.get_lines()] == ["Adagrad", "RMSprop", "Adam"]
    assert (tmp_path / "picture.png").stat().st_size > 10000


def test_an_embedding_of_some_digits_tells_others_apart(sources):
    """Against two components, on digits that neither has seen; and training adds to what the first weights have."""
    script = runpy.run_path(str(sources / "examples" / "embedding.py"))
    gains, learned = [], []
    for seed in range(5):
        maps, others = script["maps"](seed)
        components, trained = ([script["recall"](put(x), y) for x, y in others] for put in maps.values())
        gains.append(trained[1] - components[1])
        if seed < 2:
            untrained = script["maps"](seed, steps=0)[0]["embedding"]
            learned.append([after - script["recall"](untrained(x), y)
                            for after, (x, y) in zip(trained, others, strict=True)])  # fmt: skip
        assert all(y.min() == 5 for x, y in others[1:]) and others[0][1].max() == 4
    assert np.mean(gains) >= 0.15, gains
    assert np.all(np.mean(learned, axis=0) > 0.01), learned


def test_recall_leaves_a_picture_itself_out(sources):
    recall = runpy.run_path(str(sources / "examples" / "embedding.py"))["recall"]
    assert recall(np.array([[0.0, 0], [1, 0], [1.5, 0], [4, 0]]), np.array([0, 0, 1, 1])) == 0.5
