# What a def asks of its arguments before C reads or writes them: no call from Python may leave an array. A call costs a
# few nanoseconds.
cimport numpy as cnp

cdef inline int expect_length(str name, ptrdiff_t found, ptrdiff_t expected) except -1:
    if found != expected:
        raise ValueError(f"{name}: expected {expected} elements, got {found}")
    return 0

cdef inline int expect_shape(str name, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t B, ptrdiff_t N) except -1:
    if rows != B or columns != N:
        raise ValueError(f"{name} has shape ({rows}, {columns}), expected ({B}, {N})")
    return 0

cdef inline int expect_below(str name, ptrdiff_t found, ptrdiff_t count) except -1:
    if not 0 <= found < count:
        raise ValueError(f"{name}: expected 0 .. {count - 1}, got {found}")
    return 0

# At least so many numbers, of a table's row
cdef inline int expect_parameters(ptrdiff_t found, ptrdiff_t count) except -1:
    if found < count:
        raise ValueError(f"parameters: expected {count}, got {found}")
    return 0

# An array of float32 or float64, contiguous, aligned and of native byte order; returns NumPy's number of its type
cdef inline int expect_reals(str name, cnp.ndarray array) except -1:
    if array is None:
        raise TypeError(f"{name}: expected an array, got None")
    cdef int kind = cnp.PyArray_TYPE(array)
    if (kind != cnp.NPY_FLOAT32 and kind != cnp.NPY_FLOAT64) or not cnp.PyArray_ISCARRAY_RO(array):
        raise TypeError(f"{name}: expected a contiguous array of float32 or float64, got {array.dtype} "
                        f"of shape {(<object>array).shape} and strides {(<object>array).strides}")
    return kind

# One of a type and of so many elements, which can be written to
cdef inline int expect_like(str name, cnp.ndarray array, int kind, ptrdiff_t size, bint written=True) except -1:
    if expect_reals(name, array) != kind:
        raise TypeError(f"{name}: expected the precision of the other arrays, got {array.dtype}")
    if written and not cnp.PyArray_ISWRITEABLE(array):
        raise ValueError(f"{name}: it is read-only")
    return expect_length(name, cnp.PyArray_SIZE(array), size)
