// Shared by the kernels: number types and vectors of them, and the mapping of threads to tensors.
//
// Plain CUDA C++ without CUDA headers, because the same files are compiled as C++ for the tests (host/).
#pragma once

// An entry point; no launch has blocks of more than 256 threads.
#ifndef ENTRY
#define ENTRY(name, ...) extern "C" __global__ void __launch_bounds__(256) name(__VA_ARGS__)
#endif

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

constexpr u32 THREADS = 256;

// The upper half of a float.
struct bf16 {
    unsigned short bits;
};

__device__ inline float number(float x) {
    return x;
}

__device__ inline float number(bf16 x) {
    return __uint_as_float(u32(x.bits) << 16);
}

// Rounds to nearest, ties to even.
__device__ inline bf16 narrow(float x) {
    bf16 y;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
#else
    u32 bits = __float_as_uint(x);
    bool nan = (bits & 0x7fffffff) > 0x7f800000;
    y.bits = (unsigned short)(nan ? 0x7fff : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
#endif
    return y;
}

// Two values at once, the first in the lower half.
__device__ inline u32 narrow(float first, float second) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    u32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
    return both;
#else
    return u32(narrow(first).bits) | u32(narrow(second).bits) << 16;
#endif
}

// V values of type T: loaded and stored at once as `Raw`, computed on as floats.
template <class T, int V> struct Vector;

template <> struct Vector<float, 1> {
    typedef float Raw;
    static __device__ void unpack(Raw raw, float (&to)[1]) {
        to[0] = raw;
    }
    static __device__ Raw pack(const float (&from)[1]) {
        return from[0];
    }
};

template <> struct Vector<float, 4> {
    typedef float4 Raw;
    static __device__ void unpack(Raw raw, float (&to)[4]) {
        to[0] = raw.x, to[1] = raw.y, to[2] = raw.z, to[3] = raw.w;
    }
    static __device__ Raw pack(const float (&from)[4]) {
        return {from[0], from[1], from[2], from[3]};
    }
};

template <> struct Vector<float, 8> {
    struct Raw {
        float4 halves[2];
    };
    static __device__ void unpack(Raw raw, float (&to)[8]) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            float4 half = raw.halves[i];
            to[4 * i] = half.x, to[4 * i + 1] = half.y, to[4 * i + 2] = half.z, to[4 * i + 3] = half.w;
        }
    }
    static __device__ Raw pack(const float (&from)[8]) {
        return {{{from[0], from[1], from[2], from[3]}, {from[4], from[5], from[6], from[7]}}};
    }
};

template <> struct Vector<bf16, 1> {
    typedef bf16 Raw;
    static __device__ void unpack(Raw raw, float (&to)[1]) {
        to[0] = number(raw);
    }
    static __device__ Raw pack(const float (&from)[1]) {
        return narrow(from[0]);
    }
};

template <> struct Vector<bf16, 8> {
    typedef uint4 Raw;
    static __device__ void unpack(Raw raw, float (&to)[8]) {
        u32 words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            to[2 * i] = __uint_as_float(words[i] << 16);
            to[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000);
        }
    }
    static __device__ Raw pack(const float (&from)[8]) {
        return {narrow(from[0], from[1]), narrow(from[2], from[3]), narrow(from[4], from[5]), narrow(from[6], from[7])};
    }
};

// V values as stored in memory.
template <int V, class T> __device__ inline typename Vector<T, V>::Raw fetch(const T *from) {
    return *reinterpret_cast<const typename Vector<T, V>::Raw *>(from);
}

template <int V, class T> __device__ inline void load(const T *from, float (&to)[V]) {
    Vector<T, V>::unpack(fetch<V>(from), to);
}

template <int V, class T> __device__ inline void store(const float (&from)[V], T *to) {
    *reinterpret_cast<typename Vector<T, V>::Raw *>(to) = Vector<T, V>::pack(from);
}

// Negative values become zero; NaN stays NaN.
__device__ inline float rectify(float x) {
    return x < 0.0f ? 0.0f : x;
}

// Calls body(Width<W>, i) for the values [i, i + W) of n that this thread handles, in a row of blocks whose threads take V
// values each; at the end of the row one by one.
template <int W> struct Width {
    static constexpr int value = W;
};

template <int V, class Body> __device__ inline void each(u64 n, Body body) {
    u64 i = (u64(blockIdx.x) * THREADS + threadIdx.x) * V;
    if (i + V <= n) {
        body(Width<V>(), i);
    } else {
        for (; i < n; i++) {
            body(Width<1>(), i);
        }
    }
}

// Division by a number known on the host, several times as fast as the hardware's: the quotient of n below 2³¹ is
// (n · magic) / 2^(32 + shift), and n itself for a divisor of 1. See src/launch.rs.
struct Divisor {
    u32 by, magic, shift;
    __device__ u32 divide(u32 n) const {
        return by == 1 ? n : __umulhi(n, magic) >> shift;
    }
    // Leaves the quotient in n, and returns the remainder.
    __device__ u32 rest(u32 &n) const {
        u32 quotient = divide(n), left = n - quotient * by;
        n = quotient;
        return left;
    }
};

// A thread's position in [rows, channels], with blocks laid over both: its row, and the first of its V channels.
template <int V> struct Place {
    u32 row, channel;
    __device__ Place() {
        row = blockIdx.x * blockDim.y + threadIdx.y;
        channel = (blockIdx.y * blockDim.x + threadIdx.x) * V;
    }
    // Rows between a thread's iterations.
    __device__ u32 step() const {
        return gridDim.x * blockDim.y;
    }
};

// The parameters of an optimiser that one launch updates: see src/table.rs. Addresses and lengths of a `Parameter` are in two
// halves, the lower first: the table is passed as 32-bit words. `block` is the first block of the parameter.
template <class Parameter, u32 MOST> struct TableOf {
    u32 count;
    Parameter of[MOST];
};

// Values of a parameter for each block: as in src/table.rs.
constexpr u32 CHUNK = 4096;

__device__ inline u64 join(const u32 (&halves)[2]) {
    return u64(halves[1]) << 32 | halves[0];
}

// The parameter that this block works on: the last one that begins at this block or before.
template <class Parameter, u32 MOST> __device__ inline const Parameter &mine(const TableOf<Parameter, MOST> &table) {
    u32 low = 0, high = table.count;
    while (high - low > 1) {
        u32 middle = (low + high) / 2;
        if (table.of[middle].block <= blockIdx.x) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return table.of[low];
}

// Calls body(Width<W>, i) for the values of this block's chunk; in fours if `aligned` to 16 bytes.
template <class Parameter, class Body>
__device__ inline void each_of_chunk(const Parameter &parameter, bool aligned, Body body) {
    u64 len = join(parameter.len), first = u64(blockIdx.x - parameter.block) * CHUNK;
    if (aligned && first + CHUNK <= len) {
#pragma unroll
        for (u32 i = 0; i < CHUNK; i += 4 * THREADS) {
            body(Width<4>(), first + i + 4 * threadIdx.x);
        }
    } else {
        for (u32 i = threadIdx.x; i < CHUNK && first + i < len; i += THREADS) {
            body(Width<1>(), first + i);
        }
    }
}

// Defines an entry for each type of activations: in vectors of 16 bytes, and one by one for any channels and addresses.
#define FOR_ACTIVATIONS(DEFINE) \
    DEFINE(f32, float, 1)       \
    DEFINE(f32x4, float, 4)     \
    DEFINE(bf16, bf16, 1)       \
    DEFINE(bf16x8, bf16, 8)
