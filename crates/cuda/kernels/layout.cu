// Convolution weights from PyTorch's layout [co, ci, taps] to [co, taps, padded], and gradients back: one thread for each
// value of the result. Neighbouring threads read the same few lines, which stay in the cache. See src/layout.rs.
#include "common.cuh"

template <class T>
__device__ void channels_last(const float *__restrict__ w, T *__restrict__ y, u32 ci, u32 taps, u32 padded, u32 n) {
    u32 i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) {
        return;
    }
    u32 c = i % padded, tap = i / padded % taps, o = i / padded / taps;
    float value[1] = {c < ci ? w[(o * ci + c) * taps + tap] : 0.0f};
    store<1>(value, y + i);
}

template <class T>
__device__ void channels_first(const T *__restrict__ dy, float *__restrict__ grad, u32 ci, u32 taps, u32 padded, u32 n) {
    u32 i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) {
        return;
    }
    u32 tap = i % taps, c = i / taps % ci, o = i / taps / ci;
    grad[i] = number(dy[(o * taps + tap) * padded + c]);
}

#define LAYOUT(suffix, T)                                                                                             \
    ENTRY(layout_channels_last_##suffix, const float *__restrict__ w, T *__restrict__ y, u32 ci, u32 taps,            \
          u32 padded, u32 n) {                                                                                        \
        channels_last<T>(w, y, ci, taps, padded, n);                                                                  \
    }                                                                                                                 \
    ENTRY(layout_channels_first_##suffix, const T *__restrict__ dy, float *__restrict__ grad, u32 ci, u32 taps,       \
          u32 padded, u32 n) {                                                                                        \
        channels_first<T>(dy, grad, ci, taps, padded, n);                                                             \
    }
LAYOUT(f32, float)
LAYOUT(bf16, bf16)
