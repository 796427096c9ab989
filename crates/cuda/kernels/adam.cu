// Adam and AdamW over a table of parameters. See src/adam.rs.
#include "common.cuh"

// Parameters of a table: as in src/adam.rs.
constexpr u32 PARAMETERS = 64;

struct Parameter {
    u32 weights[2], grad[2], first[2], second[2], len[2], block;
    // How much of the weight is added to its gradient, and how much of it is left by the decay.
    float l2, keep;
    // The learning rate over the first moment's bias, and the root of the second one's: they depend on the parameter's step.
    float step, root;
};

ENTRY(adam_step, const TableOf<Parameter, PARAMETERS> table, float clip, float first_rate, float second_keep, float second_rate,
      float eps) {
    const Parameter &parameter = mine(table);
    float *weights = reinterpret_cast<float *>(join(parameter.weights));
    float *first = reinterpret_cast<float *>(join(parameter.first));
    float *second = reinterpret_cast<float *>(join(parameter.second));
    const float *grad = reinterpret_cast<const float *>(join(parameter.grad));
    float l2 = parameter.l2, keep = parameter.keep, rate = parameter.step, root = parameter.root;
    bool aligned = ((u64(weights) | u64(first) | u64(second) | u64(grad)) & 15) == 0;
    each_of_chunk(parameter, aligned, [&](auto width, u64 i) {
        constexpr int W = decltype(width)::value;
        float g[W], w[W], m[W], s[W];
        load<W>(grad + i, g);
        load<W>(weights + i, w);
        load<W>(first + i, m);
        load<W>(second + i, s);
#pragma unroll
        for (int v = 0; v < W; v++) {
            float d = fmaf(clip, g[v], l2 * w[v]);
            m[v] = fmaf(first_rate, d - m[v], m[v]);
            s[v] = fmaf(second_keep, s[v], second_rate * (d * d));
            w[v] = fmaf(keep, w[v], -(rate * (m[v] / (sqrtf(s[v]) / root + eps))));
        }
        store<W>(m, first + i);
        store<W>(s, second + i);
        store<W>(w, weights + i);
    });
}
