"""Runs over batches without learning: evaluate, predict and their kin."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastnn import _data, _validate
from fastnn._compiled import Plan
from fastnn._compiling import Compiling
from fastnn._core.batches import Batches
from fastnn._fit import batch_size_of, refuse_with_stream
from fastnn._maps import Pages
from fastnn._progress import Progress, Validation
from fastnn._streams import Stream, gives_batches
from fastnn._validate import FloatArray
from fastnn.callbacks._list import CallbackList

SLICE = 0.05  # seconds of work between two looks at signals and progress


class Evaluating(Compiling):
    """evaluate, test_on_batch, predict, predict_on_batch."""

    # ------------------------------------------------------------------------------------------------------ evaluate

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The loss and metrics of samples: a number, a list where there are metrics, or a dict.

        The arguments are those of `fit`; `steps` is how many batches to take, and `return_dict` asks for the dict.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.Dense(1)], seed=0)
        >>> model.compile(fastnn.optimizers.SGD(0.1), "mse", metrics=["mae"])
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> y = 2 * x + 1
        >>> sorted(model.evaluate(x, y, verbose=0, return_dict=True))
        ['loss', 'mae']
        """
        if kwargs:
            raise TypeError(f"evaluate: unknown argument {min(kwargs)!r}")
        self._need_compiled()
        return_dict = _validate.flag(return_dict, "return_dict")
        if steps is not None:
            steps = _validate.integer(steps, "steps", minimum=1)
        if x is None:
            raise TypeError("x: expected samples, got None")
        with self._exclusive.evaluating("evaluate") as nested:
            plan, stopping = self._plan_for_evaluation(nested), self.stop_evaluating
            calls = self._calls(callbacks, verbose)
            if gives_batches(x):
                refuse_with_stream(y=y, sample_weight=sample_weight, batch_size=batch_size)
                source: Any = Stream(x, "x")
            else:
                source = self._batches(x, y, sample_weight, None, batch_size_of(batch_size), plan=plan)
            try:
                logs = self._test(source, steps, calls, Progress(verbose, "evaluate"), plan)
            finally:
                plan.release_data()
                if nested:
                    self.stop_evaluating = stopping
                if isinstance(source, Stream):
                    source.close()
        return returned(logs, return_dict)

    def _calls(self, callbacks: Any, verbose: Any) -> CallbackList:
        """The callbacks of evaluate or predict."""
        if isinstance(callbacks, CallbackList):
            return callbacks
        return CallbackList(callbacks, model=self, verbose=verbose)

    def _plan_for_evaluation(self, nested: bool) -> Plan:
        """The plan; within a fit or an evaluation of this model, one with sums of its own."""
        plan = self._need_compiled()
        return plan.apart() if nested else plan

    def _test(
        self, source: Any, steps: int | None, callbacks: Any, progress: Progress | Validation | None, plan: Plan
    ) -> dict[str, float]:
        """The logs of a run over batches without learning."""
        self.stop_evaluating = False
        callbacks.on_test_begin()
        if progress is not None:
            total = steps if steps is not None else len(source) if isinstance(source, Batches) else source.length
            progress.begin(None, total)
            progress.epoch_begin(0)
        first = True
        done = 0
        for batches in self._pieces(source, steps, plan):
            if first:
                plan.reset(testing=True)
                first = False
            tester = plan.trainer(testing=True)
            tester.bind(batches, False, 0)
            pages = Pages(batches.x)
            step, end = 0, len(batches) if steps is None else min(len(batches), steps - done)
            most = pages.at_once(batches.size) or end
            while step < end:
                if callbacks.needs_test_batches:
                    callbacks.on_test_batch_begin(done)
                    step = tester.run(step, step + 1, False, None, 0.0, 0.0)
                    callbacks.on_test_batch_end(done, plan.logs(testing=True))
                    done += 1
                    pages.took(batches.size)
                    if self.stop_evaluating:
                        break
                else:
                    now = tester.run(step, min(end, step + most), False, None, 0.0, SLICE)
                    done += now - step
                    pages.took((now - step) * batches.size)
                    step = now
                if progress is not None:
                    progress.update(done, plan.logs(testing=True))
            if self.stop_evaluating:
                break
        if first:
            raise ValueError("x: there were no batches to evaluate")
        logs = plan.logs(testing=True)
        if progress is not None:
            progress.update(done, logs, final=True)
            progress.epoch_end(0, logs)
            progress.end()
        callbacks.on_test_end(logs)
        return logs

    def _pieces(self, source: Any, steps: int | None, plan: Plan) -> Iterator[Batches]:
        """Batches as they are, or each batch of a stream by itself."""
        if isinstance(source, Batches):
            yield source
            return
        for x, y, w in source.batches(steps):
            yield self._one_batch(x, y, w, plan=plan)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss and metrics of one batch."""
        return_dict = _validate.flag(return_dict, "return_dict")
        with self._exclusive.evaluating("test_on_batch") as nested:
            plan = self._plan_for_evaluation(nested)
            batches = self._one_batch(x, y, sample_weight, plan=plan)
            plan.reset(testing=True)
            tester = plan.trainer(testing=True)
            tester.bind(batches, False, 0)
            tester.run(0, 1, False, None, 0.0, SLICE)
            logs = plan.logs(testing=True)
        return returned(logs, return_dict)

    # ------------------------------------------------------------------------------------------------------- predict

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        out: FloatArray | None = None,
    ) -> FloatArray:
        """The output for samples, as an array.

        Parameters
        ----------
        x : array_like, or an iterable of batches
        batch_size : int, optional
            Accepted for Keras's sake: the rows of the result do not depend on it.
        verbose : {"auto", 0, 1, 2}
        steps : int, optional
            How many batches of an iterable to take.
        callbacks : list, optional
        out : ndarray, optional
            Where the result goes: of its shape, C-contiguous and of the model's dtype.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.Dense(1)], seed=0)
        >>> model.compile(fastnn.optimizers.SGD(0.1), "mse", metrics=["mae"])
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> y = 2 * x + 1
        >>> model.predict(x, verbose=0).shape
        (3, 1)
        """
        self._refuse_while_fitted()
        calls = self._calls(callbacks, verbose)
        progress = Progress(verbose, "predict")
        if gives_batches(x):
            if out is not None:
                raise ValueError("out: an iterable's number of samples is not known beforehand; leave it out")
            with contextlib.closing(Stream(x, "x")) as stream:
                parts = [np.asarray(part) for part in self._predict_stream(stream, steps, calls, progress)]
            if not parts:
                raise ValueError("x: there were no batches to predict")
            return np.concatenate(parts)
        array = self._inputs(x)
        engine = self._need_built()
        shape = (len(array), *engine.output_shape)
        result = np.empty(shape, self._dtype) if out is None else _validate.destination(out, "out", shape, self._dtype)
        size = batch_size_of(batch_size)
        if steps is not None:
            array, result = array[: steps * size], result[: steps * size]
        callbacks_want = calls.needs_predict_batches
        piece = size if callbacks_want else max(size, engine.chunk_rows() * 8)
        total = -(-len(array) // size)
        pages = Pages(array)
        self.stop_predicting = False
        calls.on_predict_begin()
        progress.begin(None, total)
        progress.epoch_begin(0)
        for begin in range(0, len(array), piece):
            if callbacks_want:
                calls.on_predict_batch_begin(begin // size)
            rows = slice(begin, begin + piece)
            engine.predict(_data.precision(array[rows], self._dtype), result[rows])
            pages.took(len(result[rows]))
            if callbacks_want:
                calls.on_predict_batch_end(begin // size, {"outputs": result[rows]})
                if self.stop_predicting:
                    result = result[: rows.stop]
                    break
            progress.update(min(total, -(-(begin + piece) // size)))
        progress.update(total, final=True)
        progress.epoch_end(0)
        progress.end()
        calls.on_predict_end()
        return result

    def _predict_stream(self, stream: Any, steps: int | None, calls: Any, progress: Any) -> Iterator[FloatArray]:
        self.stop_predicting = False
        calls.on_predict_begin()
        progress.begin(None, steps if steps is not None else stream.length)
        progress.epoch_begin(0)
        done = 0
        for done, (x, _, _) in enumerate(stream.batches(steps), 1):
            calls.on_predict_batch_begin(done - 1)
            y = self(x)
            calls.on_predict_batch_end(done - 1, {"outputs": y})
            progress.update(done)
            yield y
            if self.stop_predicting:
                break
        progress.update(done, final=True)
        progress.epoch_end(0)
        progress.end()
        calls.on_predict_end()

    def predict_on_batch(self, x: Any) -> FloatArray:
        """The output for one batch."""
        return self(x)


def returned(logs: Mapping[str, float], return_dict: bool) -> Any:
    """Logs as Keras returns them: a dict by name, or the numbers, without a list where there is one."""
    if return_dict:
        return dict(sorted(logs.items()))
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
