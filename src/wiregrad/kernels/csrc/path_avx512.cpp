// The kernels in AVX-512 instructions (F, BW, DQ, VL).
#include "deterministic.hpp"
#include "pooling.hpp"
#include "sparse_rows.hpp"
#include "stochastic.hpp"

#if WG_X86
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2,popcnt,lzcnt,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,bmi,bmi2,popcnt,lzcnt,avx512f,avx512bw,avx512dq,avx512vl")
#endif

#define WG_LEVEL 2

namespace wg::avx512 {

#include "deterministic.inc"
#include "pooling.inc"
#include "sparse_rows.inc"
#include "stochastic.inc"

}  // namespace wg::avx512

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
