// Pooling of channels-last activations [n, t, h, w, channels]: one thread for each pixel of the result, and V channels of it.
// Backward passes gather, so that no two threads write the same number. See src/pool.rs.
#include "common.cuh"

// Triples are (time, height, width).
struct Pool {
    Divisor input[3], output[3], stride[3];
    u32 kernel[3], pad[3];
};

// Taps [first, end) of a window that lie in the input, along an axis; tap `first` is input position `base`.
struct Span {
    u32 first, end, base;
    __device__ Span(const Pool &pool, int axis, u32 at) {
        u32 start = at * pool.stride[axis].by, pad = pool.pad[axis], reach = pool.input[axis].by + pad - start;
        first = start < pad ? pad - start : 0;
        end = reach < pool.kernel[axis] ? reach : pool.kernel[axis];
        base = start + first - pad;
    }
};

// The windows [first, end) that hold an input position, along an axis; in the first it is tap `tap`, and a stride less in each
// further one.
struct Cover {
    u32 first, end, tap;
    __device__ Cover(const Pool &pool, int axis, u32 position) {
        const Divisor &stride = pool.stride[axis];
        u32 at = position + pool.pad[axis], kernel = pool.kernel[axis], output = pool.output[axis].by;
        u32 last = stride.divide(at) + 1;
        first = at + 1 > kernel ? stride.divide(at - kernel + stride.by) : 0;
        end = last < output ? last : output;
        tap = at - first * stride.by;
    }
};

// A pixel's sample and position.
struct Pixel {
    u32 sample, at[3];
    __device__ Pixel(u32 pixel, const Divisor (&size)[3]) {
        at[2] = size[2].rest(pixel);
        at[1] = size[1].rest(pixel);
        at[0] = size[0].rest(pixel);
        sample = pixel;
    }
};

// Calls body(tap, input pixel) for the taps of an output pixel that lie in the input.
template <class Body> __device__ inline void each_tap(const Pool &pool, u32 output, Body body) {
    Pixel pixel(output, pool.output);
    Span t(pool, 0, pixel.at[0]), h(pool, 1, pixel.at[1]), w(pool, 2, pixel.at[2]);
    for (u32 kt = t.first; kt < t.end; kt++) {
        u32 z = pixel.sample * pool.input[0].by + t.base + kt - t.first;
        for (u32 kh = h.first; kh < h.end; kh++) {
            u32 y = z * pool.input[1].by + h.base + kh - h.first;
            for (u32 kw = w.first; kw < w.end; kw++) {
                u32 tap = (kt * pool.kernel[1] + kh) * pool.kernel[2] + kw;
                body(tap, y * pool.input[2].by + w.base + kw - w.first);
            }
        }
    }
}

// Calls body(tap, output pixel) for the windows that hold an input pixel.
template <class Body> __device__ inline void each_window(const Pool &pool, u32 input, Body body) {
    Pixel pixel(input, pool.input);
    Cover t(pool, 0, pixel.at[0]), h(pool, 1, pixel.at[1]), w(pool, 2, pixel.at[2]);
    u32 kt = t.tap;
    for (u32 oz = t.first; oz < t.end; oz++, kt -= pool.stride[0].by) {
        u32 z = pixel.sample * pool.output[0].by + oz, kh = h.tap;
        for (u32 oy = h.first; oy < h.end; oy++, kh -= pool.stride[1].by) {
            u32 y = z * pool.output[1].by + oy, kw = w.tap;
            for (u32 ox = w.first; ox < w.end; ox++, kw -= pool.stride[2].by) {
                body((kt * pool.kernel[1] + kh) * pool.kernel[2] + kw, y * pool.output[2].by + ox);
            }
        }
    }
}

// A vector of V bytes.
template <int V> struct Bytes;
template <> struct Bytes<1> {
    u8 word;
};
template <> struct Bytes<4> {
    u32 word;
};
template <> struct Bytes<8> {
    u64 word;
};

// `pixels` are those of the output.
template <class T, int V>
__device__ void max_forward(const T *__restrict__ x, T *__restrict__ y, u8 *__restrict__ index, const Pool &pool, u32 pixels,
                            u32 channels) {
    Place<V> place;
    if (place.row >= pixels || place.channel >= channels) {
        return;
    }
    float best[V];
    u32 taps[V];
#pragma unroll
    for (int v = 0; v < V; v++) {
        best[v] = 0;
        taps[v] = 0xffffffff;
    }
    each_tap(pool, place.row, [&](u32 tap, u32 pixel) {
        float values[V];
        load<V>(x + u64(pixel) * channels + place.channel, values);
#pragma unroll
        for (int v = 0; v < V; v++) {
            bool wins = values[v] > best[v] || values[v] != values[v] || taps[v] == 0xffffffff;
            if (wins) {
                best[v] = values[v];
                taps[v] = tap;
            }
        }
    });
    u64 at = u64(place.row) * channels + place.channel;
    store<V>(best, y + at);
    u64 packed = 0;
#pragma unroll
    for (int v = 0; v < V; v++) {
        packed |= u64(taps[v] & 0xff) << (8 * v);
    }
    Bytes<V> bytes;
    bytes.word = decltype(bytes.word)(packed);
    *reinterpret_cast<Bytes<V> *>(index + at) = bytes;
}

#define MAX_FORWARD(suffix, T, V)                                                                                      \
    ENTRY(pool_max_forward_##suffix, const T *__restrict__ x, T *__restrict__ y, u8 *__restrict__ index,               \
          const Pool pool, u32 pixels, u32 channels) {                                                                 \
        max_forward<T, V>(x, y, index, pool, pixels, channels);                                                        \
    }
FOR_ACTIVATIONS(MAX_FORWARD)

// `pixels` are those of the input, here and below.
template <class T, int V>
__device__ void max_backward(const T *__restrict__ dy, const u8 *__restrict__ index, T *__restrict__ dx, const Pool &pool,
                             u32 pixels, u32 channels) {
    Place<V> place;
    if (place.row >= pixels || place.channel >= channels) {
        return;
    }
    float sums[V] = {};
    each_window(pool, place.row, [&](u32 tap, u32 pixel) {
        u64 at = u64(pixel) * channels + place.channel;
        float d[V];
        load<V>(dy + at, d);
        u64 taps = reinterpret_cast<const Bytes<V> *>(index + at)->word;
#pragma unroll
        for (int v = 0; v < V; v++) {
            sums[v] += (taps >> (8 * v) & 0xff) == tap ? d[v] : 0.0f;
        }
    });
    store<V>(sums, dx + u64(place.row) * channels + place.channel);
}

#define MAX_BACKWARD(suffix, T, V)                                                                                     \
    ENTRY(pool_max_backward_##suffix, const T *__restrict__ dy, const u8 *__restrict__ index, T *__restrict__ dx,      \
          const Pool pool, u32 pixels, u32 channels) {                                                                 \
        max_backward<T, V>(dy, index, dx, pool, pixels, channels);                                                     \
    }
FOR_ACTIVATIONS(MAX_BACKWARD)

template <class T, int V>
__device__ void average_forward(const T *__restrict__ x, T *__restrict__ y, const Pool &pool, float share, u32 pixels,
                                u32 channels) {
    Place<V> place;
    if (place.row >= pixels || place.channel >= channels) {
        return;
    }
    float sums[V] = {};
    each_tap(pool, place.row, [&](u32, u32 pixel) {
        float values[V];
        load<V>(x + u64(pixel) * channels + place.channel, values);
#pragma unroll
        for (int v = 0; v < V; v++) {
            sums[v] += values[v];
        }
    });
#pragma unroll
    for (int v = 0; v < V; v++) {
        sums[v] *= share;
    }
    store<V>(sums, y + u64(place.row) * channels + place.channel);
}

#define AVERAGE_FORWARD(suffix, T, V)                                                                                  \
    ENTRY(pool_average_forward_##suffix, const T *__restrict__ x, T *__restrict__ y, const Pool pool, float share,     \
          u32 pixels, u32 channels) {                                                                                  \
        average_forward<T, V>(x, y, pool, share, pixels, channels);                                                    \
    }
FOR_ACTIVATIONS(AVERAGE_FORWARD)

template <class T, int V>
__device__ void average_backward(const T *__restrict__ dy, T *__restrict__ dx, const Pool &pool, float share, u32 pixels,
                                 u32 channels) {
    Place<V> place;
    if (place.row >= pixels || place.channel >= channels) {
        return;
    }
    float sums[V] = {};
    each_window(pool, place.row, [&](u32, u32 pixel) {
        float d[V];
        load<V>(dy + u64(pixel) * channels + place.channel, d);
#pragma unroll
        for (int v = 0; v < V; v++) {
            sums[v] = fmaf(d[v], share, sums[v]);
        }
    });
    store<V>(sums, dx + u64(place.row) * channels + place.channel);
}

#define AVERAGE_BACKWARD(suffix, T, V)                                                                                 \
    ENTRY(pool_average_backward_##suffix, const T *__restrict__ dy, T *__restrict__ dx, const Pool pool, float share,  \
          u32 pixels, u32 channels) {                                                                                  \
        average_backward<T, V>(dy, dx, pool, share, pixels, channels);                                                 \
    }
FOR_ACTIVATIONS(AVERAGE_BACKWARD)

// The mean of [n, positions, channels] over the positions: one block for a sample and as many channels as it is wide; its rows of
// threads stride over the positions.
template <class T, int V>
__device__ void global_mean(const T *__restrict__ x, float *__restrict__ y, u32 positions, float share, u32 channels) {
    __shared__ float shared[V][THREADS];
    u32 thread = threadIdx.y * blockDim.x + threadIdx.x;
    u32 channel = (blockIdx.y * blockDim.x + threadIdx.x) * V;
    float sums[V] = {};
    if (channel < channels) {
        x += u64(blockIdx.x) * positions * channels + channel;
        for (u32 position = threadIdx.y; position < positions; position += blockDim.y) {
            float values[V];
            load<V>(x + u64(position) * channels, values);
#pragma unroll
            for (int v = 0; v < V; v++) {
                sums[v] += values[v];
            }
        }
    }
#pragma unroll
    for (int v = 0; v < V; v++) {
        shared[v][thread] = sums[v];
    }
    for (u32 high = blockDim.y; high > 1;) {
        u32 half = (high + 1) / 2;
        __syncthreads();
        if (threadIdx.y < high - half) {
#pragma unroll
            for (int v = 0; v < V; v++) {
                shared[v][thread] += shared[v][thread + half * blockDim.x];
            }
        }
        high = half;
    }
    if (threadIdx.y == 0 && channel < channels) {
#pragma unroll
        for (int v = 0; v < V; v++) {
            y[u64(blockIdx.x) * channels + channel + v] = shared[v][thread] * share;
        }
    }
}

#define GLOBAL_MEAN(suffix, T, V)                                                                                      \
    ENTRY(pool_global_mean_##suffix, const T *__restrict__ x, float *__restrict__ y, u32 positions, float share,       \
          u32 channels) {                                                                                              \
        global_mean<T, V>(x, y, positions, share, channels);                                                           \
    }
FOR_ACTIVATIONS(GLOBAL_MEAN)

template <class T, int V>
__device__ void global_mean_backward(const float *__restrict__ dy, T *__restrict__ dx, const Divisor &positions, float share,
                                     u32 rows, u32 channels) {
    Place<V> place;
    if (place.row >= rows || place.channel >= channels) {
        return;
    }
    float d[V];
    load<V>(dy + u64(positions.divide(place.row)) * channels + place.channel, d);
#pragma unroll
    for (int v = 0; v < V; v++) {
        d[v] *= share;
    }
    store<V>(d, dx + u64(place.row) * channels + place.channel);
}

#define GLOBAL_MEAN_BACKWARD(suffix, T, V)                                                                             \
    ENTRY(pool_global_mean_backward_##suffix, const float *__restrict__ dy, T *__restrict__ dx,                        \
          const Divisor positions, float share, u32 rows, u32 channels) {                                              \
        global_mean_backward<T, V>(dy, dx, positions, share, rows, channels);                                          \
    }
FOR_ACTIVATIONS(GLOBAL_MEAN_BACKWARD)
