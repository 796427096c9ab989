// The temporal shift of channels-last activations [n, frames, pixels, channels]: one thread for each pixel and V of its channels,
// which move together. See src/shift.rs.
#include "common.cuh"

// The first `fold` channels come from the frame `ahead`, the next `fold` from the other side, zero past the ends.
template <bool ADD, class T, int V>
__device__ void shift(const T *__restrict__ from, T *__restrict__ to, const Divisor &frames, const Divisor &pixels, u32 fold, int ahead,
                      u32 rows, u32 channels) {
    Place<V> place;
    if (place.row >= rows || place.channel >= channels) {
        return;
    }
    u64 at = u64(place.row) * channels + place.channel;
    int by = place.channel < fold ? ahead : place.channel < 2 * fold ? -ahead : 0;
    u32 frame = pixels.divide(place.row);
    // Past either end this is at least the number of frames: before frame 0 it wraps around.
    u32 source = frames.rest(frame) + by;
    float values[V] = {};
    if (source < frames.by) {
        load<V>(from + (long long)at + (long long)by * pixels.by * channels, values);
    } else if (ADD) {
        return;
    }
    if (ADD) {
        float sums[V];
        load<V>(to + at, sums);
#pragma unroll
        for (int v = 0; v < V; v++) {
            values[v] += sums[v];
        }
    }
    store<V>(values, to + at);
}

#define SHIFT(suffix, T, V)                                                                                            \
    ENTRY(shift_##suffix, const T *__restrict__ from, T *__restrict__ to, const Divisor frames, const Divisor pixels,  \
          u32 fold, int ahead, u32 rows, u32 channels) {                                                               \
        shift<false, T, V>(from, to, frames, pixels, fold, ahead, rows, channels);                                     \
    }                                                                                                                  \
    ENTRY(shift_add_##suffix, const T *__restrict__ from, T *__restrict__ to, const Divisor frames,                    \
          const Divisor pixels, u32 fold, int ahead, u32 rows, u32 channels) {                                         \
        shift<true, T, V>(from, to, frames, pixels, fold, ahead, rows, channels);                                      \
    }
FOR_ACTIVATIONS(SHIFT)
