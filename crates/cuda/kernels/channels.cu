// Some channels of each row from one tensor to another. See src/channels.rs.
#include "common.cuh"

template <class T, int V>
__device__ void copy(const T *__restrict__ x, T *__restrict__ y, u32 rows, u32 channels, u32 of_x, u32 of_y) {
    Place<V> place;
    if (place.row >= rows || place.channel >= channels) {
        return;
    }
    float values[V];
    load<V>(x + u64(place.row) * of_x + place.channel, values);
    store<V>(values, y + u64(place.row) * of_y + place.channel);
}

#define COPY(suffix, T, V)                                                                                   \
    ENTRY(channels_copy_##suffix, const T *__restrict__ x, T *__restrict__ y, u32 rows, u32 channels,        \
          u32 of_x, u32 of_y) {                                                                              \
        copy<T, V>(x, y, rows, channels, of_x, of_y);                                                        \
    }
FOR_ACTIVATIONS(COPY)
