// Operations on numbers one by one. See src/pointwise.rs.
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

template <class T, int V> __device__ void add(const T *__restrict__ x, T *__restrict__ y, u64 n) {
    each<V>(n, [&](auto width, u64 i) {
        constexpr int W = decltype(width)::value;
        float values[W], sums[W];
        load<W>(x + i, values);
        load<W>(y + i, sums);
#pragma unroll
        for (int v = 0; v < W; v++) {
            sums[v] += values[v];
        }
        store<W>(sums, y + i);
    });
}

#define ADD(suffix, T, V)                                                                 \
    ENTRY(pointwise_add_##suffix, const T *__restrict__ x, T *__restrict__ y, u64 n) {    \
        add<T, V>(x, y, n);                                                               \
    }
FOR_ACTIVATIONS(ADD)

// The factor is `by_value`, or where there is one the one at `factor`. y may be the memory of x.
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

template <class T, int V> __device__ void relu_backward(const T *__restrict__ y, T *__restrict__ grad, u64 n) {
    each<V>(n, [&](auto width, u64 i) {
        constexpr int W = decltype(width)::value;
        float out[W], d[W];
        load<W>(y + i, out);
        load<W>(grad + i, d);
#pragma unroll
        for (int v = 0; v < W; v++) {
            d[v] = out[v] > 0.0f ? d[v] : 0.0f;
        }
        store<W>(d, grad + i);
    });
}

#define RELU_BACKWARD(suffix, T, V)                                                                    \
    ENTRY(pointwise_relu_backward_##suffix, const T *__restrict__ y, T *__restrict__ grad, u64 n) {    \
        relu_backward<T, V>(y, grad, n);                                                               \
    }
FOR_ACTIVATIONS(RELU_BACKWARD)

template <class T, int V> __device__ void not_finite(const T *__restrict__ x, u32 *flag, u64 n) {
    each<V>(n, [&](auto width, u64 i) {
        constexpr int W = decltype(width)::value;
        float values[W];
        bool found = false;
        load<W>(x + i, values);
#pragma unroll
        for (int v = 0; v < W; v++) {
            found |= (__float_as_uint(values[v]) & 0x7f800000) == 0x7f800000;
        }
        if (found) {
            *flag = 1;
        }
    });
}

#define NOT_FINITE(suffix, T, V)                                                          \
    ENTRY(pointwise_not_finite_##suffix, const T *__restrict__ x, u32 *flag, u64 n) {     \
        not_finite<T, V>(x, flag, n);                                                     \
    }
FOR_ACTIVATIONS(NOT_FINITE)

// y [rows, channels] += bias, if there is one; then the ReLU, if asked for.
template <class T, int V> __device__ void bias(const float *bias, bool relu, T *y, u32 rows, u32 channels) {
    Place<V> place;
    if (place.row >= rows || place.channel >= channels) {
        return;
    }
    float values[V];
    T *at = y + u64(place.row) * channels + place.channel;
    load<V>(at, values);
#pragma unroll
    for (int v = 0; v < V; v++) {
        values[v] += bias ? bias[place.channel + v] : 0.0f;
        values[v] = relu ? rectify(values[v]) : values[v];
    }
    store<V>(values, at);
}

#define BIAS(suffix, T, V)                                                                             \
    ENTRY(pointwise_bias_##suffix, const float *of_channels, u32 relu, T *y, u32 rows, u32 channels) { \
        bias<T, V>(of_channels, relu, y, rows, channels);                                              \
    }
FOR_ACTIVATIONS(BIAS)
