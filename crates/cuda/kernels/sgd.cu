// Stochastic gradient descent over a table of parameters, and the norm of their gradients. See src/sgd.rs.
#include "common.cuh"

// Parameters of a table: as in src/sgd.rs.
constexpr u32 PARAMETERS = 80;

// An address of 0: no buffer, or no weights.
struct Parameter {
    u32 weights[2], grad[2], buffer[2], len[2], block;
    float lr_scale, weight_decay;
    // At the first step the buffer's contents do not matter.
    u32 first;
};

typedef TableOf<Parameter, PARAMETERS> Table;

ENTRY(sgd_step, const Table table, const float *lr_at, float lr_by_value, const float *clip_scale, float momentum,
      u32 nesterov) {
    const Parameter &parameter = mine(table);
    float *weights = reinterpret_cast<float *>(join(parameter.weights));
    float *buffer = reinterpret_cast<float *>(join(parameter.buffer));
    const float *grad = reinterpret_cast<const float *>(join(parameter.grad));
    float lr = (lr_at ? *lr_at : lr_by_value) * parameter.lr_scale, clip = clip_scale ? *clip_scale : 1.0f;
    float decay = parameter.weight_decay;
    bool first = parameter.first;
    bool aligned = ((u64(weights) | u64(buffer) | u64(grad)) & 15) == 0;
    each_of_chunk(parameter, aligned, [&](auto width, u64 i) {
        constexpr int W = decltype(width)::value;
        float g[W], w[W], b[W] = {};
        load<W>(grad + i, g);
        load<W>(weights + i, w);
        if (buffer && !first) {
            load<W>(buffer + i, b);
        }
#pragma unroll
        for (int v = 0; v < W; v++) {
            float d = fmaf(clip, g[v], decay * w[v]);
            // Without momentum there is no buffer, and b is d.
            b[v] = fmaf(momentum, b[v], d);
            w[v] -= lr * (nesterov ? fmaf(momentum, b[v], d) : b[v]);
        }
        if (buffer) {
            store<W>(b, buffer + i);
        }
        store<W>(w, weights + i);
    });
}

// The sum of x over all threads, in the first thread.
__device__ inline double total(double x) {
    __shared__ double shared[THREADS];
    shared[threadIdx.x] = x;
    for (u32 half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) {
            shared[threadIdx.x] += shared[threadIdx.x + half];
        }
    }
    return shared[threadIdx.x];
}

// A sum of squares for each block.
ENTRY(sgd_squares, const Table table, double *partial) {
    const Parameter &parameter = mine(table);
    const float *grad = reinterpret_cast<const float *>(join(parameter.grad));
    double sum = 0;
    each_of_chunk(parameter, (u64(grad) & 15) == 0, [&](auto width, u64 i) {
        constexpr int W = decltype(width)::value;
        float g[W];
        load<W>(grad + i, g);
#pragma unroll
        for (int v = 0; v < W; v++) {
            sum += double(g[v]) * g[v];
        }
    });
    sum = total(sum);
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = sum;
    }
}

// The norm, and the factor that scales gradients so that it is at most `most`: one block.
ENTRY(sgd_clip, const double *partial, u32 blocks, float most, float *norm, float *scale) {
    double sum = 0;
    for (u32 block = threadIdx.x; block < blocks; block += THREADS) {
        sum += partial[block];
    }
    sum = total(sum);
    if (threadIdx.x == 0) {
        double found = sqrt(sum);
        *norm = float(found);
        *scale = found > most ? float(most / (found + 1e-6)) : 1.0f;
    }
}
