"""Sources of batches: one interface for all, and errors that name the source and the batch."""

import itertools
import warnings

import numpy as np
import pytest

from fastnn._streams import Stream, gives_batches
from fastnn.utils import PyDataset


def batch(i, rows=2):
    return np.full((rows, 3), float(i)), np.full(rows, i)


class Numbered(PyDataset):
    def __init__(self, count=5, **more):
        super().__init__(**more)
        self.count, self.taken, self.told = count, [], []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.taken.append(index)
        return batch(index)

    def on_epoch_begin(self):
        self.told.append("begin")

    def on_epoch_end(self):
        self.told.append("end")


class Loader:
    """As PyTorch's DataLoader: an iterable of lists, with a length, without numbers."""

    def __init__(self, count=5, known=True):
        self.count, self.known = count, known

    def __len__(self):
        if not self.known:
            raise TypeError("object of type 'Endless' has no len()")
        return self.count

    def __iter__(self):
        return (list(batch(i)) for i in range(self.count))


class Tape:
    """An iterator that can tell where it is."""

    def __init__(self, count=100):
        self.place, self.count = 0, count

    def __iter__(self):
        return self

    def __next__(self):
        if self.place == self.count:
            raise StopIteration
        self.place += 1
        return batch(self.place - 1)

    def get_state(self):
        return {"place": self.place}

    def set_state(self, state):
        self.place = state["place"]


class Reader(Loader):
    """An iterable that goes on where it was after set_state."""

    start = place = 0

    def __iter__(self):
        begin, self.start = self.start, 0
        for i in range(begin, self.count):
            self.place = i + 1
            yield batch(i)
        self.place = 0

    def get_state(self):
        return {"place": self.place}

    def set_state(self, state):
        self.start = self.place = state["place"]


def generator(count=5):
    return (batch(i) for i in range(count))


def numbers(batches):
    return [int(x[0, 0]) for x, _, _ in batches]


SOURCES = {
    "dataset": (Numbered, True, True, 5),
    "list": (lambda: [batch(i) for i in range(5)], True, True, 5),
    "loader": (Loader, True, False, 5),
    "loader without length": (lambda: Loader(known=False), True, False, None),
    "reader": (Reader, True, False, 5),
    "generator": (generator, False, False, None),
    "iterator": (lambda: iter([batch(i) for i in range(5)]), False, False, None),
    "tape": (lambda: Tape(5), False, False, None),
}
AGAIN = [name for name, (_, reiterable, _, _) in SOURCES.items() if reiterable]
ONCE = [name for name in SOURCES if name not in AGAIN]


@pytest.mark.parametrize("name", SOURCES)
def test_a_pass(name):
    make, reiterable, indexable, length = SOURCES[name]
    stream = Stream(make(), "x")
    assert (stream.reiterable, stream.indexable, stream.length) == (reiterable, indexable, length)
    batches = list(stream.batches())
    assert numbers(batches) == [0, 1, 2, 3, 4] and not stream.exhausted
    for x, y, weight in batches:
        assert isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and weight is None


@pytest.mark.parametrize("name", AGAIN)
def test_passes_follow_each_other(name):
    stream = Stream(SOURCES[name][0](), "x")
    for _ in range(3):
        assert numbers(stream.batches()) == [0, 1, 2, 3, 4]
    # A given number of steps goes on where the last epoch stopped
    assert [numbers(stream.batches(2)) for _ in range(2)] == [[0, 1], [2, 3]]
    stream = Stream(SOURCES[name][0](), "x")
    assert [numbers(stream.batches(5)) for _ in range(3)] == [[0, 1, 2, 3, 4]] * 3
    assert not stream.exhausted
    # A pass that was broken off is begun again
    iterator = stream.batches()
    next(iterator)
    assert numbers(stream.batches()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", AGAIN)
def test_too_few_batches_for_the_steps(name):
    stream = Stream(SOURCES[name][0](), "x")
    for _ in range(2):
        with pytest.warns(UserWarning, match="x ran out of data: it gave 5 batches, not 7 for each epoch"):
            assert numbers(stream.batches(7)) == [0, 1, 2, 3, 4]
        assert not stream.exhausted
    stream = Stream(SOURCES[name][0](), "x")
    assert numbers(stream.batches(3)) == [0, 1, 2]
    with pytest.warns(UserWarning, match="it gave 2 batches, not 3"):
        assert numbers(stream.batches(3)) == [3, 4]
    assert numbers(stream.batches(3)) == [0, 1, 2]


@pytest.mark.parametrize("name", ONCE)
def test_iterators_end_once(name):
    stream = Stream(SOURCES[name][0](), "validation_data")
    assert numbers(stream.batches(3)) == [0, 1, 2] and not stream.exhausted
    with pytest.warns(UserWarning, match=r"validation_data ran out of data: it gave 2 batches, not 3.*stops here"):
        assert numbers(stream.batches(3)) == [3, 4]
    assert stream.exhausted
    stream = Stream(SOURCES[name][0](), "x")
    assert numbers(stream.batches()) == [0, 1, 2, 3, 4] and not stream.exhausted
    with pytest.warns(UserWarning, match="it gave 0 batches, not more"):
        assert numbers(stream.batches()) == []
    assert stream.exhausted


@pytest.mark.parametrize("source", [[], iter([]), Numbered(0), Loader(0), generator(0)])
@pytest.mark.parametrize("steps", [None, 2])
def test_no_batches_at_all(source, steps):
    with pytest.raises(ValueError, match="x: expected at least one batch, got none"):
        list(Stream(source, "x").batches(steps))


def test_endless_sources():
    class Endless(Numbered):
        num_batches = None

    for source in (Endless(), (batch(i) for i in itertools.count())):
        stream = Stream(source)
        assert stream.length is None
        assert [numbers(stream.batches(3)) for _ in range(3)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_order():
    dataset = Numbered()
    stream = Stream(dataset)
    assert numbers(stream.batches(order=np.array([3, 1, 4, 0, 2]))) == [3, 1, 4, 0, 2]
    assert dataset.taken == [3, 1, 4, 0, 2]
    assert numbers(stream.batches(3, order=[3, 1, 4, 0, 2])) == [3, 1, 4]
    assert numbers(stream.batches(2, order=[0, 1, 2, 3, 4])) == [0, 2]  # the rest of that pass
    assert numbers(stream.batches(2, order=[4, 3, 2, 1, 0])) == [4, 3]


def test_nothing_is_taken_ahead():
    dataset = Numbered()
    iterator = Stream(dataset).batches()
    assert dataset.taken == []
    next(iterator)
    assert dataset.taken == [0]


def test_epochs_are_told():
    dataset = Numbered()
    stream = Stream(dataset)
    stream.epoch_begin()
    dataset.count = 3
    stream.epoch_end()
    assert dataset.told == ["begin", "end"] and stream.length == 3
    plain = Stream(Loader())
    plain.epoch_begin()
    plain.epoch_end()


# ---------------------------------------------------------------------------------------------------------------- forms


@pytest.mark.parametrize(
    "element",
    [
        (np.ones((2, 3)),),
        np.ones((2, 3)),
        [np.ones((2, 3))],
        (np.ones((2, 3)), np.ones(2)),
        [np.ones((2, 3)), np.ones((2, 1), np.int8)],
        (np.ones((2, 3)), None),
        (np.ones((2, 3)), np.ones(2), np.ones(2)),
        (np.ones((2, 3)), None, np.ones(2)),
        ([[1, 2, 3], [4, 5, 6]], [0, 1]),
    ],
)
def test_forms_of_a_batch(element):
    ((x, y, weight),) = Stream([element]).batches()
    given = element if isinstance(element, (tuple, list)) else (element,)
    assert x.shape == (2, 3)
    assert (y is None) == (len(given) < 2 or given[1] is None)
    assert (weight is None) == (len(given) < 3)
    if isinstance(given[0], np.ndarray):
        assert x is given[0]


ONE = np.ones((2, 3))


@pytest.mark.parametrize(
    "element, error, match",
    [
        ({"x": ONE}, TypeError, r"x, batch 1: expected \(x,\).*got a dict"),
        ("text", TypeError, "batch 1: expected a tuple .* got str"),
        (None, TypeError, "batch 1: expected a tuple .* got NoneType"),
        (3.0, TypeError, "batch 1: expected a tuple .* got float"),
        ([[1.0, 2.0], [3.0, 4.0]], TypeError, "batch 1: expected a tuple"),
        ((), ValueError, "got 0 items"),
        ((ONE,) * 4, ValueError, "got 4 items"),
        ((None, ONE), TypeError, "x, batch 1, x: expected an array, got None"),
        (((ONE, ONE), ONE), TypeError, "x, batch 1, x: expected one array, got a tuple of arrays"),
        ((ONE, {"y": ONE}), TypeError, "x, batch 1, y: expected an array, got a dict"),
        ((ONE, np.ones(3)), ValueError, "x, batch 1: x has 2 rows but y has 3"),
        ((ONE, np.ones(2), np.ones(1)), ValueError, "x has 2 rows but sample_weight has 1"),
        ((ONE, np.array(["a", "b"])), TypeError, "x, batch 1, y: expected real numbers"),
        ((ONE, 1.0), ValueError, "x, batch 1, y: .* single number"),
    ],
)
def test_wrong_batches(element, error, match):
    iterator = Stream([(ONE, np.ones(2)), element], "x").batches()
    next(iterator)
    with pytest.raises(error, match=match):
        next(iterator)


@pytest.mark.parametrize("source", [{"x": ONE}, "text", b"bytes", 3, None, print])
def test_wrong_sources(source):
    with pytest.raises(TypeError, match="x: expected"):
        Stream(source, "x")


def test_a_dataset_that_is_not_finished():
    class Half(PyDataset):
        pass

    with pytest.raises(NotImplementedError, match="Half must define __len__"):
        Stream(Half())
    with pytest.raises(NotImplementedError, match=r"Half must define __getitem__"):
        Half()[0]


def test_errors_of_the_source_are_its_own():
    def broken():
        yield batch(0)
        raise RuntimeError("no such file")

    iterator = Stream(broken()).batches()
    next(iterator)
    with pytest.raises(RuntimeError, match="no such file"):
        next(iterator)


def test_what_gives_batches():
    class Sparse:
        shape = (2, 3)

        def __iter__(self):
            return iter(())

    for source in (Numbered(), generator(), iter([1]), Loader(), Tape(), Reader()):
        assert gives_batches(source)
    for other in (ONE, [ONE], (ONE, ONE), None, "text", {"x": ONE}, 3, Sparse(), memoryview(b"x")[:0].tolist()):
        assert not gives_batches(other)


def test_torch_loaders(torch):
    data = torch.utils.data.TensorDataset(torch.arange(12.0).reshape(6, 2), torch.arange(6))
    loader = torch.utils.data.DataLoader(data, batch_size=4)
    assert gives_batches(loader)
    stream = Stream(loader)
    assert (stream.length, stream.reiterable, stream.indexable) == (2, True, False)
    for _ in range(2):
        (x, y, _), (last, _, _) = stream.batches()
        assert x.shape == (4, 2) and last.shape == (2, 2) and list(y) == [0, 1, 2, 3]


# ---------------------------------------------------------------------------------------------------------------- state


@pytest.mark.parametrize("steps", [None, 3, 5])
@pytest.mark.parametrize("before", range(5))
@pytest.mark.parametrize("name", [name for name in SOURCES if name not in ("generator", "iterator")])
def test_state(name, before, steps):
    """An epoch that is broken off and gone on with in another process gives the batches that the whole one gives."""
    if steps is not None and before >= steps:
        pytest.skip("the epoch is over")
    make = SOURCES[name][0]
    order = [2, 0, 4, 1, 3] if SOURCES[name][2] else None
    for earlier in range(2):
        whole, first, second = Stream(make()), Stream(make()), Stream(make())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # iterators run out
            for _ in range(earlier):
                assert numbers(whole.batches(steps, order)) == numbers(first.batches(steps, order))
            expected = numbers(whole.batches(steps, order))
            iterator = first.batches(steps, order)
            got = numbers(itertools.islice(iterator, before))
            second.restore(first.state())
            got += numbers(second.batches(None if steps is None else steps - before, order))
            assert got == expected
            if whole.reiterable:
                assert numbers(second.batches(steps, order)) == numbers(whole.batches(steps, order))


def test_what_has_no_state():
    assert Stream(generator()).state() is None
    assert Stream(Loader()).state() == {"index": 0, "given": 0}
    stream = Stream(Tape())
    next(stream.batches())
    assert stream.state() == {"index": 1, "given": 1, "source": {"place": 1}}
    with pytest.raises(ValueError, match="set_state"):
        Stream(Loader(), "x").restore(stream.state())


def test_state_at_the_end_of_an_epoch():
    stream = Stream(Numbered())
    iterator = stream.batches()
    for _ in range(5):
        next(iterator)
    state = stream.state()  # the last batch is done, the epoch is not
    assert state == {"index": 5, "given": 5}
    other = Stream(Numbered())
    other.restore(state)
    assert numbers(other.batches()) == [] and not other.exhausted
    assert numbers(other.batches()) == [0, 1, 2, 3, 4]
    assert list(iterator) == [] and stream.state() == {"index": 0, "given": 0}
