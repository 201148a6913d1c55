/* Multi-index hashing: which 64-bit hashes differ in few bits. hamming.py says how; this is its inner loop. */
#include <stdint.h>
#include <string.h>

#ifdef _WIN32
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC __attribute__((visibility("default")))
#endif
#define RARE(condition) __builtin_expect(!!(condition), 0)

/* One part of the hash, `width` bits from `shift` on, in which a pair may differ in `radius` bits. */
typedef struct {
    int32_t shift, width, radius;
} Cut;

/* Hashes in the order of their keys: those of key k are starts[k] .. starts[k + 1]. */
typedef struct {
    const uint64_t *hashes;
    const uint32_t *rows;
    const uint32_t *starts;
} Sorted;

/* Where a search goes on: the mask, the key, and places in the two sides. */
typedef struct {
    int64_t mask, key, probe, entry;
} Cursor;

typedef struct {
    Sorted probes, table;
    const uint32_t *masks;
    int64_t many_masks;
    const Cut *cuts;            /* those searched before, then this one */
    int32_t cut, limit, variants;
    Cursor *cursor;
    uint32_t *a, *b;
    uint8_t *turn, *bits;
    int64_t room;
} Search;

/* Sort by one part of the hash. `starts` has room for 2^width + 1 numbers. */
PUBLIC void trainworthy_sort(
    const uint64_t *hashes, int64_t count, const Cut *cut, uint64_t *sorted, uint32_t *rows, uint32_t *starts)
{
    int64_t keys = (int64_t)1 << cut->width;
    uint64_t mask = (uint64_t)keys - 1;
    memset(starts, 0, (size_t)(keys + 1) * sizeof *starts);
    for (int64_t i = 0; i < count; i++) starts[(hashes[i] >> cut->shift & mask) + 1]++;
    for (int64_t key = 0; key < keys; key++) starts[key + 1] += starts[key];
    for (int64_t i = 0; i < count; i++) {
        uint32_t place = starts[hashes[i] >> cut->shift & mask]++;
        sorted[place] = hashes[i];
        rows[place] = (uint32_t)i;
    }
    memmove(starts + 1, starts, (size_t)keys * sizeof *starts);  /* each has become the next one's */
    starts[0] = 0;
}

static inline __attribute__((always_inline)) int found_before(const Search *search, uint64_t differ)
{
    for (int i = 0; i < search->cut; i++) {
        const Cut *cut = &search->cuts[i];
        uint64_t part = differ >> cut->shift & (((uint64_t)1 << cut->width) - 1);
        if (__builtin_popcountll(part) <= cut->radius) return 1;
    }
    return 0;
}

/* Write a pair that is near enough, unless it is found elsewhere. 0 where there is no room for it. */
static inline __attribute__((always_inline)) int write(const Search *it, int64_t probe, int64_t entry, int64_t *found)
{
    uint64_t differ = it->probes.hashes[probe] ^ it->table.hashes[entry];
    int64_t row = it->probes.rows[probe], a = row / it->variants, b = it->table.rows[entry];
    if (it->variants == 1 && a > b) {
        a = b;
        b = row;
    }
    if (a >= b || found_before(it, differ)) return 1;
    if (*found == it->room) return 0;
    it->a[*found] = (uint32_t)a;
    it->b[*found] = (uint32_t)b;
    it->turn[*found] = (uint8_t)(row % it->variants);
    it->bits[*found] = (uint8_t)__builtin_popcountll(differ);
    ++*found;
    return 1;
}

/* All probes of one key against all entries of another. */
static inline __attribute__((always_inline)) int64_t search(const Search *it)
{
    Cursor at = *it->cursor;
    const uint32_t *probe_starts = it->probes.starts, *table_starts = it->table.starts;
    const uint64_t *probes = it->probes.hashes, *table = it->table.hashes;
    const int limit = it->limit, alone = it->variants == 1;
    const int64_t keys = (int64_t)1 << it->cuts[it->cut].width;
    int64_t found = 0;
    int going_on = at.probe >= 0;
    for (; at.mask < it->many_masks; at.mask++, at.key = 0) {
        const int64_t mask = it->masks[at.mask];
        for (int64_t key = at.key; key < keys; key++) {
            const int64_t other = key ^ mask, first = table_starts[other], end = table_starts[other + 1];
            int64_t probe = probe_starts[key];
            const int64_t last = probe_starts[key + 1];
            /* Without variants both sides are the same, and each two keys meet twice, each two rows of one key too. */
            if (first == end || probe == last || (alone && other < key)) continue;
            if (RARE(going_on)) probe = at.probe;
            for (; probe < last; probe++) {
                const uint64_t hash = probes[probe];
                int64_t entry = alone && !mask ? probe + 1 : first;
                if (RARE(going_on)) entry = at.entry;
                going_on = 0;
                for (; entry < end; entry++)
                    if (RARE(__builtin_popcountll(hash ^ table[entry]) <= limit) && !write(it, probe, entry, &found)) {
                        *it->cursor = (Cursor){at.mask, key, probe, entry};
                        return found;
                    }
            }
        }
    }
    *it->cursor = (Cursor){it->many_masks, 0, -1, 0};
    return found;
}

#if defined(__x86_64__) && defined(__GNUC__)
static __attribute__((target("popcnt"))) int64_t search_with_popcnt(const Search *of) { return search(of); }
#endif

/* Write the next pairs, at most `room`. Returns how many; the search is over when the cursor is at the last mask. */
PUBLIC int64_t trainworthy_search(const Search *of)
{
#if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("popcnt")) return search_with_popcnt(of);
#endif
    return search(of);
}
