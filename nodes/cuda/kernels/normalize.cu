// RGB clips of bytes, mirrored, mixed with a background, and made numbers about zero. See src/normalize.rs.
//
// Blocks are laid over the rows of pixels and the numbers of a row of the result; bytes are read one by one, for they are few and
// lie together.
#include "common.cuh"

struct Clips {
    // Rows of pixels of a video and of a frame; pixels of a row.
    Divisor rows, height;
    u32 width;
};

struct Scale {
    float mean[3], std[3];
};

// Byte `channel` of a pixel in a row of pixels, as changed; whichever of flips, backgrounds and weights are there count.
struct Source {
    const u8 *row, *background;
    u32 last, weight;
    bool flip;

    __device__ Source(const u8 *x, const Clips &clips, const u8 *flips, const u8 *backgrounds, const u32 *weights, u32 row) {
        u32 line = 3 * clips.width, video = clips.rows.divide(row), frame = row, y = clips.height.rest(frame);
        this->row = x + u64(row) * line;
        last = clips.width - 1;
        flip = flips && flips[video];
        weight = weights ? weights[video] : 0;
        weight = weight < 65536 ? weight : 65536;
        background = weight ? backgrounds + (u64(video) * clips.height.by + y) * line : 0;
    }

    __device__ u32 at(u32 pixel, u32 channel) const {
        u32 value = row[3 * (flip ? last - pixel : pixel) + channel];
        if (weight) {
            value = (value * (65536 - weight) + background[3 * pixel + channel] * weight + 32768) >> 16;
        }
        return value;
    }
};

template <class T, int V>
__device__ void normalize(const u8 *__restrict__ x, T *__restrict__ y, const Clips &clips, const u8 *flips,
                          const u8 *backgrounds, const u32 *weights, const Scale &scale, u32 rows, const Divisor &channels) {
    Place<V> place;
    u32 line = clips.width * channels.by;
    if (place.row >= rows || place.channel >= line) {
        return;
    }
    Source source(x, clips, flips, backgrounds, weights, place.row);
    u32 pixel = place.channel, channel = channels.rest(pixel);
    float values[V];
#pragma unroll
    for (int v = 0; v < V; v++) {
        float mean = channel == 0 ? scale.mean[0] : channel == 1 ? scale.mean[1] : scale.mean[2];
        float std = channel == 0 ? scale.std[0] : channel == 1 ? scale.std[1] : scale.std[2];
        values[v] = channel < 3 ? (float(source.at(pixel, channel)) - mean) / std : 0.0f;
        if (++channel == channels.by) {
            channel = 0;
            pixel++;
        }
    }
    store<V>(values, y + u64(place.row) * line + place.channel);
}

#define NORMALIZE(suffix, T, V)                                                                                        \
    ENTRY(normalize_##suffix, const u8 *__restrict__ x, T *__restrict__ y, const Clips clips, const u8 *flips,         \
          const u8 *backgrounds, const u32 *weights, const Scale scale, u32 rows, const Divisor channels) {            \
        normalize<T, V>(x, y, clips, flips, backgrounds, weights, scale, rows, channels);                              \
    }
FOR_ACTIVATIONS(NORMALIZE)

// Bytes to bytes, V at a time.
template <class Word>
__device__ void change(const u8 *__restrict__ x, u8 *__restrict__ y, const Clips &clips, const u8 *flips, const u8 *backgrounds,
                       const u32 *weights, u32 rows) {
    constexpr int V = sizeof(Word);
    Place<V> place;
    u32 line = clips.width * 3;
    if (place.row >= rows || place.channel >= line) {
        return;
    }
    Source source(x, clips, flips, backgrounds, weights, place.row);
    u32 pixel = place.channel / 3, channel = place.channel % 3;
    Word word = 0;
#pragma unroll
    for (int v = 0; v < V; v++) {
        word |= Word(source.at(pixel, channel)) << (8 * v);
        if (++channel == 3) {
            channel = 0;
            pixel++;
        }
    }
    *reinterpret_cast<Word *>(y + u64(place.row) * line + place.channel) = word;
}

#define CHANGE(suffix, Word)                                                                                           \
    ENTRY(normalize_change_##suffix, const u8 *__restrict__ x, u8 *__restrict__ y, const Clips clips, const u8 *flips, \
          const u8 *backgrounds, const u32 *weights, u32 rows) {                                                       \
        change<Word>(x, y, clips, flips, backgrounds, weights, rows);                                                  \
    }
CHANGE(u8, u8)
CHANGE(u8x8, u64)
