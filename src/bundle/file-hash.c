/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A digest is a chain: no two threads can hash one piece. So a file of one piece has one thread,
 * and one of many (a chunk list) has as many as there are processors, each with a piece of its own.
 */

#include "bundle/file-hash.h"

#include <errno.h>

#include "util/digest.h"
#include "util/io.h"

#define BLOCK_LENGTH (UINT64_C(256) << 10) /* stays in a processor's cache */
#define HOLE_LENGTH  (UINT64_C(16) << 20)
#define AHEAD_MAX    (UINT64_C(256) << 20)
#define THREADS_MAX  4U

struct FileHash {
        int fd;
        const ExtentList *data;
        const GArray *pieces;
        GPtrArray *threads;
        GPtrArray *digests; /* of the pieces: each thread writes those of its own */

        GMutex lock; /* for what follows */
        GCond more;  /* can be read */
        GCond less;  /* is left to be hashed */
        unsigned next_piece;
        unsigned working;         /* threads */
        uint64_t readable;        /* the file is there up to here */
        uint64_t allowed, hashed; /* bytes of data */
        bool stops;
        int failure; /* errno */
};

static void fail(FileHash *h, int reason) {
        g_mutex_lock(&h->lock);
        if (h->failure == 0)
                h->failure = reason;
        h->stops = true;
        g_cond_broadcast(&h->more);
        g_cond_signal(&h->less);
        g_mutex_unlock(&h->lock);
}

/* false: it is to stop. "length" bytes were hashed before. */
static bool wait_for(FileHash *h, uint64_t end, uint64_t length) {
        bool goes_on;

        g_mutex_lock(&h->lock);
        h->hashed += length;
        g_cond_signal(&h->less);
        while (h->readable < end && !h->stops)
                g_cond_wait(&h->more, &h->lock);
        goes_on = !h->stops;
        g_mutex_unlock(&h->lock);
        return goes_on;
}

static bool hash_data(
                FileHash *h, Digest *digest, unsigned char *block, Extent data, uint64_t *done) {
        for (uint64_t offset = data.begin, n; offset < data.end; offset += n) {
                n = MIN(BLOCK_LENGTH, data.end - offset);
                if (!wait_for(h, offset + n, *done))
                        return false;
                if (!io_read(h->fd, block, n, offset)) {
                        fail(h, errno);
                        return false;
                }
                digest_add(digest, block, n);
                *done = n;
        }
        return true;
}

static bool hash_hole(FileHash *h, Digest *digest, uint64_t begin, uint64_t end) {
        for (uint64_t n; begin < end; begin += n) {
                n = MIN(HOLE_LENGTH, end - begin);
                if (!wait_for(h, 0, 0))
                        return false;
                digest_add_zeros(digest, n);
        }
        return true;
}

/* NULL: it is to stop. */
static char *hash_piece(
                FileHash *h, Digest *digest, unsigned char *block, Extent piece, uint64_t *done) {
        uint64_t offset = piece.begin;

        for (Extent data; extent_list_find(h->data, offset, piece.end, &data); offset = data.end) {
                if (!hash_hole(h, digest, offset, data.begin) ||
                                !hash_data(h, digest, block, data, done))
                        return NULL;
        }
        return hash_hole(h, digest, offset, piece.end) ? digest_end(digest) : NULL;
}

static bool take_piece(FileHash *h, unsigned *ret) {
        bool there_is;

        g_mutex_lock(&h->lock);
        there_is = h->next_piece < h->pieces->len;
        if (there_is)
                *ret = h->next_piece++;
        g_mutex_unlock(&h->lock);
        return there_is;
}

static void work(FileHash *h) {
        g_autoptr(Digest) digest = digest_new(DIGEST_SHA256);
        g_autofree unsigned char *block = g_malloc(BLOCK_LENGTH);
        uint64_t done = 0; /* of what was hashed last, and is not counted yet */
        unsigned i;

        while (take_piece(h, &i)) {
                char *text = hash_piece(
                                h, digest, block, g_array_index(h->pieces, Extent, i), &done);

                if (!text)
                        return;
                h->digests->pdata[i] = text;
        }
        (void) wait_for(h, 0, done);
}

static void *run(void *userdata) {
        FileHash *h = userdata;

        work(h);
        g_mutex_lock(&h->lock);
        h->working--;
        g_cond_signal(&h->less);
        g_mutex_unlock(&h->lock);
        return NULL;
}

FileHash *file_hash_new(int fd, const ExtentList *data, const GArray *pieces) {
        FileHash *h = g_new0(FileHash, 1);
        unsigned threads = MIN(MIN(pieces->len, g_get_num_processors()), THREADS_MAX);

        h->fd = fd;
        h->data = data;
        h->pieces = pieces;
        h->threads = g_ptr_array_new();
        h->digests = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_set_size(h->digests, (int) pieces->len);
        g_mutex_init(&h->lock);
        g_cond_init(&h->more);
        g_cond_init(&h->less);
        h->working = threads;
        for (unsigned i = 0; i < threads; i++)
                g_ptr_array_add(h->threads, g_thread_new("hash", run, h));
        return h;
}

bool file_hash_allow(FileHash *h, uint64_t end, uint64_t length) {
        bool goes_on;

        g_mutex_lock(&h->lock);
        h->readable = end;
        h->allowed += length;
        g_cond_broadcast(&h->more);
        while (h->allowed - h->hashed > AHEAD_MAX && !h->stops)
                g_cond_wait(&h->less, &h->lock);
        goes_on = !h->stops;
        g_mutex_unlock(&h->lock);
        return goes_on;
}

bool file_hash_wait(FileHash *h, gint64 usec) {
        gint64 end = g_get_monotonic_time() + usec;
        bool ended;

        g_mutex_lock(&h->lock);
        while (h->working > 0 && g_cond_wait_until(&h->less, &h->lock, end))
                ;
        ended = h->working == 0;
        g_mutex_unlock(&h->lock);
        return ended;
}

static void join(FileHash *h, bool all) {
        g_mutex_lock(&h->lock);
        h->stops = h->stops || !all;
        h->readable = UINT64_MAX;
        g_cond_broadcast(&h->more);
        g_mutex_unlock(&h->lock);
        for (unsigned i = 0; i < h->threads->len; i++)
                (void) g_thread_join(h->threads->pdata[i]);
}

GPtrArray *file_hash_end(FileHash *h, bool all) {
        GPtrArray *digests = NULL;
        int failure;

        join(h, all);
        failure = h->failure ?: ECANCELED;
        if (!h->stops)
                digests = g_steal_pointer(&h->digests);
        g_clear_pointer(&h->digests, g_ptr_array_unref);
        (void) g_ptr_array_unref(h->threads);
        g_mutex_clear(&h->lock);
        g_cond_clear(&h->more);
        g_cond_clear(&h->less);
        g_free(h);
        errno = failure;
        return digests;
}
