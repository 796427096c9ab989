// The part of CUDA that the kernels need, for running the grid's threads one after the other.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __launch_bounds__(threads)
// A block's threads run on one thread of this process, and so do its blocks, one by one.
#define __shared__ static thread_local

struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct dim3 {
    unsigned x, y, z;
};

extern thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

inline float __uint_as_float(unsigned bits) {
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

inline unsigned __float_as_uint(float x) {
    unsigned bits;
    std::memcpy(&bits, &x, 4);
    return bits;
}

inline unsigned __umulhi(unsigned a, unsigned b) {
    return (unsigned)((unsigned long long)a * b >> 32);
}

// Lets the other threads of the block, or of the warp, run up to the same place.
enum Wait { BLOCK = 0, WARP = 1 };
extern "C" void glad_host_wait(unsigned wait);

inline void __syncthreads() {
    glad_host_wait(BLOCK);
}

extern thread_local double shuffled[32][32];

template <class T> inline T __shfl_xor_sync(unsigned /* all lanes, or the runner complains */, T x, int by) {
    static_assert(sizeof(T) <= sizeof(double), "a slot is as large as a double");
    unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    auto &warp = shuffled[thread / 32];
    std::memcpy(&warp[thread % 32], &x, sizeof(T));
    glad_host_wait(WARP);
    std::memcpy(&x, &warp[thread % 32 ^ by], sizeof(T));
    glad_host_wait(WARP);
    return x;
}

// A kernel's parameter: p(ointer), u(nsigned int), i(nt), l(ong: 64 bits), f(loat) or w(ords: a struct), and its bytes.
struct Parameter {
    unsigned char kind;
    unsigned size;
};

template <class T> constexpr Parameter parameter() {
    static_assert(std::is_trivially_copyable_v<T>, "arguments are passed as bytes");
    char kind = std::is_pointer_v<T>                         ? 'p'
                : std::is_same_v<T, unsigned>                ? 'u'
                : std::is_same_v<T, int>                     ? 'i'
                : std::is_same_v<T, unsigned long long>      ? 'l'
                : std::is_same_v<T, float>                   ? 'f'
                : std::is_class_v<T> && alignof(T) == 4      ? 'w'
                                                             : '?';
    return {(unsigned char)kind, (unsigned)sizeof(T)};
}

// An entry point: its file and its name, its parameters, and the function that runs one of its threads.
struct Kernel {
    const char *module;
    const char *name;
    const Parameter *parameters;
    unsigned count;
    void (*function)();
    void (*call)(void (*function)(), void *const *arguments);
    const Kernel *next;
};

extern const Kernel *kernels;

template <class... A> struct Signature {
    static constexpr Parameter parameters[] = {parameter<A>()...};

    template <std::size_t... I> static void unpack(void (*kernel)(A...), void *const *arguments, std::index_sequence<I...>) {
        kernel(*static_cast<std::remove_const_t<A> *>(arguments[I])...);
    }
    static void call(void (*function)(), void *const *arguments) {
        unpack(reinterpret_cast<void (*)(A...)>(function), arguments, std::index_sequence_for<A...>());
    }
};

struct Entry : Kernel {
    template <class... A>
    Entry(const char *module, const char *name, void (*kernel)(A...))
        : Kernel{module, name, Signature<A...>::parameters, sizeof...(A), reinterpret_cast<void (*)()>(kernel), Signature<A...>::call,
                 kernels} {
        kernels = this;
    }
};

#define ENTRY(name, ...)                           \
    static void name(__VA_ARGS__);                 \
    static const Entry entry_of_##name(MODULE, #name, name); \
    static void name(__VA_ARGS__)
