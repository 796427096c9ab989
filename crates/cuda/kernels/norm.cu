// Batch normalisation of activations [rows, channels]: statistics, forward, backward. See src/norm.rs.
//
// Threads stride over the rows, several at a time so that enough loads are in flight. Sums over rows are taken in
// two stages: each block writes those of its rows, and a separate kernel adds the blocks' sums in order.
#include "common.cuh"

constexpr int AT_ONCE = 4;
// The same where each row needs more registers.
constexpr int FEW_AT_ONCE = 2;
// Width in channels of the blocks of the finishing kernels: small, so that each thread reads few blocks' sums.
constexpr u32 WIDE = 8;
constexpr u32 SLICES = THREADS / WIDE;

// Puts the sums of a block's rows at partial[block][2][channels].
template <int V> __device__ void write_sums(const float (&a)[V], const float (&b)[V], u32 channels, float *partial) {
    __shared__ float shared[2][V][THREADS];
    u32 thread = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
    for (int v = 0; v < V; v++) {
        shared[0][v][thread] = a[v];
        shared[1][v][thread] = b[v];
    }
    for (u32 high = blockDim.y; high > 1;) {
        u32 half = (high + 1) / 2;
        __syncthreads();
        if (threadIdx.y < high - half) {
#pragma unroll
            for (int v = 0; v < V; v++) {
                shared[0][v][thread] += shared[0][v][thread + half * blockDim.x];
                shared[1][v][thread] += shared[1][v][thread + half * blockDim.x];
            }
        }
        high = half;
    }
    u32 channel = (blockIdx.y * blockDim.x + threadIdx.x) * V;
    if (threadIdx.y == 0 && channel < channels) {
        float *to = partial + u64(blockIdx.x) * 2 * channels + channel;
#pragma unroll
        for (int v = 0; v < V; v++) {
            to[v] = shared[0][v][thread];
            to[channels + v] = shared[1][v][thread];
        }
    }
}

// The sums of channel `c` over all blocks, for the first slice of threads of a block of [SLICES, WIDE].
__device__ inline void read_sums(const float *partial, u32 blocks, u32 channels, u32 c, double (&sums)[2]) {
    __shared__ double shared[2][SLICES][WIDE];
    double a = 0, b = 0;
    if (c < channels) {
#pragma unroll 4
        for (u32 block = threadIdx.y; block < blocks; block += SLICES) {
            const float *from = partial + u64(block) * 2 * channels + c;
            a += from[0];
            b += from[channels];
        }
    }
    shared[0][threadIdx.y][threadIdx.x] = a;
    shared[1][threadIdx.y][threadIdx.x] = b;
    __syncthreads();
    sums[0] = sums[1] = 0;
    if (threadIdx.y == 0) {
        for (u32 slice = 0; slice < SLICES; slice++) {
            sums[0] += shared[0][slice][threadIdx.x];
            sums[1] += shared[1][slice][threadIdx.x];
        }
    }
}

// The sums of x − x[0] and of its square: relative to the first row, so that a large mean costs no precision.
template <class T, int V> __device__ void moments(const T *__restrict__ x, u32 rows, u32 channels, float *partial) {
    Place<V> place;
    float sum[V] = {}, squares[V] = {}, pivot[V];
    if (place.channel < channels) {
        x += place.channel;
        load<V>(x, pivot);
        u32 step = place.step();
        for (u32 row = place.row; row < rows; row += AT_ONCE * step) {
            typename Vector<T, V>::Raw raw[AT_ONCE];
#pragma unroll
            for (int k = 0; k < AT_ONCE; k++) {
                if (row + k * step < rows) {
                    raw[k] = fetch<V>(x + u64(row + k * step) * channels);
                }
            }
#pragma unroll
            for (int k = 0; k < AT_ONCE; k++) {
                if (row + k * step < rows) {
                    float values[V];
                    Vector<T, V>::unpack(raw[k], values);
#pragma unroll
                    for (int v = 0; v < V; v++) {
                        float d = values[v] - pivot[v];
                        sum[v] += d;
                        squares[v] = fmaf(d, d, squares[v]);
                    }
                }
            }
        }
    }
    write_sums<V>(sum, squares, channels, partial);
}

#define MOMENTS(suffix, T, V)                                                                  \
    ENTRY(norm_moments_##suffix, const T *__restrict__ x, u32 rows, u32 channels, float *partial) { \
        moments<T, V>(x, rows, channels, partial);                                             \
    }
FOR_ACTIVATIONS(MOMENTS)

template <class T>
__device__ void moments_finish(const float *partial, u32 blocks, const T *x, u32 rows, u32 channels, float *mean, float *var) {
    u32 c = blockIdx.x * WIDE + threadIdx.x;
    double sums[2];
    read_sums(partial, blocks, channels, c, sums);
    if (threadIdx.y == 0 && c < channels) {
        double shift = sums[0] / rows, spread = sums[1] / rows - shift * shift;
        mean[c] = float(number(x[c]) + shift);
        var[c] = spread < 0 ? 0.0f : float(spread);
    }
}

ENTRY(norm_moments_finish_f32, const float *partial, u32 blocks, const float *x, u32 rows, u32 channels, float *mean,
      float *var) {
    moments_finish(partial, blocks, x, rows, channels, mean, var);
}

ENTRY(norm_moments_finish_bf16, const float *partial, u32 blocks, const bf16 *x, u32 rows, u32 channels, float *mean,
      float *var) {
    moments_finish(partial, blocks, x, rows, channels, mean, var);
}

ENTRY(norm_update_running, const float *mean, const float *var, u32 channels, float unbias, float momentum,
      float *running_mean, float *running_var) {
    u32 c = blockIdx.x * THREADS + threadIdx.x;
    if (c < channels) {
        running_mean[c] += momentum * (mean[c] - running_mean[c]);
        running_var[c] += momentum * (var[c] * unbias - running_var[c]);
    }
}

// Parameters and statistics of the normalisation, [channels] each.
struct Norm {
    const float *mean, *var, *gamma, *beta;
    float eps;
    __device__ float inverse(u32 c) const {
        return 1.0f / sqrtf(var[c] + eps);
    }
    __device__ float scale(u32 c) const {
        return gamma[c] * inverse(c);
    }
    __device__ float offset(u32 c) const {
        return fmaf(-mean[c], scale(c), beta[c]);
    }
};

template <class T, int V>
__device__ void forward(const T *__restrict__ x, const T *__restrict__ residual, T *__restrict__ y, Norm norm, bool relu,
                        u32 rows, u32 channels) {
    Place<V> place;
    if (place.channel >= channels) {
        return;
    }
    float scale[V], offset[V];
#pragma unroll
    for (int v = 0; v < V; v++) {
        scale[v] = norm.scale(place.channel + v);
        offset[v] = norm.offset(place.channel + v);
    }
    u32 step = place.step();
    for (u32 row = place.row; row < rows; row += FEW_AT_ONCE * step) {
        typename Vector<T, V>::Raw raw[FEW_AT_ONCE], more[FEW_AT_ONCE];
#pragma unroll
        for (int k = 0; k < FEW_AT_ONCE; k++) {
            if (row + k * step < rows) {
                u64 at = u64(row + k * step) * channels + place.channel;
                raw[k] = fetch<V>(x + at);
                if (residual) {
                    more[k] = fetch<V>(residual + at);
                }
            }
        }
#pragma unroll
        for (int k = 0; k < FEW_AT_ONCE; k++) {
            if (row + k * step < rows) {
                float values[V];
                Vector<T, V>::unpack(raw[k], values);
#pragma unroll
                for (int v = 0; v < V; v++) {
                    values[v] = fmaf(values[v], scale[v], offset[v]);
                }
                if (residual) {
                    float added[V];
                    Vector<T, V>::unpack(more[k], added);
#pragma unroll
                    for (int v = 0; v < V; v++) {
                        values[v] += added[v];
                    }
                }
                if (relu) {
#pragma unroll
                    for (int v = 0; v < V; v++) {
                        values[v] = rectify(values[v]);
                    }
                }
                store<V>(values, y + u64(row + k * step) * channels + place.channel);
            }
        }
    }
}

#define FORWARD(suffix, T, V)                                                                                          \
    ENTRY(norm_forward_##suffix, const T *__restrict__ x, const T *__restrict__ residual, T *__restrict__ y,           \
          const float *mean, const float *var, const float *gamma, const float *beta, float eps, u32 relu, u32 rows,   \
          u32 channels) {                                                                                              \
        forward<T, V>(x, residual, y, {mean, var, gamma, beta, eps}, relu, rows, channels);                            \
    }
FOR_ACTIVATIONS(FORWARD)

// What follows the norm: nothing; a ReLU, whose mask is recomputed from x; or a ReLU after a residual, whose
// mask is that of the output y.
enum Mask { NONE, FROM_X, FROM_Y };

// The sums of d and of d · (x − mean), where d is the gradient before the ReLU; FROM_Y stores it in grad.
template <Mask M, class T, int V>
__device__ void grad_sums(const T *__restrict__ x, T *__restrict__ grad, const T *__restrict__ y, Norm norm, u32 rows,
                          u32 channels, float *partial) {
    Place<V> place;
    float sum[V] = {}, product[V] = {};
    if (place.channel < channels) {
        float mean[V], scale[V], offset[V];
#pragma unroll
        for (int v = 0; v < V; v++) {
            mean[v] = norm.mean[place.channel + v];
            scale[v] = M == FROM_X ? norm.scale(place.channel + v) : 0.0f;
            offset[v] = M == FROM_X ? norm.offset(place.channel + v) : 0.0f;
        }
        u32 step = place.step();
        for (u32 row = place.row; row < rows; row += FEW_AT_ONCE * step) {
            typename Vector<T, V>::Raw of_x[FEW_AT_ONCE], of_grad[FEW_AT_ONCE], of_y[FEW_AT_ONCE];
#pragma unroll
            for (int k = 0; k < FEW_AT_ONCE; k++) {
                if (row + k * step < rows) {
                    u64 at = u64(row + k * step) * channels + place.channel;
                    of_x[k] = fetch<V>(x + at);
                    of_grad[k] = fetch<V>(grad + at);
                    if (M == FROM_Y) {
                        of_y[k] = fetch<V>(y + at);
                    }
                }
            }
#pragma unroll
            for (int k = 0; k < FEW_AT_ONCE; k++) {
                if (row + k * step < rows) {
                    float values[V], d[V];
                    Vector<T, V>::unpack(of_x[k], values);
                    Vector<T, V>::unpack(of_grad[k], d);
                    if (M == FROM_Y) {
                        float out[V];
                        Vector<T, V>::unpack(of_y[k], out);
#pragma unroll
                        for (int v = 0; v < V; v++) {
                            d[v] = out[v] > 0.0f ? d[v] : 0.0f;
                        }
                        store<V>(d, grad + u64(row + k * step) * channels + place.channel);
                    }
#pragma unroll
                    for (int v = 0; v < V; v++) {
                        if (M == FROM_X) {
                            d[v] = fmaf(values[v], scale[v], offset[v]) > 0.0f ? d[v] : 0.0f;
                        }
                        sum[v] += d[v];
                        product[v] = fmaf(d[v], values[v] - mean[v], product[v]);
                    }
                }
            }
        }
    }
    write_sums<V>(sum, product, channels, partial);
}

#define GRAD_SUMS(suffix, T, V)                                                                                        \
    ENTRY(norm_grad_sums_##suffix, const T *__restrict__ x, T *__restrict__ grad, const float *mean, u32 rows,         \
          u32 channels, float *partial) {                                                                              \
        grad_sums<NONE, T, V>(x, grad, 0, {mean, 0, 0, 0, 0}, rows, channels, partial);                                \
    }                                                                                                                  \
    ENTRY(norm_grad_sums_relu_##suffix, const T *__restrict__ x, T *__restrict__ grad, const float *mean,              \
          const float *var, const float *gamma, const float *beta, float eps, u32 rows, u32 channels,                  \
          float *partial) {                                                                                            \
        grad_sums<FROM_X, T, V>(x, grad, 0, {mean, var, gamma, beta, eps}, rows, channels, partial);                   \
    }                                                                                                                  \
    ENTRY(norm_grad_sums_residual_##suffix, const T *__restrict__ x, T *__restrict__ grad, const T *__restrict__ y,    \
          const float *mean, u32 rows, u32 channels, float *partial) {                                                 \
        grad_sums<FROM_Y, T, V>(x, grad, y, {mean, 0, 0, 0, 0}, rows, channels, partial);                              \
    }
FOR_ACTIVATIONS(GRAD_SUMS)

// The gradients of gamma and beta, and the factors of the input's: by_x and constant, [2][channels]. `share` is 1 / rows where
// the statistics carry gradient, else 0.
ENTRY(norm_grad_finish, const float *partial, u32 blocks, const float *var, const float *gamma, float eps, float share,
      u32 channels, float *dgamma, float *dbeta, float *factors) {
    u32 c = blockIdx.x * WIDE + threadIdx.x;
    double sums[2];
    read_sums(partial, blocks, channels, c, sums);
    if (threadIdx.y == 0 && c < channels) {
        double inverse = 1.0 / sqrt(double(var[c]) + eps);
        dbeta[c] = float(sums[0]);
        dgamma[c] = float(sums[1] * inverse);
        factors[c] = float(gamma[c] * inverse * inverse * inverse * sums[1] * share);
        factors[channels + c] = float(gamma[c] * inverse * sums[0] * share);
    }
}

// dx = scale · d − by_x · (x − mean) − constant. dx may be the memory of grad.
template <bool RELU, class T, int V>
__device__ void input_grad(const T *__restrict__ x, const T *grad, T *dx, Norm norm, const float *factors, u32 rows,
                           u32 channels) {
    Place<V> place;
    if (place.channel >= channels) {
        return;
    }
    float mean[V], scale[V], by_x[V], constant[V], offset[V];
#pragma unroll
    for (int v = 0; v < V; v++) {
        u32 c = place.channel + v;
        mean[v] = norm.mean[c];
        scale[v] = norm.scale(c);
        by_x[v] = factors[c];
        constant[v] = factors[channels + c];
        offset[v] = RELU ? norm.offset(c) : 0.0f;
    }
    u32 step = place.step();
    for (u32 row = place.row; row < rows; row += FEW_AT_ONCE * step) {
        typename Vector<T, V>::Raw of_x[FEW_AT_ONCE], of_grad[FEW_AT_ONCE];
#pragma unroll
        for (int k = 0; k < FEW_AT_ONCE; k++) {
            if (row + k * step < rows) {
                u64 at = u64(row + k * step) * channels + place.channel;
                of_x[k] = fetch<V>(x + at);
                of_grad[k] = fetch<V>(grad + at);
            }
        }
#pragma unroll
        for (int k = 0; k < FEW_AT_ONCE; k++) {
            if (row + k * step < rows) {
                float values[V], d[V];
                Vector<T, V>::unpack(of_x[k], values);
                Vector<T, V>::unpack(of_grad[k], d);
#pragma unroll
                for (int v = 0; v < V; v++) {
                    if (RELU) {
                        d[v] = fmaf(values[v], scale[v], offset[v]) > 0.0f ? d[v] : 0.0f;
                    }
                    d[v] = fmaf(d[v], scale[v], -fmaf(values[v] - mean[v], by_x[v], constant[v]));
                }
                store<V>(d, dx + u64(row + k * step) * channels + place.channel);
            }
        }
    }
}

#define INPUT_GRAD(suffix, T, V)                                                                                       \
    ENTRY(norm_input_grad_##suffix, const T *__restrict__ x, const T *grad, T *dx, const float *mean,                  \
          const float *var, const float *gamma, const float *beta, float eps, const float *factors, u32 rows,          \
          u32 channels) {                                                                                              \
        input_grad<false, T, V>(x, grad, dx, {mean, var, gamma, beta, eps}, factors, rows, channels);                  \
    }                                                                                                                  \
    ENTRY(norm_input_grad_relu_##suffix, const T *__restrict__ x, const T *grad, T *dx, const float *mean,             \
          const float *var, const float *gamma, const float *beta, float eps, const float *factors, u32 rows,          \
          u32 channels) {                                                                                              \
        input_grad<true, T, V>(x, grad, dx, {mean, var, gamma, beta, eps}, factors, rows, channels);                   \
    }
FOR_ACTIVATIONS(INPUT_GRAD)

template <class T, int V> __device__ void channel_sums(const T *__restrict__ x, u32 rows, u32 channels, float *partial) {
    Place<V> place;
    float sum[V] = {}, none[V] = {};
    if (place.channel < channels) {
        u32 step = place.step();
        for (u32 row = place.row; row < rows; row += AT_ONCE * step) {
            typename Vector<T, V>::Raw raw[AT_ONCE];
#pragma unroll
            for (int k = 0; k < AT_ONCE; k++) {
                if (row + k * step < rows) {
                    raw[k] = fetch<V>(x + u64(row + k * step) * channels + place.channel);
                }
            }
#pragma unroll
            for (int k = 0; k < AT_ONCE; k++) {
                if (row + k * step < rows) {
                    float values[V];
                    Vector<T, V>::unpack(raw[k], values);
#pragma unroll
                    for (int v = 0; v < V; v++) {
                        sum[v] += values[v];
                    }
                }
            }
        }
    }
    write_sums<V>(sum, none, channels, partial);
}

#define CHANNEL_SUMS(suffix, T, V)                                                                      \
    ENTRY(norm_channel_sums_##suffix, const T *__restrict__ x, u32 rows, u32 channels, float *partial) { \
        channel_sums<T, V>(x, rows, channels, partial);                                                 \
    }
FOR_ACTIVATIONS(CHANNEL_SUMS)

ENTRY(norm_channel_sums_finish, const float *partial, u32 blocks, u32 channels, float *to) {
    u32 c = blockIdx.x * WIDE + threadIdx.x;
    double sums[2];
    read_sums(partial, blocks, channels, c, sums);
    if (threadIdx.y == 0 && c < channels) {
        to[c] = float(sums[0]);
    }
}
