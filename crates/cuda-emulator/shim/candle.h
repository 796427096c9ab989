// What Candle's kernels need from CUDA's headers in addition to the shim of glad-cuda-host; included before each of their files.
#pragma once

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <math.h>
#include <stdint.h>
#include <type_traits>

#include "shim.h"

#define __CUDA_ARCH__ 800
#define __CUDACC_VER_MAJOR__ 13
#define __CUDACC_VER_MINOR__ 0
#define __forceinline__ inline
#define __host__
#define __restrict__
#undef __global__
#define __global__ __attribute__((used))

using std::isnan;
using std::max;
using std::min;
using std::signbit;

inline unsigned max(unsigned a, int b) { return a > (unsigned)b ? a : (unsigned)b; }

struct float2 {
    float x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }

template <class T> inline T __shfl_xor_sync(unsigned lanes, T x, int by, int /* 32 */) {
    return __shfl_xor_sync(lanes, x, by);
}

// A 16-bit float: arithmetic in 32 bits, rounded after each operation.
template <class Bits> struct Small {
    uint16_t bits;

    Small() = default;
    template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>> Small(T v) : bits(Bits::of((float)v)) {}
    template <class Other> explicit Small(Small<Other> v) : bits(Bits::of((float)v)) {}
    operator float() const { return Bits::to(bits); }

    Small operator-() const { return Small(-(float)*this); }
    Small &operator+=(Small o) { return *this = Small((float)*this + (float)o); }
    Small &operator*=(float o) { return *this = Small((float)*this * o); }
#define OPERATOR(op) \
    friend Small operator op(Small a, Small b) { return Small((float)a op (float)b); }
    OPERATOR(+)
    OPERATOR(-)
    OPERATOR(*)
    OPERATOR(/)
#undef OPERATOR
#define OPERATOR(op) \
    friend bool operator op(Small a, Small b) { return (float)a op (float)b; }
    OPERATOR(==)
    OPERATOR(!=)
    OPERATOR(<)
    OPERATOR(<=)
    OPERATOR(>)
    OPERATOR(>=)
#undef OPERATOR
};

struct Brain {
    static uint16_t of(float v) {
        uint32_t bits;
        std::memcpy(&bits, &v, 4);
        if (v != v) {
            return 0x7FFF;
        }
        return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    }
    static float to(uint16_t v) { return __uint_as_float((unsigned)v << 16); }
};
struct Half {
    static uint16_t of(float v) {
        _Float16 h = v;
        uint16_t bits;
        std::memcpy(&bits, &h, 2);
        return bits;
    }
    static float to(uint16_t v) {
        _Float16 h;
        std::memcpy(&h, &v, 2);
        return h;
    }
};
using __nv_bfloat16 = Small<Brain>;
using __half = Small<Half>;
using half = __half;

struct __nv_bfloat162 {
    __nv_bfloat16 x, y;
};
inline __nv_bfloat162 __hadd2(__nv_bfloat162 a, __nv_bfloat162 b) { return {a.x + b.x, a.y + b.y}; }
inline __nv_bfloat162 __hmul2(__nv_bfloat162 a, __nv_bfloat162 b) { return {a.x * b.x, a.y * b.y}; }
inline float2 __bfloat1622float2(__nv_bfloat162 a) { return {a.x, a.y}; }

inline float __half2float(__half v) { return v; }
inline __half __float2half(float v) { return v; }
inline float __bfloat162float(__nv_bfloat16 v) { return v; }
inline __nv_bfloat16 __float2bfloat16(float v) { return v; }
inline __nv_bfloat16 __float2bfloat16_rn(float v) { return v; }
template <class B> inline bool __hisnan(Small<B> v) { return std::isnan((float)v); }
template <class B> inline Small<B> hsqrt(Small<B> v) { return std::sqrt((float)v); }
template <class B> inline Small<B> hcos(Small<B> v) { return std::cos((float)v); }
template <class B> inline Small<B> hsin(Small<B> v) { return std::sin((float)v); }
template <class B> inline Small<B> hlog(Small<B> v) { return std::log((float)v); }
template <class B> inline Small<B> hexp(Small<B> v) { return std::exp((float)v); }
template <class B> inline Small<B> __habs(Small<B> v) { return std::fabs((float)v); }
template <class B> inline Small<B> __hmax_nan(Small<B> a, Small<B> b) { return a != a || a > b ? a : b; }
template <class B> inline Small<B> __hmin_nan(Small<B> a, Small<B> b) { return a != a || a < b ? a : b; }
inline unsigned short __half_as_ushort(__half v) { return v.bits; }
inline __half __ushort_as_half(unsigned short v) {
    __half h;
    h.bits = v;
    return h;
}

// 8-bit floats, which are never used.
struct __nv_fp8_e4m3 {
    uint8_t __x;
    __nv_fp8_e4m3() = default;
    template <class T> explicit __nv_fp8_e4m3(T) { std::abort(); }
};
enum { __NV_E4M3 };
inline __half __nv_cvt_fp8_to_halfraw(uint8_t, int) { std::abort(); }

inline float rsqrtf(float v) { return 1.0f / std::sqrt(v); }
inline float normcdff(float v) { return 0.5f * erfcf(-v * (float)M_SQRT1_2); }
inline double normcdf(double v) { return 0.5 * erfc(-v * M_SQRT1_2); }
inline int __float_as_int(float v) { return (int)__float_as_uint(v); }
inline float __int_as_float(int v) { return __uint_as_float((unsigned)v); }
inline long long __double_as_longlong(double v) {
    long long bits;
    std::memcpy(&bits, &v, 8);
    return bits;
}
inline double __longlong_as_double(long long v) {
    double x;
    std::memcpy(&x, &v, 8);
    return x;
}

// One thread runs at a time, and yields only at barriers.
template <class T, class V> inline T atomicAdd(T *at, V v) {
    T old = *at;
    *at = old + T(v);
    return old;
}
template <class T> inline T atomicCAS(T *at, T is, T to) {
    T old = *at;
    if (old == is) {
        *at = to;
    }
    return old;
}
template <class T, class V> inline T atomicMin(T *at, V v) {
    T old = *at;
    *at = min(old, (T)v);
    return old;
}
template <class T, class V> inline T atomicMax(T *at, V v) {
    T old = *at;
    *at = max(old, (T)v);
    return old;
}

namespace cuda::std {
using ::std::numeric_limits;
}
