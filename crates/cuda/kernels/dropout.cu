// Dropout by Philox4x32-10 (Salmon, Moraes, Dror and Shaw, 2011): block i of a key has the words of values 4i to 4i + 3, as on
// the CPU. See src/dropout.rs.
#include "common.cuh"

struct Words {
    u32 at[4];
};

__device__ inline Words philox(u64 key, u64 counter) {
    u32 k0 = u32(key), k1 = u32(key >> 32);
    Words x = {{u32(counter), u32(counter >> 32), 0, 0}};
#pragma unroll
    for (int round = 0; round < 10; round++) {
        u64 a = u64(x.at[0]) * 0xD2511F53u, b = u64(x.at[2]) * 0xCD9E8D57u;
        x = {{u32(b >> 32) ^ x.at[1] ^ k0, u32(b), u32(a >> 32) ^ x.at[3] ^ k1, u32(a)}};
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return x;
}

// A value is kept where its word is not below `below`. The key is `by_value`, or the one at `key` if not null.
template <class T, int V>
__device__ void dropout(const u32 *key, u64 by_value, u32 below, float scale, const T *__restrict__ x, T *__restrict__ y,
                        u64 n) {
    u64 k = key ? u64(key[1]) << 32 | key[0] : by_value;
    each<V>(n, [&](auto width, u64 i) {
        constexpr int W = decltype(width)::value;
        float values[W];
        load<W>(x + i, values);
        if (W == 1) {
            Words words = philox(k, i / 4);
            u32 pair[2] = {i & 1 ? words.at[1] : words.at[0], i & 1 ? words.at[3] : words.at[2]};
            values[0] = (i & 2 ? pair[1] : pair[0]) >= below ? values[0] * scale : 0.0f;
        } else {
#pragma unroll
            for (int v = 0; v < W; v++) {
                if (v % 4 == 0) {
                    Words words = philox(k, (i + v) / 4);
#pragma unroll
                    for (int j = 0; j < 4 && v + j < W; j++) {
                        values[v + j] = words.at[j] >= below ? values[v + j] * scale : 0.0f;
                    }
                }
            }
        }
        store<W>(values, y + i);
    });
}

#define DROPOUT(suffix, T, V)                                                                                          \
    ENTRY(dropout_##suffix, const u32 *key, u64 by_value, u32 below, float scale, const T *__restrict__ x,             \
          T *__restrict__ y, u64 n) {                                                                                  \
        dropout<T, V>(key, by_value, below, scale, x, y, n);                                                           \
    }
FOR_ACTIVATIONS(DROPOUT)
