// Elementwise operations. See src/pointwise.rs.
#include "common.cuh"

template <class From, class To, int V> __device__ void cast(const From *__restrict__ x, To *__restrict__ y, u64 n) {
    each<V>(n, [&](auto width, u64 i) {
        constexpr int W = decltype(width)::value;
        float values[W];
        load<W>(x + i, values);
        store<W>(values, y + i);
    });
}

#define CAST(name, From, To, V)                                                      \
    ENTRY(pointwise_##name, const From *__restrict__ x, To *__restrict__ y, u64 n) { \
        cast<From, To, V>(x, y, n);                                                  \
    }
CAST(narrow, float, bf16, 1)
CAST(narrow_x8, float, bf16, 8)
CAST(widen, bf16, float, 1)
CAST(widen_x8, bf16, float, 8)

// The factor is `by_value`, or the one at `factor` if not null. y may be the memory of x.
template <class T, int V> __device__ void scale(const float *factor, float by_value, const T *x, T *y, u64 n) {
    float f = factor ? *factor : by_value;
    each<V>(n, [&](auto width, u64 i) {
        constexpr int W = decltype(width)::value;
        float values[W];
        load<W>(x + i, values);
#pragma unroll
        for (int v = 0; v < W; v++) {
            values[v] *= f;
        }
        store<W>(values, y + i);
    });
}

#define SCALE(suffix, T, V)                                                                          \
    ENTRY(pointwise_scale_##suffix, const float *factor, float by_value, const T *x, T *y, u64 n) {  \
        scale<T, V>(factor, by_value, x, y, n);                                                      \
    }
FOR_ACTIVATIONS(SCALE)

// y += x where `add` holds a number that is not 0, else y = x.
template <int V> __device__ void accumulate(const float *add, const float *__restrict__ x, float *__restrict__ y, u64 n) {
    bool adds = *add != 0;
    each<V>(n, [&](auto width, u64 i) {
        constexpr int W = decltype(width)::value;
        float values[W], before[W];
        load<W>(x + i, values);
        if (adds) {
            load<W>(y + i, before);
#pragma unroll
            for (int v = 0; v < W; v++) {
                values[v] = before[v] + values[v];
            }
        }
        store<W>(values, y + i);
    });
}

ENTRY(pointwise_accumulate_f32, const float *add, const float *x, float *y, u64 n) {
    accumulate<1>(add, x, y, n);
}
ENTRY(pointwise_accumulate_f32x4, const float *add, const float *x, float *y, u64 n) {
    accumulate<4>(add, x, y, n);
}

// y [rows, channels] += bias.
template <class T, int V> __device__ void bias(const float *bias, T *y, u32 rows, u32 channels) {
    Place<V> place;
    if (place.row >= rows || place.channel >= channels) {
        return;
    }
    float values[V];
    T *at = y + u64(place.row) * channels + place.channel;
    load<V>(at, values);
#pragma unroll
    for (int v = 0; v < V; v++) {
        values[v] += bias[place.channel + v];
    }
    store<V>(values, at);
}

#define BIAS(suffix, T, V)                                                                             \
    ENTRY(pointwise_bias_##suffix, const float *of_channels, T *y, u32 rows, u32 channels) {          \
        bias<T, V>(of_channels, y, rows, channels);                                                    \
    }
FOR_ACTIVATIONS(BIAS)
