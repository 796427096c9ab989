// Faulty kernels for the runner's own tests: it must detect them.

// Half of the threads reach the barrier.
ENTRY(fault_barrier, u32 threads) {
    if (threadIdx.x < threads) {
        __syncthreads();
    }
}

// Some lanes of a warp take part.
ENTRY(fault_shuffle, u32 threads, float *to) {
    if (threadIdx.x < threads) {
        to[0] = __shfl_xor_sync(0xffffffff, 1.0f, 1);
    }
}

// Writes one value, also out of bounds.
ENTRY(fault_write, float *to, int at) {
    to[at] = 1.0f;
}

// What thread 0 reads depends on which threads ran before.
ENTRY(fault_race, float *to) {
    __shared__ float last;
    last = float(threadIdx.x);
    __syncthreads();
    if (threadIdx.x == 0) {
        *to = last;
    }
}

struct Pair {
    u32 first;
    float second;
};

// Every type of parameter; the sum of all.
ENTRY(fault_none, float *to, u32 a, int b, u64 c, float d, const Pair pair) {
    *to = float(a) + float(b) + float(c >> 32) + d + float(pair.first) + pair.second;
}
