/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "file-copy"

#include "bundle/file-copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"
#include "util/fd.h"

#define KIB 1024U
#define MIB (1024U * KIB)

static GError *error;

/* A file without a name. */
static int new_file(void) {
        int fd = open(g_get_tmp_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        g_assert_cmpint(fd, >=, 0);
        return fd;
}

/* Any pattern, but not the same in each block. */
static void put(int fd, uint64_t offset, size_t length) {
        g_autofree unsigned char *data = g_malloc(length);

        for (size_t i = 0; i < length; i++)
                data[i] = (unsigned char) (((offset + i) / 4099) * 31 + i % 251);
        g_assert_cmpint(pwrite(fd, data, length, (off_t) offset), ==, (ssize_t) length);
}

static uint64_t allocated(int fd) {
        struct stat st;

        g_assert_cmpint(fstat(fd, &st), ==, 0);
        return (uint64_t) st.st_blocks * 512;
}

static void assert_same(int a, int b) {
        g_autofree char *left = g_malloc(MIB), *right = g_malloc(MIB);
        struct stat st, other;

        g_assert_cmpint(fstat(a, &st), ==, 0);
        g_assert_cmpint(fstat(b, &other), ==, 0);
        g_assert_cmpint(st.st_size, ==, other.st_size);
        for (off_t offset = 0; offset < st.st_size; offset += MIB) {
                ssize_t n = pread(a, left, MIB, offset);

                g_assert_cmpint(pread(b, right, MIB, offset), ==, n);
                g_assert_cmpmem(left, (size_t) n, right, (size_t) n);
        }
}

static char *sum_of(int fd) {
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
        g_autofree unsigned char *data = g_malloc(MIB);
        ssize_t n;

        for (off_t offset = 0; (n = pread(fd, data, MIB, offset)) > 0; offset += n)
                g_checksum_update(sum, data, n);
        return g_strdup(g_checksum_get_string(sum));
}

static void assert_copied(int source) {
        auto_fd target = new_file();
        FileCopy copy = {.source = source, .target = target};
        g_auto(FileDigest) digest = {0}, again = {0};
        g_autofree char *sum = sum_of(source);

        g_assert_true(file_copy(&copy, &digest, &error));
        assert_same(source, target);
        if (digest.sha256)
                g_assert_cmpstr(digest.sha256, ==, sum);
        /* The copy is what is expected of it. */
        copy = (FileCopy){.source = target, .target = -1, .expected = &digest};
        g_assert_true(file_copy(&copy, &again, &error));
        g_assert_cmpstr(again.sha256, ==, digest.sha256);
}

static void a_copy_is_the_same(void) {
        static const size_t sizes[] = {0, 1, 4095, MIB - 1, MIB, MIB + 1, 21 * MIB + 7};

        for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
                auto_fd source = new_file();

                put(source, 0, sizes[i]);
                assert_copied(source);
        }
}

static void a_gentle_copy_is_the_same(void) {
        auto_fd source = new_file(), target = new_file();
        const FileCopy copy = {.source = source, .target = target, .gentle = true};

        put(source, 0, 21 * MIB);
        g_assert_true(file_copy(&copy, NULL, &error));
        assert_same(source, target);
}

static void short_holes_stay_and_are_hashed_as_zeros(void) {
        auto_fd source = new_file(), target = new_file();
        FileCopy copy = {.source = source, .target = target};
        g_auto(FileDigest) digest = {0};
        g_autofree char *sum = NULL;

        put(source, 3 * MIB, 64 * KIB);
        put(source, 9 * MIB, 5 * MIB);
        g_assert_cmpint(ftruncate(source, 20 * MIB), ==, 0);
        assert_copied(source);
        sum = sum_of(source);
        g_assert_true(file_copy(&copy, &digest, &error));
        g_assert_cmpstr(digest.sha256, ==, sum);
        g_assert_null(digest.chunks);
        g_assert_cmpuint(allocated(target), <=, 6 * MIB);
}

static void make_sparse(int fd) {
        put(fd, 0, 64 * KIB);
        put(fd, 96 * KIB, 4 * KIB); /* a gap that is part of a chunk */
        put(fd, 100 * MIB, 9 * MIB);
        g_assert_cmpint(ftruncate(fd, (off_t) 1000 * MIB), ==, 0);
}

static void a_sparse_file_has_chunks(void) {
        auto_fd source = new_file(), target = new_file();
        FileCopy copy = {.source = source, .target = target};
        g_auto(FileDigest) digest = {0};
        const Chunk *chunk;

        make_sparse(source);
        assert_copied(source);
        g_assert_true(file_copy(&copy, &digest, &error));
        g_assert_null(digest.sha256);
        g_assert_cmpuint(allocated(target), <=, 10 * MIB);
        g_assert_cmpuint(digest.chunks->size, ==, (uint64_t) 1000 * MIB);
        g_assert_cmpuint(digest.chunks->chunks->len, ==, 4);
        chunk = &g_array_index(digest.chunks->chunks, Chunk, 0);
        g_assert_cmpuint(chunk->length, ==, 100 * KIB);
        chunk = &g_array_index(digest.chunks->chunks, Chunk, 3);
        g_assert_cmpuint(chunk->offset, ==, 108 * MIB);
        g_assert_cmpuint(chunk->length, ==, MIB);
}

/* Beside a copy of it one thread could not hash it in time. */
static void a_large_file_has_chunks(void) {
        auto_fd source = new_file();
        g_auto(FileDigest) digest = {0};
        g_autofree char *data = g_malloc0(MIB);

        for (uint64_t offset = 0; offset < LARGE_LENGTH; offset += MIB)
                g_assert_cmpint(pwrite(source, data, MIB, (off_t) offset), ==, MIB);
        g_assert_true(file_copy(&(FileCopy){.source = source, .target = -1}, &digest, &error));
        g_assert_null(digest.sha256);
        g_assert_cmpuint(digest.chunks->chunks->len, ==, LARGE_LENGTH / CHUNK_LENGTH);
        g_assert_cmpint(ftruncate(source, (off_t) LARGE_LENGTH - 1), ==, 0);
        file_digest_clear(&digest);
        g_assert_true(file_copy(&(FileCopy){.source = source, .target = -1}, &digest, &error));
        g_assert_nonnull(digest.sha256);
}

static void a_file_of_nothing_but_a_hole_has_no_chunks(void) {
        auto_fd source = new_file();
        FileCopy copy = {.source = source, .target = -1};
        g_auto(FileDigest) digest = {0};

        g_assert_cmpint(ftruncate(source, 100 * MIB), ==, 0);
        g_assert_true(file_copy(&copy, &digest, &error));
        g_assert_cmpuint(digest.chunks->chunks->len, ==, 0);
        assert_copied(source);
}

/* 2 GiB in memory and 32 GiB to be hashed: only with "-m slow". */
static void more_chunks_than_a_list_can_have_are_none(void) {
        auto_fd source = (int) memfd_create("fragments", MFD_CLOEXEC);
        FileCopy copy = {.source = source, .target = -1};
        g_auto(FileDigest) digest = {0};

        for (unsigned i = 0; i <= CHUNKS_MAX; i++)
                g_assert_cmpint(pwrite(source, "x", 1, (off_t) (i * (CHUNK_GAP + 4 * KIB))), ==, 1);
        g_assert_true(file_copy(&copy, &digest, &error));
        g_assert_null(digest.chunks);
        g_assert_nonnull(digest.sha256);
}

static void the_head_takes_the_place_of_the_first_bytes(void) {
        auto_fd source = new_file(), target = new_file(), wanted = new_file();
        FileCopy copy = {.source = source, .target = target, .head = "HEAD", .head_length = 4};
        g_auto(FileDigest) digest = {0};
        g_autofree char *sum = NULL;

        put(source, 0, 3 * MIB);
        put(wanted, 0, 3 * MIB);
        g_assert_cmpint(pwrite(wanted, "HEAD", 4, 0), ==, 4);
        sum = sum_of(wanted);
        g_assert_true(file_copy(&copy, &digest, &error));
        assert_same(target, wanted);
        g_assert_cmpstr(digest.sha256, ==, sum);
}

/* What is expected of it */

static void assert_unexpected(int fd, const FileDigest *expected) {
        auto_fd target = new_file();
        FileCopy copy = {.source = fd, .target = target, .expected = expected};

        g_assert_false(file_copy(&copy, NULL, &error));
        assert_error(error, INVALID_BUNDLE);
        copy.target = -1;
        g_assert_false(file_copy(&copy, NULL, &error));
        assert_error(error, INVALID_BUNDLE);
}

static void assert_change_is_seen(int fd, off_t place) {
        FileCopy copy = {.source = fd, .target = -1};
        g_auto(FileDigest) digest = {0};

        g_assert_true(file_copy(&copy, &digest, &error));
        g_assert_cmpint(pwrite(fd, "\xA5", 1, place), ==, 1);
        assert_unexpected(fd, &digest);
}

static void each_changed_byte_is_seen(void) {
        static const off_t places[] = {0, 98 * KIB, MIB, 4 * MIB - 1};
        /* In a chunk, in a gap of one, where there is none, at the end. */
        static const off_t sparse_places[] = {0, 70 * KIB, 98 * KIB, 5 * MIB, 100 * MIB,
                        109 * MIB - 1, (off_t) 1000 * MIB - 1};

        for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
                auto_fd source = new_file();

                put(source, 0, 4 * MIB);
                assert_change_is_seen(source, places[i]);
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(sparse_places); i++) {
                auto_fd source = new_file();

                make_sparse(source);
                assert_change_is_seen(source, sparse_places[i]);
        }
}

static void another_size_is_seen(void) {
        for (unsigned i = 0; i < 2; i++) {
                auto_fd source = new_file();
                FileCopy copy = {.source = source, .target = -1};
                g_auto(FileDigest) digest = {0};

                if (i % 2)
                        make_sparse(source);
                else
                        put(source, 0, MIB);
                g_assert_true(file_copy(&copy, &digest, &error));
                g_assert_cmpint(ftruncate(source, (off_t) digest.size + 1), ==, 0);
                assert_unexpected(source, &digest);
        }
}

/* Copied by a program that knows no holes: they are zeros on the disk. */
static void holes_that_were_filled_with_zeros_are_the_same(void) {
        auto_fd source = new_file();
        FileCopy copy = {.source = source, .target = -1};
        g_auto(FileDigest) digest = {0};
        g_autofree char *zeros = g_malloc0(MIB);

        make_sparse(source);
        g_assert_true(file_copy(&copy, &digest, &error));
        for (off_t offset = 64 * KIB; offset < 100 * MIB; offset += 4 * KIB)
                if (offset != 96 * KIB)
                        g_assert_cmpint(pwrite(source, zeros, 4 * KIB, offset), ==, 4 * KIB);
        copy.expected = &digest;
        g_assert_true(file_copy(&copy, NULL, &error));
}

/* Failures */

static bool stop_later(void *userdata) {
        unsigned *left = userdata;

        return (*left)-- == 0;
}

static void a_copy_can_be_stopped(void) {
        for (unsigned after = 0; after < 9; after += 4) {
                unsigned left = after;
                const FileHooks hooks = {.stop = stop_later, .userdata = &left};
                auto_fd source = new_file(), target = new_file();
                FileCopy copy = {.source = source, .target = target, .hooks = &hooks};

                put(source, 0, 41 * MIB);
                g_assert_false(file_copy(&copy, NULL, &error));
                assert_error(error, CANCELLED);
        }
}

static void add(uint64_t bytes, void *userdata) {
        *(uint64_t *) userdata += bytes;
}

static void the_bytes_of_data_are_counted(void) {
        uint64_t done = 0;
        const FileHooks hooks = {.copied = add, .userdata = &done};
        auto_fd source = new_file(), target = new_file();
        FileCopy copy = {.source = source, .target = target, .hooks = &hooks};

        make_sparse(source);
        g_assert_true(file_copy(&copy, NULL, &error));
        g_assert_cmpuint(done, ==, 9 * MIB + 68 * KIB);
}

/* From one kind of file system to another. */
static void what_the_kernel_does_not_copy_is_copied_by_hand(void) {
        auto_fd source = (int) memfd_create("source", MFD_CLOEXEC), target = new_file();
        FileCopy copy = {.source = source, .target = target, .head = "HEAD", .head_length = 4};
        g_auto(FileDigest) digest = {0};
        g_autofree char *sum = NULL;

        put(source, 0, 9 * MIB + 7);
        g_assert_true(file_copy(&copy, &digest, &error));
        g_assert_cmpint(pwrite(source, "HEAD", 4, 0), ==, 4);
        sum = sum_of(source);
        assert_same(source, target);
        g_assert_cmpstr(digest.sha256, ==, sum);
}

static void shorten(uint64_t bytes, void *userdata) {
        (void) bytes;
        g_assert_cmpint(ftruncate(*(int *) userdata, 0), ==, 0);
}

static void a_source_that_gets_shorter_meanwhile_is_an_error(void) {
        for (unsigned i = 0; i < 2; i++) {
                auto_fd source = new_file(), target = i == 0 ? new_file() : -1;
                const FileHooks hooks = {.copied = shorten, .userdata = &source};
                FileCopy copy = {.source = source, .target = target, .hooks = &hooks};

                put(source, 0, 64 * MIB);
                g_assert_false(file_copy(&copy, NULL, &error));
                assert_error(error, FAILED);
        }
}

static void a_target_that_takes_nothing_is_an_error(void) {
        auto_fd source = new_file(), target = open("/dev/full", O_WRONLY | O_CLOEXEC);
        auto_fd read_only = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        FileCopy copy = {.source = source, .target = target};

        put(source, 0, 30 * MIB);
        g_assert_false(file_copy(&copy, NULL, &error));
        g_assert_nonnull(error);
        g_clear_error(&error);
        copy.target = read_only;
        g_assert_false(file_copy(&copy, NULL, &error));
        assert_error(error, FAILED);
}

static void a_device_is_no_file(void) {
        auto_fd source = open("/dev/zero", O_RDONLY | O_CLOEXEC), target = new_file();

        g_assert_false(file_copy(&(FileCopy){.source = source, .target = target}, NULL, &error));
        assert_error(error, FAILED);
}

/* Ours in the place of the C library's: the kernel tells of what it could not write once. */
static int sync_failure;
static unsigned sync_left;

int sync_file_range(int fd, off64_t offset, off64_t length, unsigned flags) {
        if (sync_failure != 0 && sync_left-- == 0) {
                errno = sync_failure;
                return -1;
        }
        return (int) syscall(SYS_sync_file_range, fd, offset, length, flags);
}

static bool copy_with_failure(int reason, unsigned after) {
        auto_fd source = new_file(), target = new_file();
        bool ok;

        put(source, 0, 21 * MIB);
        sync_failure = reason;
        sync_left = after;
        ok = file_copy(&(FileCopy){.source = source, .target = target}, NULL, &error);
        sync_failure = 0;
        return ok;
}

static void what_the_disk_did_not_take_is_an_error(void) {
        for (unsigned after = 0; after < 4; after++) {
                g_assert_false(copy_with_failure(EIO, after));
                assert_error(error, FAILED);
                g_assert_false(copy_with_failure(ENOSPC, after));
                assert_error(error, DISK_FULL);
                /* Where it is not known, fdatasync() tells. */
                g_assert_true(copy_with_failure(EOPNOTSUPP, after));
        }
}

/* Ours as well: a file system that clones, with somebody who writes to the source before it does.
 */
static off_t written_at = -1;

int ioctl(int fd, unsigned long request, ...) {
        g_autofree char *content = g_malloc(MIB);
        va_list arguments;
        int source;
        ssize_t n;

        va_start(arguments, request);
        source = va_arg(arguments, int);
        va_end(arguments);
        if (request != FICLONE || written_at < 0) {
                errno = EOPNOTSUPP;
                return -1;
        }
        g_assert_cmpint(pwrite(source, "!", 1, written_at), ==, 1);
        for (off_t offset = 0; (n = pread(source, content, MIB, offset)) > 0; offset += n)
                g_assert_cmpint(pwrite(fd, content, (size_t) n, offset), ==, n);
        return 0;
}

static void what_is_written_before_a_clone_is_seen(void) {
        static const off_t places[] = {70 * KIB, 5 * MIB, 999 * MIB, 1000 * MIB};

        for (unsigned i = 0; i < 2 * G_N_ELEMENTS(places); i++) {
                auto_fd source = new_file(), target = new_file();
                FileCopy copy = {.source = source, .target = -1};
                g_auto(FileDigest) digest = {0};
                off_t place = places[i / 2] / (i % 2 ? 100 : 1);

                if (i % 2) { /* one digest */
                        put(source, 0, MIB);
                        g_assert_cmpint(ftruncate(source, 10 * MIB), ==, 0);
                } else
                        make_sparse(source);
                g_assert_true(file_copy(&copy, &digest, &error));
                copy.target = target;
                copy.expected = &digest;
                written_at = place;
                g_assert_false(file_copy(&copy, NULL, &error));
                written_at = -1;
                assert_error(error, INVALID_BUNDLE);
        }
}

/* A hole is hashed for as long as it is large. */
static void a_hole_without_chunks_can_be_stopped(void) {
        unsigned left = 2;
        const FileHooks hooks = {.stop = stop_later, .userdata = &left};
        auto_fd source = new_file();
        const uint64_t size = UINT64_C(1) << 40;
        FileDigest digest = {.size = size, .sha256 = (char *) "no matter which"};
        FileCopy copy = {.source = source, .target = -1, .hooks = &hooks, .expected = &digest};

        g_assert_cmpint(ftruncate(source, (off_t) size), ==, 0);
        g_assert_false(file_copy(&copy, NULL, &error));
        assert_error(error, CANCELLED);
        g_assert_cmpint(ftruncate(source, (off_t) size + 1), ==, 0);
        digest.size++;
        g_assert_false(file_copy(&copy, NULL, &error));
        assert_error(error, INVALID_BUNDLE);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_copy_is_the_same);
        ADD(a_gentle_copy_is_the_same);
        ADD(short_holes_stay_and_are_hashed_as_zeros);
        ADD(a_sparse_file_has_chunks);
        ADD(a_large_file_has_chunks);
        ADD(a_file_of_nothing_but_a_hole_has_no_chunks);
        if (g_test_slow())
                ADD(more_chunks_than_a_list_can_have_are_none);
        ADD(the_head_takes_the_place_of_the_first_bytes);
        ADD(each_changed_byte_is_seen);
        ADD(another_size_is_seen);
        ADD(holes_that_were_filled_with_zeros_are_the_same);
        ADD(a_copy_can_be_stopped);
        ADD(the_bytes_of_data_are_counted);
        ADD(what_the_kernel_does_not_copy_is_copied_by_hand);
        ADD(a_source_that_gets_shorter_meanwhile_is_an_error);
        ADD(a_target_that_takes_nothing_is_an_error);
        ADD(a_device_is_no_file);
        ADD(what_the_disk_did_not_take_is_an_error);
        ADD(what_is_written_before_a_clone_is_seen);
        ADD(a_hole_without_chunks_can_be_stopped);
        return g_test_run();
}
