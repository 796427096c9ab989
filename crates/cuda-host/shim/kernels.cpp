// The kernels, and the functions that the runner calls.
#include "shim.h"

thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;
thread_local double shuffled[32][32];
const Kernel *kernels = nullptr;

#include "common.cuh"

// Each file of kernels, in its own namespace, which has the module's name; written by build.rs.
#include "modules.h"

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
