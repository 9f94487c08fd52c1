/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The kernel copies, and what has arrived is hashed by other threads while it is in memory
 * (file-hash.c): a digest is one of what lies in the copy.
 *
 * The kernel begins to write what a window holds when it is full, and we wait for the window
 * before: the disk never rests, and there is never much to wait for when a copy is stopped, however
 * slow the disk is. A window is as large as what the disk writes in a moment. */

#include "bundle/file-copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bundle/extents.h"
#include "bundle/file-hash.h"
#include "util/error.h"
#include "util/io.h"

#define BLOCK_LENGTH (UINT64_C(1) << 20)
#define STEP_LENGTH  (UINT64_C(4) << 20)
#define AHEAD_LENGTH (UINT64_C(16) << 20)
#define ROOM_LENGTH  (UINT64_C(32) << 20)
#define ROOM_MIN     (UINT64_C(1) << 20)
#define WINDOW_MIN   (UINT64_C(1) << 20)
#define WINDOW_MAX   (UINT64_C(32) << 20)
#define WAIT_SHORT   (G_USEC_PER_SEC / 50)
#define WAIT_LONG    (G_USEC_PER_SEC / 10)
#define REST_TIMES   4
#define REST_MAX     (G_USEC_PER_SEC / 4)
#define STOP_USEC    (G_USEC_PER_SEC / 20)
#define HOLES_MAX    (UINT64_C(1) << 40) /* that are hashed: they take minutes */

typedef struct Copier {
        const FileCopy *copy;
        int from; /* the file that has the content: the target, once it is a clone */
        ExtentList data;
        GArray *pieces; /* of Extent: a digest is made of each */
        bool has_list;  /* it gets, or has, a chunk list */
        bool is_clone;  /* the target has the content already */
        bool by_hand;   /* the kernel does not copy from the one to the other */
        unsigned char *block;
        FileHash *hash;
        GPtrArray *digests; /* of the pieces, as text */

        uint64_t room_end;       /* up to here the target has its blocks */
        uint64_t window, filled; /* bytes of data in one, and in this one as yet */
        Extent this, before;     /* windows */
} Copier;

static bool fail(int reason, GError **error) {
        return error_fail(error_of_errno(reason), error, "Failed to copy a file: %s",
                        g_strerror(reason));
}

static bool is_to_stop(const Copier *c, GError **error) {
        const FileHooks *hooks = c->copy->hooks;

        if (!hooks || !hooks->stop || !hooks->stop(hooks->userdata))
                return false;
        g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED, "The copy was stopped");
        return true;
}

/* The windows */

static void adapt_window(Copier *c, gint64 waited) {
        if (waited > WAIT_LONG)
                c->window = MAX(c->window / 2, WINDOW_MIN);
        else if (waited < WAIT_SHORT)
                c->window = MIN(c->window * 2, WINDOW_MAX);
}

/* What could not be written is told once, to whoever waits for it first: fdatasync() would not know
 * any more. A file system without it has more to do at the end. */
static bool sync_window(const Copier *c, Extent window, unsigned flags) {
        return window.begin == window.end ||
               sync_file_range(c->copy->target, (off_t) window.begin,
                               (off_t) (window.end - window.begin), flags) == 0 ||
               errno == ENOSYS || errno == EINVAL || errno == ESPIPE || errno == EOPNOTSUPP;
}

static bool close_window(Copier *c) {
        gint64 begin = g_get_monotonic_time();

        if (!sync_window(c, c->this, SYNC_FILE_RANGE_WRITE) ||
                        !sync_window(c, c->before,
                                        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                                        SYNC_FILE_RANGE_WAIT_AFTER))
                return false;
        adapt_window(c, g_get_monotonic_time() - begin);
        c->before = c->this;
        c->filled = 0;
        return true;
}

static bool fill_window(Copier *c, uint64_t offset, uint64_t length) {
        if (c->filled == 0)
                c->this.begin = offset;
        c->this.end = offset + length;
        c->filled += length;
        return c->filled < c->window || close_window(c);
}

/* A step */

static bool copy_by_hand(Copier *c, uint64_t offset, uint64_t length) {
        if (!c->block)
                c->block = g_malloc(BLOCK_LENGTH);
        for (uint64_t n; length > 0; offset += n, length -= n) {
                n = MIN(length, BLOCK_LENGTH);
                if (!io_read(c->copy->source, c->block, n, offset) ||
                                !io_write(c->copy->target, c->block, n, offset))
                        return false;
        }
        return true;
}

/* What it says of two files that are not of one file system, or not of one that can. */
static bool is_for_hands(int reason) {
        return reason == EXDEV || reason == EINVAL || reason == EOPNOTSUPP || reason == ENOSYS ||
               reason == EPERM;
}

static bool copy_range(Copier *c, uint64_t offset, uint64_t length) {
        while (length > 0 && !c->by_hand) {
                off64_t from = (off64_t) offset, to = (off64_t) offset;
                ssize_t n = copy_file_range(
                                c->copy->source, &from, c->copy->target, &to, length, 0);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && !is_for_hands(errno))
                        return false;
                if (n <= 0)
                        c->by_hand = true;
                offset += (uint64_t) MAX(n, 0);
                length -= (uint64_t) MAX(n, 0);
        }
        return copy_by_hand(c, offset, length);
}

/* The first bytes are those of the head. */
static bool put_head(const Copier *c, uint64_t offset, uint64_t length) {
        const unsigned char *head = c->copy->head;

        if (!head || offset >= c->copy->head_length)
                return true;
        return io_write(c->copy->target, head + offset, MIN(length, c->copy->head_length - offset),
                        offset);
}

/* Blocks that are there cost a fraction of blocks that are found for each page when it is written,
 * and nobody's sync waits for what is written to them. Where that can't be done it has to go
 * without. */
static bool make_room(Copier *c, uint64_t begin, uint64_t end) {
        uint64_t length = MIN(end - begin, ROOM_LENGTH);

        if (c->copy->target < 0 || c->is_clone || begin < c->room_end || length < ROOM_MIN)
                return true;
        c->room_end = begin + length;
        return fallocate(c->copy->target, FALLOC_FL_KEEP_SIZE, (off_t) begin, (off_t) length) ==
                               0 ||
               (errno != ENOSPC && errno != EDQUOT);
}

static bool write_step(Copier *c, uint64_t offset, uint64_t length) {
        if (c->copy->target < 0)
                return true;
        if (!c->is_clone && !copy_range(c, offset, length))
                return false;
        if (!put_head(c, offset, length))
                return false;
        return c->is_clone || fill_window(c, offset, length);
}

static bool make_step(Copier *c, uint64_t offset, uint64_t length, GError **error) {
        const FileHooks *hooks = c->copy->hooks;
        gint64 begin = g_get_monotonic_time();

        if (is_to_stop(c, error))
                return false;
        (void) posix_fadvise(c->from, (off_t) (offset + AHEAD_LENGTH), (off_t) length,
                        POSIX_FADV_WILLNEED);
        if (!write_step(c, offset, length))
                return fail(errno, error);
        if (!file_hash_allow(c->hash, offset + length, length))
                return false; /* file_hash_end() tells why */
        if (hooks && hooks->copied)
                hooks->copied(length, hooks->userdata);
        if (c->copy->gentle)
                g_usleep((gulong) MIN(REST_TIMES * (g_get_monotonic_time() - begin), REST_MAX));
        return true;
}

static bool copy_data(Copier *c, Extent data, GError **error) {
        for (uint64_t offset = data.begin, n; offset < data.end; offset += n) {
                n = MIN(MIN(STEP_LENGTH, c->window), data.end - offset);
                if (!make_room(c, offset, data.end))
                        return fail(errno, error);
                if (!make_step(c, offset, n, error))
                        return false;
        }
        return true;
}

/* What no piece covers is zeros, or will be found. */
static bool copy_pieces(Copier *c, GError **error) {
        for (unsigned i = 0; i < c->pieces->len; i++) {
                Extent piece = g_array_index(c->pieces, Extent, i), data;

                for (uint64_t offset = piece.begin;
                                extent_list_find(&c->data, offset, piece.end, &data);
                                offset = data.end)
                        if (!copy_data(c, data, error))
                                return false;
        }
        return true;
}

/* What no piece covers has to be zeros. */

static bool check_zeros(Copier *c, Extent data, GError **error) {
        g_autofree unsigned char *block = g_malloc(BLOCK_LENGTH);

        for (uint64_t offset = data.begin, n; offset < data.end; offset += n) {
                n = MIN(BLOCK_LENGTH, data.end - offset);
                if (is_to_stop(c, error))
                        return false;
                if (!io_read(c->from, block, n, offset))
                        return fail(errno, error);
                if (block[0] != 0 || memcmp(block, block + 1, n - 1) != 0) {
                        g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                                        "There is data where its chunk list has none");
                        return false;
                }
        }
        return true;
}

static bool check_gap(Copier *c, uint64_t begin, uint64_t end, GError **error) {
        for (Extent data; extent_list_find(&c->data, begin, end, &data); begin = data.end)
                if (!check_zeros(c, data, error))
                        return false;
        return true;
}

static bool check_rest(Copier *c, GError **error) {
        uint64_t begin = 0;

        for (unsigned i = 0; i < c->pieces->len; i++) {
                const Extent *piece = &g_array_index(c->pieces, Extent, i);

                if (!check_gap(c, begin, piece->begin, error))
                        return false;
                begin = piece->end;
        }
        return check_gap(c, begin, c->data.size, error);
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

/* A list that nobody could read is no list: all is one piece then. */
static bool cut_for_list(Copier *c) {
        if (c->data.size - c->data.data_length < SPARSE_LENGTH && c->data.size < LARGE_LENGTH)
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
                c->has_list = cut_for_list(c);
        else if (expected->chunks) {
                c->has_list = true;
                cut_as_expected(c, expected->chunks->chunks);
        }
        if (!c->has_list)
                add_piece(c, 0, c->data.size);
}

/* All together */

static void copier_clear(Copier *c) {
        extent_list_clear(&c->data);
        (void) g_array_unref(c->pieces);
        g_clear_pointer(&c->digests, g_ptr_array_unref);
        g_free(c->block);
}

static bool write_all(Copier *c, GError **error) {
        int fd = c->copy->target;

        if (fd >= 0 && !c->is_clone && ftruncate(fd, (off_t) c->data.size) < 0)
                return fail(errno, error);
        if (!copy_pieces(c, error))
                return false;
        return fd < 0 || fdatasync(fd) == 0 || fail(errno, error);
}

static bool run(Copier *c, GError **error) {
        g_autoptr(GError) cause = NULL;
        int fd = c->copy->target >= 0 ? c->copy->target : c->copy->source;
        bool ok;

        c->hash = file_hash_new(fd, &c->data, c->pieces);
        ok = write_all(c, &cause);
        while (ok && !file_hash_wait(c->hash, STOP_USEC))
                ok = !is_to_stop(c, &cause);
        c->digests = file_hash_end(c->hash, ok);
        if (cause) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return false;
        }
        return c->digests || fail(errno, error);
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
        if (!c->has_list) {
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

        if (expected && expected->size != c->data.size)
                return error_fail(VIRTASK_ERROR_INVALID_BUNDLE, error,
                                "It does not have the size that it was written with");
        if (expected && expected->sha256 && c->data.size - c->data.data_length > HOLES_MAX)
                return error_fail(VIRTASK_ERROR_INVALID_BUNDLE, error,
                                "It has larger holes than can be without a chunk list");
        return true;
}

bool file_copy(const FileCopy *copy, FileDigest *ret, GError **error) {
        Copier c = {.copy = copy, .window = WINDOW_MIN};
        bool ok;

        c.pieces = g_array_new(FALSE, FALSE, sizeof(Extent));
        /* What is written to the source from now on is not in a clone. */
        c.is_clone = clone_file(copy);
        c.from = c.is_clone ? copy->target : copy->source;
        ok = extent_list_read(c.from, &c.data) || fail(errno, error);
        ok = ok && check_size(&c, error);
        if (ok) {
                cut(&c);
                ok = run(&c, error) &&
                     (!copy->expected || (compare(&c, error) &&
                                                         (!c.has_list || check_rest(&c, error))));
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
