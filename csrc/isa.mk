# How the C helpers are compiled: read by csrc/Makefile and by setup.py, so that both build the same objects.
# A line is NAME = flags. kernels.c is compiled once for each instruction set of the machine's family and each
# precision; threads.c, cores.c, random.c and dispatch.c are compiled once.
CFLAGS_all = -std=c11 -O3 -fno-math-errno -fno-trapping-math -ffp-contract=off -fvisibility=hidden -Wall -Wextra -Wno-unknown-pragmas -Wno-psabi

ISAS_x86_64 = base avx2 avx512
ISAS_aarch64 = neon
ISAS_other = portable

# prfchw: what is to be written is fetched as one's own. Processors with AVX2 that lack the instruction skip it.
CFLAGS_base =
CFLAGS_avx2 = -mavx2 -mfma -mprfchw -mprefer-vector-width=256
CFLAGS_avx512 = -mavx512f -mavx512cd -mavx512vl -mavx512bw -mavx512dq -mavx2 -mfma -mprfchw -mprefer-vector-width=512
CFLAGS_neon =
CFLAGS_portable =
