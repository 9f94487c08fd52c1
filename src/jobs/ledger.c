/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The file of a task is named after its ID and replaced as a whole. Writing it is part of every
 * call that starts a task, so it is not synced there (that would cost milliseconds on the loop);
 * the worker syncs it before the first change that has to be undone or finished after a power cut.
 *
 * IDs are taken in blocks: the file "next-id" holds the first number that was never promised, and
 * is synced before a number of its block is used; as that may take long, a worker does it when half
 * of a block is left. An orderly end gives the rest of the block back; a crash loses it, which
 * makes a gap and no harm.
 *
 * To make a file and give it a block costs more than everything else in the call that starts a
 * task. As the next ID is known, its file is made beforehand, full of empty lines, and the call
 * only writes over them. */

#include "jobs/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/number.h"

#define NEXT_ID_FILE "next-id"
#define ID_BLOCK     1024
#define BLANK_BYTES  1024         /* about the first record of a task */
#define RECORD_BYTES (256 * 1024) /* more than any record of ours has */
#define MEMORY_BYTES (4 * 1024 * 1024)
#define LOCK_USEC    (2 * G_USEC_PER_SEC) /* for which it may be held by what is gone in a moment */
#define LOOK_USEC    (10 * 1000)

struct Ledger {
        int directory;
        uint32_t next;
        _Atomic uint32_t promised; /* IDs below it may be used */
        GMutex promise_lock;       /* of the file */
        uint32_t prepared;         /* the ID whose blank file is open; 0 for none */
        int prepared_file;
};

static int compare_ids(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

        return (x > y) - (x < y);
}

/* The IDs of all records, in order. */
static GArray *list_ids(int directory) {
        DIR *entries = fdopendir(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        struct dirent *entry;
        uint64_t number;

        while (entries && (entry = readdir(entries))) {
                uint32_t id;

                if (!number_parse(entry->d_name, 1, UINT32_MAX, &number))
                        continue;
                id = (uint32_t) number;
                g_array_append_val(ids, id);
        }
        if (entries)
                (void) closedir(entries);
        g_array_sort(ids, compare_ids);
        return ids;
}

/* A state directory whose counter is damaged must not lead to IDs that were used: the records tell
 * the least. */
static uint32_t after_last_record(int directory) {
        g_autoptr(GArray) ids = list_ids(directory);

        return ids->len > 0 ? g_array_index(ids, uint32_t, ids->len - 1) + 1 : 1;
}

/* A service that was killed may have left a process that it had just forked: it holds what the
 * service held until it runs, sees that its parent is gone, and ends. */
static bool lock(int directory) {
        gint64 end = g_get_monotonic_time() + LOCK_USEC;

        while (flock(directory, LOCK_EX | LOCK_NB) < 0) {
                if (g_get_monotonic_time() >= end)
                        return false;
                g_usleep(LOOK_USEC);
        }
        return true;
}

Ledger *ledger_new(const char *state_directory, GError **error) {
        g_autofree char *path = g_build_filename(state_directory, "tasks", NULL);
        g_autofree char *text = NULL;
        int parent, directory;
        uint64_t next = 1;
        Ledger *ledger;

        parent = fs_open_directory(state_directory, error);
        if (parent < 0)
                return NULL;
        (void) close(parent);
        directory = fs_open_directory(path, error);
        if (directory < 0)
                return NULL;
        if (!lock(directory)) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                                "The tasks in '%s' are those of another service that runs", path);
                (void) close(directory);
                return NULL;
        }

        text = fs_read(directory, NEXT_ID_FILE, 32, NULL);
        if (text && !number_parse(g_strstrip(text), 1, UINT32_MAX, &next))
                log_warning("The counter of task IDs is damaged; going on after the last known "
                            "task");

        ledger = g_new0(Ledger, 1);
        ledger->directory = directory;
        ledger->next = MAX((uint32_t) next, after_last_record(directory));
        ledger->promised = ledger->next;
        return ledger;
}

static void give_back(Ledger *ledger) {
        g_autofree char *text = g_strdup_printf("%u\n", ledger->next);

        if (ledger->next < ledger->promised)
                (void) fs_replace(ledger->directory, NEXT_ID_FILE, text, true, NULL);
}

Ledger *ledger_free(Ledger *ledger) {
        if (!ledger)
                return NULL;
        if (ledger->prepared) {
                (void) close(ledger->prepared_file);
                ledger_remove(ledger, ledger->prepared);
        }
        give_back(ledger);
        (void) close(ledger->directory);
        g_free(ledger);
        return NULL;
}

/* Any thread. */
static bool promise(Ledger *ledger, uint32_t end, GError **error) {
        g_autofree char *text = g_strdup_printf("%u\n", end);
        bool ok = true;

        g_mutex_lock(&ledger->promise_lock);
        if (end > ledger->promised) {
                ok = fs_replace(ledger->directory, NEXT_ID_FILE, text, true, error);
                if (ok)
                        ledger->promised = end;
        }
        g_mutex_unlock(&ledger->promise_lock);
        return ok;
}

static bool promise_more(Ledger *ledger, GError **error) {
        uint32_t promised = ledger->promised;

        if (promised <= UINT32_MAX - ID_BLOCK)
                return promise(ledger, promised + ID_BLOCK, error);
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED, "All task IDs are used up");
        return false;
}

bool ledger_is_short(Ledger *ledger) {
        return ledger->promised - ledger->next < ID_BLOCK / 2;
}

void ledger_promise(Ledger *ledger) {
        g_autoptr(GError) error = NULL;

        if (!promise_more(ledger, &error))
                log_warning("No more task IDs can be promised: %s", error->message);
}

uint32_t ledger_next_id(Ledger *ledger, GError **error) {
        if (ledger->next >= ledger->promised && !promise_more(ledger, error))
                return 0;
        return ledger->next++;
}

void ledger_prepare(Ledger *ledger) {
        g_autofree char *name = g_strdup_printf("%u", ledger->next);
        g_autofree char *blank = g_strnfill(BLANK_BYTES, '\n');

        if (ledger->prepared || ledger->next >= ledger->promised)
                return;
        ledger->prepared_file = fs_create(ledger->directory, name, NULL);
        if (ledger->prepared_file < 0)
                return;
        ledger->prepared = ledger->next;
        (void) fs_write(ledger->prepared_file, name, blank, NULL);
        (void) lseek(ledger->prepared_file, 0, SEEK_SET);
}

bool ledger_write(Ledger *ledger, uint32_t id, GKeyFile *record, GError **error) {
        g_autofree char *text = g_key_file_to_data(record, NULL, NULL);
        g_autofree char *name = g_strdup_printf("%u", id);
        bool ok;

        if (id != ledger->prepared)
                return fs_replace(ledger->directory, name, text, false, error);
        ok = fs_write(ledger->prepared_file, name, text, error);
        (void) close(ledger->prepared_file);
        ledger->prepared = 0;
        if (!ok)
                ledger_remove(ledger, id);
        return ok;
}

static char *memory_name(uint32_t id) {
        return g_strdup_printf("%u.memory", id);
}

bool ledger_write_memory(Ledger *ledger, uint32_t id, GHashTable *memory, GError **error) {
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_autofree char *text = NULL, *name = memory_name(id);
        GHashTableIter iter;
        void *key, *value;

        g_hash_table_iter_init(&iter, memory);
        while (g_hash_table_iter_next(&iter, &key, &value))
                g_key_file_set_string(file, LEDGER_MEMORY, key, value);
        text = g_key_file_to_data(file, NULL, NULL);
        return fs_replace(ledger->directory, name, text, true, error);
}

bool ledger_sync(Ledger *ledger, uint32_t id, GError **error) {
        g_autofree char *name = g_strdup_printf("%u", id);

        return fs_sync(ledger->directory, name, error);
}

void ledger_remove(Ledger *ledger, uint32_t id) {
        g_autofree char *name = g_strdup_printf("%u", id), *memory = memory_name(id);

        (void) unlinkat(ledger->directory, name, 0);
        (void) unlinkat(ledger->directory, memory, 0);
}

static bool copy_group(GKeyFile *from, const char *group, GKeyFile *to) {
        g_auto(GStrv) keys = g_key_file_get_keys(from, group, NULL, NULL);

        for (unsigned i = 0; keys && keys[i]; i++) {
                g_autofree char *value = g_key_file_get_value(from, group, keys[i], NULL);

                g_key_file_set_value(to, group, keys[i], value);
        }
        return keys;
}

/* Most tasks have none. One that can't be read must not be taken for none. */
static void add_memory(Ledger *ledger, uint32_t id, GKeyFile *record) {
        g_autofree char *name = memory_name(id), *text = NULL;
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_autoptr(GError) error = NULL;

        if (faccessat(ledger->directory, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
                return;
        text = fs_read(ledger->directory, name, MEMORY_BYTES, &error);
        if (text && g_key_file_load_from_data(file, text, (gsize) -1, G_KEY_FILE_NONE, &error) &&
                        copy_group(file, LEDGER_MEMORY, record))
                return;
        log_warning("What task %u remembers can not be read: %s", id,
                        error ? error->message : "it is empty");
        g_key_file_set_boolean(record, LEDGER_MEMORY_LOST, "Lost", true);
}

void ledger_load(Ledger *ledger, LedgerRecord callback, void *userdata) {
        g_autoptr(GArray) ids = list_ids(ledger->directory);

        for (unsigned i = 0; i < ids->len; i++) {
                uint32_t id = g_array_index(ids, uint32_t, i);
                g_autofree char *name = g_strdup_printf("%u", id);
                g_autofree char *text = fs_read(ledger->directory, name, RECORD_BYTES, NULL);
                g_autoptr(GKeyFile) record = g_key_file_new();
                g_autoptr(GError) error = NULL;

                if (text && *text && !*g_strchug(text)) /* prepared, and never used */
                        ledger_remove(ledger, id);
                else if (text && g_key_file_load_from_data(record, text, (gsize) -1,
                                                 G_KEY_FILE_NONE, &error)) {
                        add_memory(ledger, id, record);
                        callback(id, record, userdata);
                } else {
                        log_warning("The record of task %u can not be read and is dropped", id);
                        ledger_remove(ledger, id);
                }
        }
}
