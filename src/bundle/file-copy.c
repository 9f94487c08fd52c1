/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading, hashing and writing at once:
 *
 *     read (the caller's thread) ──┬── hash ──┐
 *              ^                   └── write ─┤
 *              '── free blocks ───────────────'
 *
 * The kernel begins to write what a window holds when it is full, and the writer waits for the
 * window before: the disk never rests, and there is never much to wait for when a copy is stopped,
 * however slow the disk is. A window is as large as what the disk writes in a moment. */

#include "bundle/file-copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bundle/extents.h"
#include "util/error.h"

#define BLOCK_LENGTH (UINT64_C(1) << 20)
#define BLOCKS       12U
#define WINDOW_MIN   (UINT64_C(1) << 20)
#define WINDOW_MAX   (UINT64_C(32) << 20)
#define WAIT_SHORT   (G_USEC_PER_SEC / 50)
#define WAIT_LONG    (G_USEC_PER_SEC / 10)

/* A part of the file on its way. */
typedef struct Block {
        uint64_t offset;
        uint64_t length;
        bool is_hole;    /* "data" means nothing, all of it is zeros; of any length */
        bool ends_piece; /* the digest of the piece is complete with it */
        bool is_last;    /* and empty */
        atomic_uint users;
        unsigned char *data;
} Block;

typedef struct Copier {
        const FileCopy *copy;
        ExtentList data;
        GArray *pieces; /* of Extent: a digest is made of each */
        bool is_sparse; /* it gets, or has, a chunk list */
        bool is_clone;  /* the target has the content already */
        GAsyncQueue *empty, *to_hash, *to_write;
        atomic_int failure; /* errno of the writer */

        /* The hasher's. */
        Digest *digest;
        GPtrArray *digests; /* of the pieces, as text */

        /* The writer's. */
        uint64_t window, filled; /* bytes of data in one, and in this one as yet */
        uint64_t window_begin, window_end, before_begin, before_end;
} Copier;

static void release(Copier *c, Block *block) {
        if (atomic_fetch_sub(&block->users, 1) == 1)
                g_async_queue_push(c->empty, block);
}

/* The hasher */

static void *hash(void *userdata) {
        Copier *c = userdata;

        for (bool last = false; !last;) {
                Block *block = g_async_queue_pop(c->to_hash);

                last = block->is_last;
                if (block->is_hole)
                        digest_add_zeros(c->digest, block->length);
                else
                        digest_add(c->digest, block->data, block->length);
                if (block->ends_piece)
                        g_ptr_array_add(c->digests, digest_end(c->digest));
                release(c, block);
        }
        return NULL;
}

/* The writer */

static bool write_all(int fd, const unsigned char *data, uint64_t length, uint64_t offset) {
        while (length > 0) {
                ssize_t n = pwrite(fd, data, length, (off_t) offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        errno = n < 0 ? errno : EIO;
                        return false;
                }
                data += n;
                length -= (uint64_t) n;
                offset += (uint64_t) n;
        }
        return true;
}

static void adapt_window(Copier *c, gint64 waited) {
        if (waited > WAIT_LONG)
                c->window = MAX(c->window / 2, WINDOW_MIN);
        else if (waited < WAIT_SHORT)
                c->window = MIN(c->window * 2, WINDOW_MAX);
}

/* A file system without it has more to do at the end. */
static void close_window(Copier *c) {
        gint64 begin = g_get_monotonic_time();
        int fd = c->copy->target;

        (void) sync_file_range(fd, (off_t) c->window_begin,
                        (off_t) (c->window_end - c->window_begin), SYNC_FILE_RANGE_WRITE);
        if (c->before_end > c->before_begin)
                (void) sync_file_range(fd, (off_t) c->before_begin,
                                (off_t) (c->before_end - c->before_begin),
                                SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                                SYNC_FILE_RANGE_WAIT_AFTER);
        adapt_window(c, g_get_monotonic_time() - begin);
        c->before_begin = c->window_begin;
        c->before_end = c->window_end;
        c->filled = 0;
}

static bool write_block(Copier *c, const Block *block) {
        if (block->is_hole || block->length == 0 || (c->is_clone && block->offset > 0))
                return true;
        if (!write_all(c->copy->target, block->data, block->length, block->offset))
                return false;
        if (c->filled == 0)
                c->window_begin = block->offset;
        c->window_end = block->offset + block->length;
        c->filled += block->length;
        if (c->filled >= c->window)
                close_window(c);
        return true;
}

static void fail_to_write(Copier *c) {
        int none = 0;

        (void) atomic_compare_exchange_strong(&c->failure, &none, errno);
}

static void *write_out(void *userdata) {
        Copier *c = userdata;
        int fd = c->copy->target;

        if (!c->is_clone && ftruncate(fd, (off_t) c->data.size) < 0)
                fail_to_write(c);
        for (bool last = false; !last;) {
                Block *block = g_async_queue_pop(c->to_write);

                last = block->is_last;
                if (atomic_load(&c->failure) == 0 && !write_block(c, block))
                        fail_to_write(c);
                release(c, block);
        }
        if (atomic_load(&c->failure) == 0 && fdatasync(fd) < 0)
                fail_to_write(c);
        return NULL;
}

/* The reader */

static VirtaskError code_of(int reason) {
        switch (reason) {
        case ENOSPC:
        case EDQUOT:
                return VIRTASK_ERROR_DISK_FULL;
        case EROFS: /* a file system becomes so when it finds that it is broken */
                return VIRTASK_ERROR_FILE_READ_ONLY;
        default:
                return VIRTASK_ERROR_FAILED;
        }
}

static bool fail(int reason, GError **error) {
        g_set_error(error, VIRTASK_ERROR, (int) code_of(reason), "Failed to copy a file: %s",
                        g_strerror(reason));
        return false;
}

static bool is_to_stop(const Copier *c, GError **error) {
        const FileHooks *hooks = c->copy->hooks;

        if (!hooks || !hooks->stop || !hooks->stop(hooks->userdata))
                return false;
        g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED, "The copy was stopped");
        return true;
}

static void send(Copier *c, Block *block) {
        bool writes = c->copy->target >= 0;

        atomic_store(&block->users, writes ? 2 : 1);
        g_async_queue_push(c->to_hash, block);
        if (writes)
                g_async_queue_push(c->to_write, block);
}

static Block *take_block(Copier *c, uint64_t offset, uint64_t length) {
        Block *block = g_async_queue_pop(c->empty);

        block->offset = offset;
        block->length = length;
        block->is_hole = block->ends_piece = block->is_last = false;
        return block;
}

static bool read_all(int fd, unsigned char *data, uint64_t length, uint64_t offset) {
        while (length > 0) {
                ssize_t n = pread(fd, data, length, (off_t) offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        errno = n < 0 ? errno : ESTALE; /* it got shorter */
                        return false;
                }
                data += n;
                length -= (uint64_t) n;
                offset += (uint64_t) n;
        }
        return true;
}

/* The first bytes are those of the head. */
static void put_head(const Copier *c, const Block *block) {
        if (c->copy->head && block->offset < c->copy->head_length)
                memcpy(block->data, (const unsigned char *) c->copy->head + block->offset,
                                MIN(block->length, c->copy->head_length - block->offset));
}

static bool read_block(Copier *c, Block *block, GError **error) {
        int failure = atomic_load(&c->failure);

        if (failure == 0 && read_all(c->copy->source, block->data, block->length, block->offset)) {
                put_head(c, block);
                return true;
        }
        failure = failure ?: errno;
        g_async_queue_push(c->empty, block);
        return fail(failure, error);
}

static bool send_data(Copier *c, uint64_t begin, uint64_t end, uint64_t piece_end, GError **error) {
        const FileHooks *hooks = c->copy->hooks;

        for (uint64_t offset = begin, n; offset < end; offset += n) {
                Block *block;

                n = MIN(BLOCK_LENGTH, end - offset);
                if (is_to_stop(c, error))
                        return false;
                block = take_block(c, offset, n);
                if (!read_block(c, block, error))
                        return false;
                block->ends_piece = offset + n == piece_end;
                send(c, block);
                if (hooks && hooks->copied)
                        hooks->copied(n, hooks->userdata);
        }
        return true;
}

static void send_hole(Copier *c, uint64_t begin, uint64_t end, uint64_t piece_end) {
        Block *block;

        if (begin == end)
                return;
        block = take_block(c, begin, end - begin);
        block->is_hole = true;
        block->ends_piece = end == piece_end;
        send(c, block);
}

/* "next" is the first extent that may lie in the piece. */
static bool send_piece(Copier *c, const Extent *piece, unsigned *next, GError **error) {
        uint64_t offset = piece->begin;

        for (; *next < c->data.data->len; (*next)++) {
                const Extent *extent = &g_array_index(c->data.data, Extent, *next);
                uint64_t begin = MAX(extent->begin, offset), end = MIN(extent->end, piece->end);

                if (extent->begin >= piece->end)
                        break;
                if (begin >= end)
                        continue;
                send_hole(c, offset, begin, piece->end);
                if (!send_data(c, begin, end, piece->end, error))
                        return false;
                offset = end;
                if (extent->end > piece->end)
                        break;
        }
        send_hole(c, offset, piece->end, piece->end);
        return true;
}

static bool send_all(Copier *c, GError **error) {
        unsigned next = 0;

        for (unsigned i = 0; i < c->pieces->len; i++)
                if (!send_piece(c, &g_array_index(c->pieces, Extent, i), &next, error))
                        return false;
        return true;
}

/* What no piece covers has to be zeros. */

static bool check_zeros(Copier *c, uint64_t begin, uint64_t end, GError **error) {
        g_autofree unsigned char *data = g_malloc(BLOCK_LENGTH);

        for (uint64_t offset = begin, n; offset < end; offset += n) {
                n = MIN(BLOCK_LENGTH, end - offset);
                if (is_to_stop(c, error))
                        return false;
                if (!read_all(c->copy->source, data, n, offset))
                        return fail(errno, error);
                if (data[0] != 0 || memcmp(data, data + 1, n - 1) != 0) {
                        g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                                        "There is data where its chunk list has none");
                        return false;
                }
        }
        return true;
}

static bool check_rest(Copier *c, GError **error) {
        unsigned next = 0;

        for (unsigned i = 0; i < c->data.data->len; i++) {
                Extent extent = g_array_index(c->data.data, Extent, i);

                for (; next < c->pieces->len; next++) {
                        const Extent *piece = &g_array_index(c->pieces, Extent, next);

                        if (piece->begin >= extent.end)
                                break;
                        if (piece->begin > extent.begin &&
                                        !check_zeros(c, extent.begin, piece->begin, error))
                                return false;
                        extent.begin = MAX(extent.begin, MIN(piece->end, extent.end));
                        if (piece->end > extent.end)
                                break;
                }
                if (!check_zeros(c, extent.begin, extent.end, error))
                        return false;
        }
        return true;
}

/* The pieces */

static void add_piece(Copier *c, uint64_t begin, uint64_t end) {
        const Extent piece = {begin, end};

        g_array_append_val(c->pieces, piece);
}

static void split(Copier *c, uint64_t begin, uint64_t end) {
        for (; begin < end; begin += MIN(CHUNK_LENGTH, end - begin))
                add_piece(c, begin, begin + MIN(CHUNK_LENGTH, end - begin));
}

static void cut_into_chunks(Copier *c) {
        uint64_t begin = 0, end = 0;

        for (unsigned i = 0; i < c->data.data->len && c->pieces->len <= CHUNKS_MAX; i++) {
                const Extent *extent = &g_array_index(c->data.data, Extent, i);

                if (extent->begin - end >= CHUNK_GAP) {
                        split(c, begin, end);
                        begin = extent->begin;
                }
                end = extent->end;
        }
        split(c, begin, end);
}

/* A list that nobody could read is no list: the holes are hashed then. */
static bool cut_as_sparse(Copier *c) {
        if (c->data.size - c->data.data_length < SPARSE_LENGTH)
                return false;
        cut_into_chunks(c);
        if (c->pieces->len <= CHUNKS_MAX)
                return true;
        g_array_set_size(c->pieces, 0);
        return false;
}

static void cut_as_expected(Copier *c, const GArray *chunks) {
        for (unsigned i = 0; i < chunks->len; i++) {
                const Chunk *chunk = &g_array_index(chunks, Chunk, i);

                add_piece(c, chunk->offset, chunk->offset + chunk->length);
        }
}

static void cut(Copier *c) {
        const FileDigest *expected = c->copy->expected;

        if (!expected)
                c->is_sparse = cut_as_sparse(c);
        else if (expected->chunks) {
                c->is_sparse = true;
                cut_as_expected(c, expected->chunks->chunks);
        }
        if (!c->is_sparse)
                add_piece(c, 0, c->data.size);
}

/* All together */

static void free_block(void *data) {
        Block *block = data;

        g_free(block->data);
        g_free(block);
}

static void copier_init(Copier *c) {
        c->pieces = g_array_new(FALSE, FALSE, sizeof(Extent));
        c->empty = g_async_queue_new_full(free_block);
        c->to_hash = g_async_queue_new();
        c->to_write = g_async_queue_new();
        c->digest = digest_new();
        c->digests = g_ptr_array_new_with_free_func(g_free);
        c->window = WINDOW_MIN;
        for (unsigned i = 0; i < BLOCKS; i++) {
                Block *block = g_new0(Block, 1);

                block->data = g_malloc(BLOCK_LENGTH);
                g_async_queue_push(c->empty, block);
        }
}

static void copier_clear(Copier *c) {
        extent_list_clear(&c->data);
        (void) g_array_unref(c->pieces);
        g_async_queue_unref(c->empty);
        g_async_queue_unref(c->to_hash);
        g_async_queue_unref(c->to_write);
        digest_free(c->digest);
        (void) g_ptr_array_unref(c->digests);
}

static bool run(Copier *c, GError **error) {
        GThread *hasher = g_thread_new("hash", hash, c);
        GThread *writer = c->copy->target >= 0 ? g_thread_new("write", write_out, c) : NULL;
        bool ok = send_all(c, error);
        int failure = 0;
        Block *last;

        /* What waits to be written is not wanted any more. */
        if (!ok)
                (void) atomic_compare_exchange_strong(&c->failure, &failure, ECANCELED);
        last = take_block(c, c->data.size, 0);
        last->is_last = true;
        last->ends_piece = ok && c->data.size == 0 && !c->is_sparse; /* an empty file */
        send(c, last);
        (void) g_thread_join(hasher);
        if (writer)
                (void) g_thread_join(writer);
        failure = atomic_load(&c->failure);
        return ok && (failure == 0 || fail(failure, error));
}

static bool compare(const Copier *c, GError **error) {
        const FileDigest *expected = c->copy->expected;
        bool same = true;

        for (unsigned i = 0; same && i < c->digests->len; i++) {
                const char *wanted =
                                expected->chunks ? g_array_index(expected->chunks->chunks, Chunk, i)
                                                                   .sha256
                                                 : expected->sha256;

                same = g_str_equal(c->digests->pdata[i], wanted);
        }
        if (!same)
                g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                                "It does not have the digest that it was written with");
        return same;
}

static void give_digest(const Copier *c, FileDigest *ret) {
        *ret = (FileDigest){.size = c->data.size};
        if (!c->is_sparse) {
                ret->sha256 = g_strdup(c->digests->pdata[0]);
                return;
        }
        ret->chunks = chunk_list_new(c->data.size);
        for (unsigned i = 0; i < c->digests->len; i++) {
                const Extent *piece = &g_array_index(c->pieces, Extent, i);

                chunk_list_add(ret->chunks, piece->begin, piece->end - piece->begin,
                                c->digests->pdata[i]);
        }
}

/* Where the file system can: nothing is written then but the head. */
static bool clone_file(const FileCopy *copy) {
        return copy->target >= 0 && ioctl(copy->target, FICLONE, copy->source) == 0;
}

static bool check_size(const Copier *c, GError **error) {
        const FileDigest *expected = c->copy->expected;

        if (!expected || expected->size == c->data.size)
                return true;
        g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                        "It does not have the size that it was written with");
        return false;
}

bool file_copy(const FileCopy *copy, FileDigest *ret, GError **error) {
        Copier c = {.copy = copy};
        bool ok;

        copier_init(&c);
        ok = extent_list_read(copy->source, &c.data) || fail(errno, error);
        ok = ok && check_size(&c, error);
        if (ok) {
                (void) posix_fadvise(copy->source, 0, 0, POSIX_FADV_SEQUENTIAL);
                cut(&c);
                c.is_clone = clone_file(copy);
                ok = run(&c, error) &&
                     (!copy->expected || (compare(&c, error) &&
                                                         (!c.is_sparse || check_rest(&c, error))));
        }
        if (ok && ret)
                give_digest(&c, ret);
        copier_clear(&c);
        return ok;
}

void file_digest_clear(FileDigest *digest) {
        g_free(digest->sha256);
        chunk_list_free(digest->chunks);
        *digest = (FileDigest){0};
}
