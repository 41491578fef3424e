# What a def asks of its arguments before C reads or writes them: no call from Python may leave an array. A call costs a
# few nanoseconds.
cimport numpy as cnp
from cpython.weakref cimport PyWeakref_NewRef
from libc.stdint cimport int32_t, int64_t, uint32_t

ctypedef fused element:
    float
    double
    int32_t
    int64_t
    uint32_t

cdef inline int expect_length(str name, ptrdiff_t found, ptrdiff_t expected) except -1:
    if found != expected:
        raise ValueError(f"{name}: expected {expected} elements, got {found}")
    return 0

cdef inline int expect_aligned(str name, const void *data, size_t size) except -1:
    if <size_t>data % size:
        raise ValueError(f"{name}: expected elements that are aligned, got an address between two of them")
    return 0

cdef inline int expect_vector(str name, const element[::1] a, ptrdiff_t n) except -1:
    expect_length(name, a.shape[0], n)
    return expect_aligned(name, &a[0], sizeof(element))

cdef inline int expect_matrix(str name, const element[:, ::1] a, ptrdiff_t B, ptrdiff_t N) except -1:
    if a.shape[0] != B or a.shape[1] != N:
        raise ValueError(f"{name} has shape ({a.shape[0]}, {a.shape[1]}), expected ({B}, {N})")
    return expect_aligned(name, &a[0, 0], sizeof(element))

cdef inline int expect_below(str name, ptrdiff_t found, ptrdiff_t count) except -1:
    if not 0 <= found < count:
        raise ValueError(f"{name}: expected 0 .. {count - 1}, got {found}")
    return 0

# At least so many numbers, of a table's row
cdef inline int expect_parameters(const double[::1] found, ptrdiff_t count) except -1:
    if found.shape[0] < count:
        raise ValueError(f"parameters: expected {count}, got {found.shape[0]}")
    return expect_aligned("parameters", &found[0], sizeof(double))

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

# What keeps an array's memory where it is, as long as it lives: NumPy resizes no array that has a weak reference, not
# even by resize(..., refcheck=False). None where NumPy does not own the memory.
cdef inline object pinned(object array):
    while isinstance(array, cnp.ndarray) and cnp.PyArray_BASE(<cnp.ndarray>array) != NULL:
        array = <object>cnp.PyArray_BASE(<cnp.ndarray>array)
    return PyWeakref_NewRef(array, None) if isinstance(array, cnp.ndarray) else None
