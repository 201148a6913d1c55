/* Whether a baseline JPEG is whole to its last bit, and its small grey picture.
 *
 * Decoding a JPEG at 1/8 or 2/8 of its size is nearly all Huffman decoding, and of most coefficients only the
 * length is wanted. General decoders read them one by one; here one look into a table skips as many as fit
 * into PEEK bits.
 *
 * This speaks only of files of which there is nothing to say: every marker in its place, every code known, every
 * block complete, the end marker right behind the last bit. Then the picture is, byte for byte, the one
 * that libjpeg-turbo makes, which would not have warned of anything either. At the least doubt it answers
 * "no", and the caller asks libjpeg-turbo.
 *
 * Nothing is read outside `data`, nothing is written outside `out`, nothing is allocated.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PEEK 13
#define MASK ((1u << PEEK) - 1)
#define RARE(condition) __builtin_expect(!!(condition), 0)

#ifdef _WIN32
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC __attribute__((visibility("default")))
#endif

/* -------------------------------------------------------------------------------------------------------------
 * Huffman tables
 */

typedef struct {
    int made;
    uint8_t counts[16];           /* codes of each length */
    uint8_t symbols[256];
    int32_t last[17], shift[17];  /* by length: its last code, -1 for none; from code to place in `symbols` */
    uint16_t symbol[1 << PEEK];   /* length of the code | symbol << 8; 0 where the code is longer */
    uint16_t skip[1 << PEEK];     /* bits | block ends << 5 | coefficients << 6 of all symbols that fit; or 0 */
} Table;

/* Four for DC, four for AC. Most files of a camera or an encoder share theirs, so they are kept. */
static _Thread_local Table tables[8];

static int fill(Table *table)
{
    uint32_t code = 0, place = 0;
    memset(table->symbol, 0, sizeof table->symbol);
    for (int length = 1; length <= 16; length++, code <<= 1) {
        uint32_t count = table->counts[length - 1];
        if (code + count > 1u << length) return 0;
        table->shift[length] = (int32_t)place - (int32_t)code;
        table->last[length] = count ? (int32_t)(code + count) - 1 : -1;
        for (; count; count--, code++, place++)
            if (length <= PEEK)
                for (uint32_t low = 0; low < 1u << (PEEK - length); low++)
                    table->symbol[code << (PEEK - length) | low] = (uint16_t)(length | table->symbols[place] << 8);
    }
    return 1;
}

static void fill_skip(Table *table)
{
    for (uint32_t bits = 0; bits <= MASK; bits++) {
        uint32_t used = 0, passed = 0, end = 0;
        while (used < PEEK && !end) {
            uint32_t found = table->symbol[bits << used & MASK];
            uint32_t length = found & 255, size = found >> 8 & 15, run = found >> 12;
            if (!length || used + length > PEEK) break;  /* not to be told from these bits alone */
            if (used && (used + length + size > PEEK || passed + run + 1 > 64)) break;
            end = !size && run != 15;
            passed += end ? 0 : run + 1;
            used += length + size;
        }
        table->skip[bits] = (uint16_t)(used | end << 5 | passed << 6);
    }
}

/* Make the table that a DHT segment describes, unless it is there. 0 where it describes none. */
static int make(Table *table, const uint8_t *counts, const uint8_t *symbols, int total, int is_dc)
{
    if (table->made && !memcmp(table->counts, counts, 16) && !memcmp(table->symbols, symbols, (size_t)total))
        return 1;
    table->made = 0;
    memcpy(table->counts, counts, 16);
    memset(table->symbols, 0, sizeof table->symbols);
    memcpy(table->symbols, symbols, (size_t)total);
    for (int i = 0; is_dc && i < total; i++)
        if (symbols[i] > 11) return 0;
    if (!fill(table)) return 0;
    if (!is_dc) fill_skip(table);
    table->made = 1;
    return 1;
}

/* Length | symbol << 8 of the code that `bits` begin with; 0 where there is none. */
static uint32_t look_up(const Table *table, uint64_t bits)
{
    uint32_t found = table->symbol[bits >> (64 - PEEK)];
    if (found) return found;
    for (int length = PEEK + 1; length <= 16; length++) {
        int32_t code = (int32_t)(bits >> (64 - length));
        if (code <= table->last[length])
            return (uint32_t)length | (uint32_t)table->symbols[(code + table->shift[length]) & 255] << 8;
    }
    return 0;
}

/* -------------------------------------------------------------------------------------------------------------
 * Bits
 */

typedef struct {
    const uint8_t *at, *end;
    uint64_t bits;  /* the next ones, from the highest down */
    int count;      /* how many of them there are; below 0 when more were taken */
} Reader;

/* Have at least 56 bits at hand, or all up to the next marker. `count` must not be below 0. */
static inline void refill(Reader *reader)
{
    if (reader->end - reader->at >= 8) {
        uint64_t next = 0;
        for (int i = 0; i < 8; i++) next = next << 8 | reader->at[i];
        if (!((~next - 0x0101010101010101u) & next & 0x8080808080808080u)) {  /* no byte of them is 0xff */
            reader->bits |= next >> reader->count;
            reader->at += (63 - reader->count) >> 3;
            reader->count |= 56;
            return;
        }
    }
    while (reader->count < 56 && reader->at < reader->end) {
        uint8_t byte = *reader->at;
        if (byte == 0xff && (reader->end - reader->at < 2 || reader->at[1] != 0)) return;
        reader->at += byte == 0xff ? 2 : 1;
        reader->bits |= (uint64_t)byte << (56 - reader->count);
        reader->count += 8;
    }
}

static inline void drop(Reader *reader, int count)
{
    reader->bits <<= count;
    reader->count -= count;
}

/* Whether only padding is left before the marker 0xff `marker`, which is passed. */
static int passes(Reader *reader, int marker)
{
    refill(reader);
    if (reader->count >= 8 || reader->end - reader->at < 2) return 0;
    if (reader->at[0] != 0xff || reader->at[1] != marker) return 0;
    *reader = (Reader){reader->at + 2, reader->end, 0, 0};
    return 1;
}

/* The next `size` bits as a coefficient, 1..15. */
static inline int value(uint64_t bits, int size)
{
    int found = (int)(bits >> (64 - size));
    return found >> (size - 1) ? found : found - (1 << size) + 1;
}

/* -------------------------------------------------------------------------------------------------------------
 * Blocks
 */

/* Read a block's DC coefficient, which is told by its difference to the one before. */
static inline int read_dc(Reader *reader, const Table *dc, int *before)
{
    refill(reader);
    uint32_t found = look_up(dc, reader->bits);
    if (!found) return 0;
    int size = (int)(found >> 8);
    drop(reader, (int)(found & 255));
    if (size) {
        *before += value(reader->bits, size);
        drop(reader, size);
    }
    return -32767 <= *before && *before <= 32767;
}

/* Pass a block's other coefficients. */
static inline int pass_ac(Reader *of, const Table *ac)
{
    Reader reader = *of;  /* in registers */
    int next = 1;
    for (;;) {
        uint32_t found = ac->skip[reader.bits >> (64 - PEEK)];
        int used = (int)(found & 31), end = (int)(found >> 5 & 1), passed = (int)(found >> 6);
        if (RARE(!used || next + passed + end > 64)) {  /* a long code, or symbols of the next block among them */
            uint32_t one = look_up(ac, reader.bits);
            if (!one) return 0;
            int size = (int)(one >> 8 & 15), run = (int)(one >> 12);
            used = (int)(one & 255) + size;
            end = !size && run != 15;
            passed = end ? 0 : run + 1;
            if (next + passed > 64) return 0;
        }
        next += passed;
        drop(&reader, used);
        if (end || next == 64) break;
        if (reader.count < 32) {
            if (reader.count < 0) return 0;
            refill(&reader);
        }
    }
    *of = reader;
    return reader.count >= 0;
}

/* Where in a block the coefficients stand, row by row, in the order of the file. */
static const uint8_t ZIGZAG[64] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

/* Read a block's other coefficients into `block`, which holds zeros. */
static inline int read_ac(Reader *of, const Table *ac, int16_t *block)
{
    Reader reader = *of;
    for (int next = 1; next < 64; next++) {
        if (reader.count < 32) {
            if (reader.count < 0) return 0;
            refill(&reader);
        }
        uint32_t found = look_up(ac, reader.bits);
        if (!found) return 0;
        int size = (int)(found >> 8 & 15), run = (int)(found >> 12);
        drop(&reader, (int)(found & 255));
        if (!size && run != 15) break;
        next += run;
        if (next > 63) return 0;
        if (size) {
            block[ZIGZAG[next]] = (int16_t)value(reader.bits, size);
            drop(&reader, size);
        }
    }
    *of = reader;
    return reader.count >= 0;
}

/* -------------------------------------------------------------------------------------------------------------
 * Pixels, as libjpeg's reduced inverse transforms make them
 */

/* What a sample is clamped to; -1 where libjpeg would not clamp but wrap. */
static inline int clamped(int64_t sample)
{
    if (sample < -512 || sample > 511) return -1;
    return sample < -128 ? 0 : sample > 127 ? 255 : (int)sample + 128;
}

/* The sum of the odd basis functions over two samples, in 1/8192. */
static inline int64_t odd(int64_t c1, int64_t c3, int64_t c5, int64_t c7)
{
    return 29692 * c1 - 10426 * c3 + 6967 * c5 - 5906 * c7;
}

/* The four pixels of a block at 2/8. Returns 0 where 16 bits would not hold what libjpeg keeps in 16 bits. */
static int four(const int16_t *block, const uint8_t *quantum, uint8_t pixels[4])
{
    static const uint8_t columns[5] = {0, 1, 3, 5, 7};
    int64_t rows[2][5];
    for (int i = 0; i < 5; i++) {
        int64_t c[5];
        for (int j = 0; j < 5; j++) {
            int at = columns[j] * 8 + columns[i];
            c[j] = (int64_t)block[at] * quantum[at];
            if (c[j] < -8191 || c[j] > 8191) return 0;
        }
        int64_t even = c[0] * 32768, sum = odd(c[1], c[2], c[3], c[4]);
        rows[0][i] = (even + sum + 4096) >> 13;
        rows[1][i] = (even - sum + 4096) >> 13;
        if (rows[0][i] < -16383 || rows[0][i] > 16383 || rows[1][i] < -16383 || rows[1][i] > 16383) return 0;
    }
    for (int y = 0; y < 2; y++) {
        int64_t even = rows[y][0] * 32768, sum = odd(rows[y][1], rows[y][2], rows[y][3], rows[y][4]);
        int left = clamped((even + sum + 524288) >> 20), right = clamped((even - sum + 524288) >> 20);
        if (left < 0 || right < 0) return 0;
        pixels[2 * y] = (uint8_t)left;
        pixels[2 * y + 1] = (uint8_t)right;
    }
    return 1;
}

/* -------------------------------------------------------------------------------------------------------------
 * Files
 */

typedef struct {
    int id, across, down, quantum;  /* sampling factors, number of its quantisation table */
    const Table *dc, *ac;
    int before;                     /* the DC coefficient of the block before */
} Component;

typedef struct {
    int width, height, eighths;
    int many;                       /* components; 0 before their number is known */
    Component component[3];
    uint8_t quanta[4][64];          /* row by row */
    int quanta_seen[4], table_seen[8];
    int jfif, adobe;                /* adobe: its colour transform, -1 for none */
    int restart;                    /* MCUs between restart markers, 0 for none */
    uint8_t *out;
    int out_width, out_height;
} Picture;

static int sixteen(const uint8_t *at) { return at[0] << 8 | at[1]; }

static int read_quanta(Picture *picture, const uint8_t *at, const uint8_t *end)
{
    for (; end - at >= 65; at += 65) {
        if (at[0] > 3) return 0;  /* 16 bits a value, or no such table */
        for (int i = 0; i < 64; i++) picture->quanta[at[0]][ZIGZAG[i]] = at[1 + i];
        picture->quanta_seen[at[0]] = 1;
    }
    return at == end;
}

static int read_tables(Picture *picture, const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 17) {
        int total = 0, number = (at[0] & 3) + (at[0] >> 4) * 4;
        if (at[0] & 0xec) return 0;
        for (int i = 1; i <= 16; i++) total += at[i];
        if (total > 256 || end - at - 17 < total) return 0;
        if (!make(&tables[number], at + 1, at + 17, total, number < 4)) return 0;
        picture->table_seen[number] = 1;
        at += 17 + total;
    }
    return at == end;
}

static int read_frame(Picture *picture, const uint8_t *at, int length)
{
    if (picture->many || length < 11 || at[0] != 8) return 0;
    if (sixteen(at + 1) != picture->height || sixteen(at + 3) != picture->width) return 0;
    int many = at[5];
    if ((many != 1 && many != 3) || length != 8 + 3 * many) return 0;
    for (int i = 0; i < many; i++) {
        const uint8_t *its = at + 6 + 3 * i;
        picture->component[i] = (Component){its[0], its[1] >> 4, its[1] & 15, its[2], NULL, NULL, 0};
        if (its[2] > 3) return 0;
    }
    picture->many = many;
    return 1;
}

/* Whether the first component is the luma, and the ratios of sampling are ones that all decoders have names for. */
static int is_usual(Picture *picture)
{
    Component *it = picture->component;
    if (picture->many == 1) {
        if (it[0].across < 1 || it[0].across > 4 || it[0].down < 1 || it[0].down > 4) return 0;
        it[0].across = it[0].down = 1;  /* alone it comes block by block, whatever its factors say */
        return 1;
    }
    for (int i = 1; i < 3; i++)
        if (it[i].across != 1 || it[i].down != 1 || it[i].id == it[0].id) return 0;
    if (it[0].across < 1 || it[0].across > 2 || it[0].down < 1 || it[0].down > 2) return 0;
    if (picture->jfif || picture->adobe == 1) return 1;
    return picture->adobe < 0 && it[0].id == 1 && it[1].id == 2 && it[2].id == 3;
}

static int read_scan_header(Picture *picture, const uint8_t *at, int length)
{
    int many = picture->many;
    if (!many || length != 6 + 2 * many || at[0] != many) return 0;
    if (at[1 + 2 * many] != 0 || at[2 + 2 * many] != 63 || at[3 + 2 * many] != 0) return 0;
    for (int i = 0; i < many; i++) {
        int dc = at[2 + 2 * i] >> 4, ac = at[2 + 2 * i] & 15;
        if (at[1 + 2 * i] != picture->component[i].id || dc > 3 || ac > 3) return 0;
        if (!picture->table_seen[dc] || !picture->table_seen[4 + ac]) return 0;
        if (!picture->quanta_seen[picture->component[i].quantum]) return 0;
        picture->component[i].dc = &tables[dc];
        picture->component[i].ac = &tables[4 + ac];
    }
    return is_usual(picture);
}

/* Read one block of the luma, and set its pixels. */
static inline int draw(Picture *picture, Reader *reader, int column, int row)
{
    Component *luma = &picture->component[0];
    const uint8_t *quantum = picture->quanta[luma->quantum];
    int side = picture->eighths;
    uint8_t pixels[4];
    if (!read_dc(reader, luma->dc, &luma->before)) return 0;
    if (side == 1) {
        if (!pass_ac(reader, luma->ac)) return 0;
        int pixel = clamped(((int64_t)luma->before * quantum[0] + 4) >> 3);
        if (pixel < 0) return 0;
        pixels[0] = (uint8_t)pixel;
    } else {
        int16_t block[64] = {0};
        block[0] = (int16_t)luma->before;
        if (!read_ac(reader, luma->ac, block) || !four(block, quantum, pixels)) return 0;
    }
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            int across = column * side + x, down = row * side + y;
            if (across < picture->out_width && down < picture->out_height)
                picture->out[(size_t)down * (size_t)picture->out_width + (size_t)across] = pixels[y * side + x];
        }
    return 1;
}

static int read_mcu(Picture *picture, Reader *reader, int column, int row)
{
    const Component *luma = &picture->component[0];
    for (int y = 0; y < luma->down; y++)
        for (int x = 0; x < luma->across; x++)
            if (!draw(picture, reader, column * luma->across + x, row * luma->down + y)) return 0;
    for (int i = 1; i < picture->many; i++) {
        Component *chroma = &picture->component[i];
        if (!read_dc(reader, chroma->dc, &chroma->before) || !pass_ac(reader, chroma->ac)) return 0;
    }
    return 1;
}

static int read_scan(Picture *picture, const uint8_t *at, const uint8_t *end)
{
    Reader reader = {at, end, 0, 0};
    int across = 8 * picture->component[0].across, down = 8 * picture->component[0].down;
    int columns = (picture->width + across - 1) / across, rows = (picture->height + down - 1) / down;
    int left = picture->restart, marker = 0xd0;
    for (int row = 0; row < rows; row++)
        for (int column = 0; column < columns; column++) {
            if (picture->restart && !left--) {
                if (!passes(&reader, marker)) return 0;
                marker = 0xd0 | ((marker + 1) & 7);
                left = picture->restart - 1;
                for (int i = 0; i < 3; i++) picture->component[i].before = 0;
            }
            if (!read_mcu(picture, &reader, column, row)) return 0;
        }
    return passes(&reader, 0xd9);
}

/* Make the grey picture of a JPEG of `width` x `height` pixels at 1/8 or 2/8 of its size, rounded up, in `out`.
 *
 * 1 where the file is whole beyond doubt; 0 where another decoder must be asked, and `out` holds nothing.
 */
PUBLIC int trainworthy_grey(const uint8_t *data, size_t size, int width, int height, int eighths, uint8_t *out)
{
    Picture picture = {.width = width, .height = height, .eighths = eighths, .adobe = -1, .out = out};
    const uint8_t *at = data + 2, *end = data + size;
    if (size < 4 || data[0] != 0xff || data[1] != 0xd8 || width < 1 || height < 1) return 0;
    if (eighths != 1 && eighths != 2) return 0;
    picture.out_width = (width * eighths + 7) / 8;
    picture.out_height = (height * eighths + 7) / 8;
    for (;;) {
        if (end - at < 4 || at[0] != 0xff) return 0;
        int marker = at[1], length = sixteen(at + 2), fine = 1;
        const uint8_t *body = at + 4;
        if (length < 2 || end - at < 2 + length) return 0;
        at += 2 + length;
        switch (marker) {
        case 0xda: return read_scan_header(&picture, body, length) && read_scan(&picture, at, end);
        case 0xc0: case 0xc1: fine = read_frame(&picture, body, length); break;
        case 0xc4: fine = read_tables(&picture, body, at); break;
        case 0xdb: fine = read_quanta(&picture, body, at); break;
        case 0xdd: fine = length == 4; if (fine) picture.restart = sixteen(body); break;
        case 0xe0:
            if (length >= 7 && !memcmp(body, "JFIF", 5)) {
                picture.jfif = 1;
                fine = length >= 16 && body[5] == 1;  /* of other versions libjpeg warns */
            }
            break;
        case 0xee: if (length >= 14 && !memcmp(body, "Adobe", 5)) picture.adobe = body[11]; break;
        default: fine = (marker > 0xe0 && marker <= 0xef) || marker == 0xfe;
        }
        if (!fine) return 0;
    }
}
