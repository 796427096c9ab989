// Normalises RGB clips of bytes to floats. See src/normalize.rs.
#include "common.cuh"

struct Scale {
    float mean[3], std[3];
};

// Blocks are laid over the rows of pixels and the values of a row of the result; bytes are read one by one, because they are
// few and adjacent.
template <class T, int V>
__device__ void normalize(const u8 *__restrict__ x, T *__restrict__ y, const Scale &scale, u32 rows, u32 width,
                          const Divisor &channels) {
    Place<V> place;
    u32 line = width * channels.by;
    if (place.row >= rows || place.channel >= line) {
        return;
    }
    const u8 *row = x + u64(place.row) * (3 * width);
    u32 pixel = place.channel, channel = channels.rest(pixel);
    float values[V];
#pragma unroll
    for (int v = 0; v < V; v++) {
        float mean = channel == 0 ? scale.mean[0] : channel == 1 ? scale.mean[1] : scale.mean[2];
        float std = channel == 0 ? scale.std[0] : channel == 1 ? scale.std[1] : scale.std[2];
        values[v] = channel < 3 ? (float(row[3 * pixel + channel]) - mean) / std : 0.0f;
        if (++channel == channels.by) {
            channel = 0;
            pixel++;
        }
    }
    store<V>(values, y + u64(place.row) * line + place.channel);
}

#define NORMALIZE(suffix, T, V)                                                                                        \
    ENTRY(normalize_##suffix, const u8 *__restrict__ x, T *__restrict__ y, const Scale scale, u32 rows, u32 width,     \
          const Divisor channels) {                                                                                    \
        normalize<T, V>(x, y, scale, rows, width, channels);                                                           \
    }
FOR_ACTIVATIONS(NORMALIZE)
