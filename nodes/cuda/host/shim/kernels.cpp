// The kernels, and what the runner calls.
#include "shim.h"

thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;
thread_local double shuffled[32][32];
const Kernel *kernels = nullptr;

#include "common.cuh"

namespace of_dropout {
#include "dropout.cu"
}
namespace of_layout {
#include "layout.cu"
}
namespace of_loss {
#include "loss.cu"
}
namespace of_norm {
#include "norm.cu"
}
namespace of_normalize {
#include "normalize.cu"
}
namespace of_pointwise {
#include "pointwise.cu"
}
namespace of_pool {
#include "pool.cu"
}
namespace of_sgd {
#include "sgd.cu"
}
namespace of_shift {
#include "shift.cu"
}

namespace of_faults {
#include "faults.cpp"
}

extern "C" const Kernel *glad_host_kernels() {
    return kernels;
}

extern "C" void glad_host_begin_block(const dim3 *grid, const dim3 *block, const dim3 *at) {
    gridDim = *grid;
    blockDim = *block;
    blockIdx = *at;
}

extern "C" void glad_host_become(const dim3 *thread) {
    threadIdx = *thread;
}

extern "C" void glad_host_call(const Kernel *kernel, void *const *arguments) {
    kernel->call(kernel->function, arguments);
}
