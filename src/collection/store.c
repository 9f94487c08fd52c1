/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A file is written before the memory changes, so that what was shown is there after a crash. */

#include "collection/store.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"

#define SUFFIX     ".collection"
#define FILE_BYTES (256U * 1024)

struct CollectionStore {
        pthread_mutex_t writing; /* held around a change, files and all */
        pthread_mutex_t lock;    /* of the table */
        GHashTable *collections; /* id -> Collection, a reference */
        int directory;
};

static void unref(void *collection) {
        collection_unref(collection);
}

static void load(CollectionStore *store, const char *name) {
        g_autofree char *id = g_strndup(name, strlen(name) - strlen(SUFFIX));
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_autoptr(GError) error = NULL;
        g_autofree char *text = fs_read(store->directory, name, FILE_BYTES, &error);
        Collection *collection = NULL;

        if (text && g_key_file_load_from_data(file, text, strlen(text), G_KEY_FILE_NONE, &error))
                collection = collection_load(id, file);
        if (!collection) {
                log_warning("The collection %s can not be read: %s", id,
                                error ? error->message : "it makes no sense");
                return;
        }
        g_hash_table_insert(store->collections, collection->id, collection);
}

static void load_all(CollectionStore *store) {
        DIR *directory = fdopendir(dup(store->directory));
        const struct dirent *entry;

        if (!directory)
                return;
        while ((entry = readdir(directory)))
                if (g_str_has_suffix(entry->d_name, SUFFIX))
                        load(store, entry->d_name);
        (void) closedir(directory);
}

CollectionStore *collection_store_new(const char *state_directory, GError **error) {
        g_autofree char *path = g_build_filename(state_directory, "collections", NULL);
        int directory = fs_open_directory(path, error);
        CollectionStore *store;

        if (directory < 0)
                return NULL;
        store = g_new0(CollectionStore, 1);
        store->directory = directory;
        (void) pthread_mutex_init(&store->writing, NULL);
        (void) pthread_mutex_init(&store->lock, NULL);
        store->collections = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, unref);
        load_all(store);
        return store;
}

CollectionStore *collection_store_free(CollectionStore *store) {
        if (!store)
                return NULL;
        g_hash_table_destroy(store->collections);
        (void) pthread_mutex_destroy(&store->writing);
        (void) pthread_mutex_destroy(&store->lock);
        (void) close(store->directory);
        g_free(store);
        return NULL;
}

static int compare(const void *a, const void *b) {
        const Collection *x = *(Collection *const *) a, *y = *(Collection *const *) b;

        if (x->created != y->created)
                return x->created < y->created ? -1 : 1;
        return strcmp(x->id, y->id);
}

GPtrArray *collection_store_list(CollectionStore *store) {
        GPtrArray *list = g_ptr_array_new_with_free_func(unref);
        GHashTableIter iter;
        void *collection;

        pthread_mutex_lock(&store->lock);
        g_hash_table_iter_init(&iter, store->collections);
        while (g_hash_table_iter_next(&iter, NULL, &collection))
                g_ptr_array_add(list, collection_ref(collection));
        pthread_mutex_unlock(&store->lock);
        g_ptr_array_sort(list, compare);
        return list;
}

Collection *collection_store_find(CollectionStore *store, const char *id, GError **error) {
        Collection *collection;

        pthread_mutex_lock(&store->lock);
        collection = g_hash_table_lookup(store->collections, id);
        if (collection)
                (void) collection_ref(collection);
        pthread_mutex_unlock(&store->lock);
        if (!collection)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_COLLECTION,
                                "There is no collection %.36s", id);
        return collection;
}

static bool put(CollectionStore *store, Collection *collection, GError **error) {
        g_autoptr(GKeyFile) file = collection_store(collection);
        g_autofree char *text = g_key_file_to_data(file, NULL, NULL);
        g_autofree char *name = g_strconcat(collection->id, SUFFIX, NULL);

        if (!fs_replace(store->directory, name, text, true, error))
                return false;
        pthread_mutex_lock(&store->lock);
        g_hash_table_replace(store->collections, collection->id, collection_ref(collection));
        pthread_mutex_unlock(&store->lock);
        return true;
}

bool collection_store_put(CollectionStore *store, Collection *collection, GError **error) {
        bool ok;

        pthread_mutex_lock(&store->writing);
        ok = put(store, collection, error);
        pthread_mutex_unlock(&store->writing);
        return ok;
}

static bool leave_others(CollectionStore *store, const char *id, GError **error) {
        g_autoptr(GPtrArray) all = collection_store_list(store);

        for (unsigned i = 0; i < all->len; i++) {
                const Collection *other = all->pdata[i];
                g_autoptr(Collection) changed = NULL;

                if (other->kind != COLLECTION_OF_COLLECTIONS || !collection_has(other, id))
                        continue;
                changed = collection_copy(other);
                collection_remove(changed, id);
                if (!put(store, changed, error))
                        return false;
        }
        return true;
}

static bool remove_file(CollectionStore *store, const char *id, GError **error) {
        g_autofree char *name = g_strconcat(id, SUFFIX, NULL);

        if ((unlinkat(store->directory, name, 0) == 0 || errno == ENOENT) &&
                        fsync(store->directory) == 0)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                        "Failed to remove the collection %s: %s", id, g_strerror(errno));
        return false;
}

bool collection_store_remove(CollectionStore *store, const char *id, GError **error) {
        bool ok;

        pthread_mutex_lock(&store->writing);
        ok = leave_others(store, id, error) && remove_file(store, id, error);
        if (ok) {
                pthread_mutex_lock(&store->lock);
                g_hash_table_remove(store->collections, id);
                pthread_mutex_unlock(&store->lock);
        }
        pthread_mutex_unlock(&store->writing);
        return ok;
}
