"""Exclusive use of a model, and the one lock under which models are laid out.

A claim is taken and released in compiled code, where no signal handler, trace function or finalizer runs. If an
exception comes between making a claim and leaving its `with` block, the claim object dies and releases what it holds.
In the child of a fork only the thread that forked is left: claims of the others no longer count.
"""

from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport uint64_t

import os
import threading

cdef uint64_t forks = 0           # between the first process and this one
cdef unsigned long survivor = 0   # the thread that the last of them left


cdef class LayoutLock:
    """A reentrant lock that any thread may release: a claim may be destroyed in another thread than the one that took
    it, from which a `threading.RLock` cannot be released."""

    cdef object lock
    cdef unsigned long owner
    cdef int depth   # acquisitions of the owner that were not released

    def __cinit__(self):
        self.lock = threading.Lock()

    def acquire(self) -> None:
        """Wait until no other thread holds the lock, and take it."""
        cdef unsigned long me = PyThread_get_thread_ident()
        if self.depth == 0 or self.owner != me:
            self.lock.acquire()
            self.owner = me
        self.depth += 1

    def release(self) -> None:
        """Undo one `acquire`."""
        if self.depth == 0:
            raise RuntimeError("release: nobody holds the lock of the layouts")
        self.depth -= 1
        if self.depth == 0:
            self.lock.release()

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, *error):
        self.release()


layout_lock = LayoutLock()   # a layer can move from one model to another, so there is one lock for all models


def _enter_child():
    global forks, survivor
    forks += 1
    survivor = PyThread_get_thread_ident()
    layout_lock.release()


if hasattr(os, "register_at_fork"):  # a fork waits until no model is half laid out
    os.register_at_fork(before=layout_lock.acquire, after_in_parent=layout_lock.release, after_in_child=_enter_child)


cdef bint is_held(const Hold *hold) noexcept:
    return hold.taken and (hold.forks == forks or hold.thread == survivor)


cdef bint is_held_here(const Hold *hold) noexcept:
    return is_held(hold) and hold.thread == PyThread_get_thread_ident()


cdef void take(Hold *hold) noexcept:
    hold.taken, hold.thread, hold.forks = True, PyThread_get_thread_ident(), forks


cdef void release(Hold *hold) noexcept:
    hold.taken = False


cdef class Exclusive:
    """Which call works with a model, in which thread."""

    def __cinit__(self, str name not None):
        self.name = name

    @property
    def held(self) -> bool:
        """Whether a call works with the model, in any thread."""
        return is_held(&self.hold)

    @property
    def held_here(self) -> bool:
        """Whether a call of this thread works with the model: the caller is a callback or another part of it."""
        return is_held_here(&self.hold)

    @property
    def trained_elsewhere(self) -> bool:
        """Whether another thread trains the model."""
        return self.is_trained_elsewhere()

    cdef bint is_trained_elsewhere(self) noexcept:
        return self.hold.taken and self.kind == TRAINING and is_held(&self.hold) and not is_held_here(&self.hold)

    @property
    def stepping(self) -> bool:
        """Whether a step is under way: its Python-written parts see this, callbacks between steps do not."""
        return is_held(&self.step)

    def training(self, str what not None) -> Claim:
        """A claim for a call that changes weights: `with exclusive.training("fit"):`"""
        return Claim(self, what, TRAINING)

    def evaluating(self, str what not None) -> Claim:
        """A claim for a call that changes metrics. Within a call of the same thread it claims nothing, and is True:
        `with exclusive.evaluating("evaluate") as nested:`"""
        return Claim(self, what, EVALUATING)

    def changing(self, str what not None) -> Claim:
        """A claim for a call that changes what the model consists of, or how it learns."""
        return Claim(self, what, CHANGING)

    def laying_out(self) -> LayoutClaim:
        """A claim for making the model's weights and engine. Waits until no other model is laid out."""
        return LayoutClaim(self)

    cdef int start(self, str what, Kind kind) except -1:
        """Claim without waiting; `release` of the hold ends it."""
        if is_held(&self.hold):
            self.refuse(what)
        take(&self.hold)
        self.what, self.kind = what, kind
        self.uses += 1
        return 0

    cdef int refuse(self, str what) except -1:
        if is_held_here(&self.hold):
            raise RuntimeError(
                f"{what}: the {self.what} of {self.name} is still running, and this was called from within it, for "
                f"example by a callback; call it before or after {self.what}, or work with a copy of it"
            )
        raise RuntimeError(
            f"{what}: the {self.what} of {self.name} is still running in another thread; wait for it, or work with a "
            "copy of it"
        )


cdef class Claim:
    """The right to work with a model alone, within a `with` block. One for a change also holds the layout lock, so that
    whoever has that lock knows that nobody else is changing anything."""

    cdef Exclusive exclusive
    cdef str what
    cdef Kind kind
    cdef bint taken

    def __cinit__(self, Exclusive exclusive not None, str what not None, Kind kind):
        self.exclusive, self.what, self.kind = exclusive, what, kind

    def __enter__(self):
        if self.taken:
            raise RuntimeError(f"{self.what}: this claim is taken already; make another")
        if self.kind == CHANGING:
            layout_lock.acquire()
        try:
            self.enter()
        finally:
            if self.kind == CHANGING and not self.taken:
                layout_lock.release()
        return not self.taken

    cdef int enter(self) except -1:
        cdef Exclusive of = self.exclusive
        while is_held(&of.hold):
            if is_held_here(&of.hold):
                if self.kind == EVALUATING and of.kind != CHANGING:
                    return 0
                of.refuse(self.what)
            if of.kind != CHANGING:
                of.refuse(self.what)
            with layout_lock:  # a change is short
                pass
        of.start(self.what, self.kind)
        self.taken = True
        return 0

    def __exit__(self, *error):
        self.give_back()

    def __dealloc__(self):
        self.give_back()

    cdef int give_back(self) except -1:
        if self.taken:
            self.taken = False
            release(&self.exclusive.hold)
            if self.kind == CHANGING:
                layout_lock.release()
        return 0


cdef class LayoutClaim:
    """The right to lay out a model, within a `with` block."""

    cdef Exclusive exclusive
    cdef bint taken

    def __cinit__(self, Exclusive exclusive not None):
        self.exclusive = exclusive

    def __enter__(self):
        layout_lock.acquire()
        if self.exclusive.laid_out:
            layout_lock.release()
            raise RuntimeError(
                f"{self.exclusive.name}: it is being built, and this was called from within it, for example by an "
                "initializer; call it after that"
            )
        self.taken = self.exclusive.laid_out = True
        self.exclusive.uses += 1
        return self

    def __exit__(self, *error):
        self.give_back()

    def __dealloc__(self):
        self.give_back()

    cdef int give_back(self) except -1:
        if self.taken:
            self.taken = self.exclusive.laid_out = False
            layout_lock.release()
        return 0
