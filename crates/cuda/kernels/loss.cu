// Softmax cross-entropy and binary cross-entropy with logits: their means and gradients. See src/loss.rs.
//
// Each block adds up the losses of its rows, and a separate kernel adds those of the blocks. The divisor,
// the sum of all rows' weights, is computed by every block: there are few rows.
#include "common.cuh"

constexpr u32 WARP = 32;
constexpr u32 WARPS = THREADS / WARP;
constexpr u32 ALL = 0xffffffff;

__device__ inline float warp_max(float x) {
    for (int by = WARP / 2; by > 0; by /= 2) {
        x = fmaxf(x, __shfl_xor_sync(ALL, x, by));
    }
    return x;
}

template <class N> __device__ inline N warp_sum(N x) {
    for (int by = WARP / 2; by > 0; by /= 2) {
        x += __shfl_xor_sync(ALL, x, by);
    }
    return x;
}

// The sum over a block's threads, for all of them.
__device__ inline double block_sum(double x) {
    __shared__ double shared[WARPS];
    x = warp_sum(x);
    // All threads must have read the last sum before it is overwritten.
    __syncthreads();
    if (threadIdx.x % WARP == 0) {
        shared[threadIdx.x / WARP] = x;
    }
    __syncthreads();
    double sum = 0;
    for (u32 warp = 0; warp < WARPS; warp++) {
        sum += shared[warp];
    }
    return sum;
}

__device__ inline float not_a_number() {
    return __uint_as_float(0x7fc00000);
}

// A row's weight; NaN unless it is finite and not negative.
__device__ inline float weight_of(const float *weights, u32 row) {
    float weight = weights ? weights[row] : 1.0f;
    return weight >= 0.0f && weight < __uint_as_float(0x7f800000) ? weight : not_a_number();
}

__device__ inline double total_weight(const float *weights, u32 rows) {
    if (!weights) {
        return rows;
    }
    double sum = 0;
    for (u32 row = threadIdx.x; row < rows; row += THREADS) {
        sum += weight_of(weights, row);
    }
    return block_sum(sum);
}

// A warp for each row in turn.
template <class T>
__device__ void cross_entropy(const T *__restrict__ logits, const u32 *labels, const float *weights, u32 rows, u32 classes,
                              float smoothing, T *__restrict__ grad, double *partial) {
    u32 warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    float share = float(1.0 / total_weight(weights, rows)), even = smoothing / classes;
    double sum = 0;
    for (u32 row = blockIdx.x * WARPS + warp; row < rows; row += gridDim.x * WARPS) {
        const T *z = logits + u64(row) * classes;
        T *to = grad ? grad + u64(row) * classes : 0;
        float weight = weight_of(weights, row);
        if (weight == 0.0f) {
            for (u32 k = lane; to && k < classes; k += WARP) {
                store<1>({0.0f}, to + k);
            }
            continue;
        }
        u32 label = labels[row];
        if (label >= classes) {
            weight = not_a_number();
            label = 0;
        }
        float most = -__uint_as_float(0x7f800000), powers = 0, plain = 0;
        for (u32 k = lane; k < classes; k += WARP) {
            most = fmaxf(most, number(z[k]));
        }
        most = warp_max(most);
        for (u32 k = lane; k < classes; k += WARP) {
            float over = number(z[k]) - most;
            powers += expf(over);
            plain += over;
        }
        powers = warp_sum(powers);
        plain = warp_sum(plain);
        float log_sum = logf(powers);
        float loss = (1.0f - smoothing) * (log_sum - (number(z[label]) - most));
        if (smoothing > 0.0f) {
            loss += smoothing * (log_sum - plain / classes);
        }
        if (lane == 0) {
            sum += double(weight) * loss;
        }
        float factor = weight * share;
        for (u32 k = lane; to && k < classes; k += WARP) {
            float target = even + (k == label ? 1.0f - smoothing : 0.0f);
            store<1>({factor * (expf(number(z[k]) - most) / powers - target)}, to + k);
        }
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = sum;
    }
}

#define CROSS_ENTROPY(suffix, T)                                                                                       \
    ENTRY(loss_cross_entropy_##suffix, const T *__restrict__ logits, const u32 *labels, const float *weights,          \
          u32 rows, u32 classes, float smoothing, T *__restrict__ grad, double *partial) {                             \
        cross_entropy<T>(logits, labels, weights, rows, classes, smoothing, grad, partial);                            \
    }
CROSS_ENTROPY(f32, float)
CROSS_ENTROPY(bf16, bf16)

// A thread for each row in turn.
template <class T>
__device__ void bce_with_logits(const T *__restrict__ logits, const float *targets, const float *weights, u32 rows,
                                T *__restrict__ grad, double *partial) {
    float share = float(1.0 / total_weight(weights, rows));
    double sum = 0;
    for (u32 row = blockIdx.x * THREADS + threadIdx.x; row < rows; row += gridDim.x * THREADS) {
        float weight = weight_of(weights, row), d = 0.0f;
        if (weight != 0.0f) {
            float z = number(logits[row]), target = targets[row];
            if (!(target >= 0.0f && target <= 1.0f)) {
                weight = not_a_number();
            }
            // log(1 + e^z) without overflow; written so that NaN stays NaN.
            float softplus = z > 0.0f ? z + log1pf(expf(-z)) : log1pf(expf(z));
            sum += double(weight) * (softplus - z * target);
            d = weight * share * (1.0f / (1.0f + expf(-z)) - target);
        }
        if (grad) {
            store<1>({d}, grad + row);
        }
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = sum;
    }
}

#define BCE(suffix, T)                                                                                                 \
    ENTRY(loss_bce_with_logits_##suffix, const T *__restrict__ logits, const float *targets, const float *weights,     \
          u32 rows, T *__restrict__ grad, double *partial) {                                                           \
        bce_with_logits<T>(logits, targets, weights, rows, grad, partial);                                             \
    }
BCE(f32, float)
BCE(bf16, bf16)

// The mean from the blocks' sums: one block.
ENTRY(loss_finish, const double *partial, u32 blocks, const float *weights, u32 rows, float *loss) {
    double total = total_weight(weights, rows), sum = 0;
    for (u32 block = threadIdx.x; block < blocks; block += THREADS) {
        sum += partial[block];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        *loss = total == 0 ? 0.0f : float(sum / total);
    }
}
