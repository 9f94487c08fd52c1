/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reads the snapshots of a domain: what libvirt's description of each says, and what we have noted
 * beside it. None of the questions waits for a job of the domain. Most machines have no snapshots,
 * which takes one question to find out. */

#include "backend/snapshot-facts.h"

#include <errno.h>
#include <libvirt/virterror.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend-error.h"
#include "backend/backend.h"
#include "backend/saved-image.h"
#include "backend/snapshot-metadata.h"
#include "backend/xml.h"
#include "util/error.h"
#include "util/log.h"
#include "util/number.h"

#define TYPE_FULL  2
#define TYPE_DISKS 3

static void facts_of_one_free(void *data) {
        SnapshotFacts *facts = data;

        if (!facts)
                return;
        g_free(facts->id);
        g_free(facts->name);
        g_free(facts->notes);
        g_free(facts->parent);
        g_strfreev(facts->targets);
        g_free(facts->memory_file);
        g_free(facts);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SnapshotFacts, facts_of_one_free)

GPtrArray *snapshot_facts_none(void) {
        static GPtrArray *none;

        if (g_once_init_enter(&none))
                g_once_init_leave(&none, g_ptr_array_new());
        return g_ptr_array_ref(none);
}

const SnapshotFacts *snapshot_facts_find(const GPtrArray *all, const char *id) {
        for (unsigned i = 0; i < all->len; i++) {
                const SnapshotFacts *facts = all->pdata[i];

                if (g_str_equal(facts->id, id))
                        return facts;
        }
        return NULL;
}

const SnapshotFacts *snapshot_facts_current(const GPtrArray *all) {
        for (unsigned i = 0; i < all->len; i++) {
                const SnapshotFacts *facts = all->pdata[i];

                if (facts->current)
                        return facts;
        }
        return NULL;
}

static gint64 read_time(const xmlNode *root) {
        g_autofree char *text = xml_child_text(root, "creationTime");
        uint64_t seconds = 0;

        if (text)
                (void) number_parse(text, 0, INT64_MAX / G_USEC_PER_SEC, &seconds);
        return (gint64) seconds * G_USEC_PER_SEC;
}

/* A file that we may not look at is one that is there. */
static bool is_missing(const char *path) {
        return access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* How the memory was stored decides what the snapshot is; whether it still is there is another
 * question. */
static void read_memory(SnapshotFacts *facts, const xmlNode *root) {
        xmlNode *memory = xml_child(root, "memory");
        g_autofree char *kind = xml_attribute(memory, "snapshot");
        g_autofree char *file = xml_attribute(memory, "file");
        g_autofree char *state = xml_child_text(root, "state");
        bool active = g_strcmp0(state, "running") == 0 || g_strcmp0(state, "paused") == 0;
        bool external = g_strcmp0(kind, "external") == 0;
        bool internal = kind ? g_str_equal(kind, "internal") : active; /* NULL before 1.0.1 */

        facts->type = external || internal ? TYPE_FULL : TYPE_DISKS;
        facts->external = external;
        facts->has_memory = internal;
        if (!external || !file || is_missing(file))
                return;
        facts->memory_file = g_steal_pointer(&file);
        facts->has_memory = true;
}

static void read_disks(SnapshotFacts *facts, const xmlNode *root) {
        xmlNode *disks = xml_child(root, "disks");
        g_autoptr(GPtrArray) targets = g_ptr_array_new_with_free_func(g_free);

        for (xmlNode *disk = disks ? disks->children : NULL; disk; disk = disk->next) {
                g_autofree char *kind =
                                xml_is(disk, "disk") ? xml_attribute(disk, "snapshot") : NULL;

                if (g_strcmp0(kind, "external") == 0)
                        g_ptr_array_add(targets, xml_attribute(disk, "name"));
        }
        if (targets->len == 0)
                return;
        facts->external = true;
        g_ptr_array_add(targets, NULL);
        facts->targets = (char **) g_ptr_array_steal(targets, NULL);
}

static SnapshotFacts *from_xml(const char *text) {
        g_autoptr(xmlDoc) document = xml_parse(text);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        g_autoptr(SnapshotFacts) facts = g_new0(SnapshotFacts, 1);

        facts->id = xml_child_text(root, "name");
        if (!facts->id)
                return NULL;
        facts->name = g_strdup(facts->id);
        facts->notes = xml_child_text(root, "description");
        facts->parent = xml_child_text(xml_child(root, "parent"), "name");
        facts->created = read_time(root);
        read_memory(facts, root);
        read_disks(facts, root);
        return g_steal_pointer(&facts);
}

/* A snapshot of a saved machine has a copy of its saved state; libvirt does not know of it. */
static void find_copied_memory(SnapshotFacts *facts,
                virDomainSnapshotPtr snapshot,
                const SnapshotMetadata *entry) {
        g_autofree char *path = NULL;

        if (!facts->external || facts->has_memory || !entry || entry->type != TYPE_FULL)
                return;
        path = saved_image_path_of_snapshot(
                        virDomainSnapshotGetDomain(snapshot), facts->id, "memory");
        if (!path || access(path, F_OK) < 0)
                return;
        facts->memory_file = g_steal_pointer(&path);
        facts->has_memory = true;
        facts->type = TYPE_FULL;
}

static void replace_text(char **text, const char *other) {
        if (!other)
                return;
        g_free(*text);
        *text = g_strdup(other);
}

static void add_metadata(SnapshotFacts *facts, const SnapshotMetadata *entry) {
        if (!entry)
                return;
        replace_text(&facts->name, entry->name);
        replace_text(&facts->notes, entry->notes);
        if (entry->type)
                facts->type = entry->type;
        facts->consistency = entry->consistency;
}

/* One that can't be read, because it vanishes meanwhile, is left out; only if nothing can be read
 * any more the reading has failed. */
static bool
read_one(GPtrArray *all, virDomainSnapshotPtr snapshot, const GPtrArray *metadata, GError **error) {
        char *text = virDomainSnapshotGetXMLDesc(snapshot, 0);
        SnapshotFacts *facts = text ? from_xml(text) : NULL;
        g_autoptr(GError) cause = NULL;

        free(text);
        if (facts) {
                find_copied_memory(facts, snapshot, snapshot_metadata_find(metadata, facts->id));
                add_metadata(facts, snapshot_metadata_find(metadata, facts->id));
                g_ptr_array_add(all, facts);
                return true;
        }
        backend_error_set(&cause, "Failed to read the snapshot '%s'",
                        virDomainSnapshotGetName(snapshot));
        if (g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE)) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return false;
        }
        log_debug("%s", cause->message);
        return true;
}

/* One question and not one for each. */
static void mark_current(virDomainPtr domain, const GPtrArray *all) {
        g_autoptr(virDomainSnapshot) current = NULL;

        if (virDomainHasCurrentSnapshot(domain, 0) == 1)
                current = virDomainSnapshotCurrent(domain, 0);
        for (unsigned i = 0; current && i < all->len; i++) {
                SnapshotFacts *facts = all->pdata[i];

                facts->current = g_str_equal(facts->id, virDomainSnapshotGetName(current));
        }
}

typedef struct Rank {
        gint64 time;    /* of its creation, but never before that of its parent */
        unsigned depth; /* below the root: libvirt knows the second only, in which much may happen
                         */
        SnapshotFacts *facts;
} Rank;

static int compare_ranks(const void *a, const void *b, void *userdata) {
        const Rank *x = a, *y = b;

        if (x->time != y->time)
                return x->time < y->time ? -1 : 1;
        if (x->depth != y->depth)
                return x->depth < y->depth ? -1 : 1;
        return strcmp(x->facts->id, y->facts->id);
}

/* libvirt's order has parents first. Sorted by the time of creation they stay so, also if the clock
 * was set back in between. */
static void sort(GPtrArray *all) {
        g_autoptr(GHashTable) by_id = g_hash_table_new(g_str_hash, g_str_equal);
        g_autofree Rank *ranks = g_new(Rank, all->len);

        for (unsigned i = 0; i < all->len; i++) {
                SnapshotFacts *facts = all->pdata[i];
                const Rank *parent =
                                facts->parent ? g_hash_table_lookup(by_id, facts->parent) : NULL;

                ranks[i] = (Rank){facts->created, 0, facts};
                if (parent) {
                        ranks[i].time = MAX(parent->time, facts->created);
                        ranks[i].depth = parent->depth + 1;
                }
                g_hash_table_insert(by_id, facts->id, &ranks[i]);
        }
        g_qsort_with_data(ranks, (int) all->len, sizeof(Rank), compare_ranks, NULL);
        for (unsigned i = 0; i < all->len; i++)
                all->pdata[i] = ranks[i].facts;
}

static GPtrArray *read_all(
                virDomainPtr domain, virDomainSnapshotPtr *snapshots, unsigned n, GError **error) {
        g_autoptr(GPtrArray) all = g_ptr_array_new_full(n, facts_of_one_free);
        g_autoptr(GPtrArray) metadata = snapshot_metadata_read(domain, NULL) ?: g_ptr_array_new();

        for (unsigned i = 0; i < n; i++)
                if (!read_one(all, snapshots[i], metadata, error))
                        return NULL;
        mark_current(domain, all);
        sort(all);
        return g_steal_pointer(&all);
}

/* Reference points */

static bool is_point(const SnapshotFacts *facts) {
        return facts->type == SNAPSHOT_TYPE_REFERENCE_POINT;
}

/* The first that is no reference point, from "id" upwards; NULL if there is none. */
static const char *nearest(GHashTable *by_id, const char *id) {
        const SnapshotFacts *facts = id ? g_hash_table_lookup(by_id, id) : NULL;

        while (facts && is_point(facts)) {
                id = facts->parent;
                facts = id ? g_hash_table_lookup(by_id, id) : NULL;
        }
        return id;
}

static GHashTable *index_by_id(const GPtrArray *all) {
        GHashTable *index = g_hash_table_new(g_str_hash, g_str_equal);

        for (unsigned i = 0; i < all->len; i++)
                g_hash_table_insert(index, ((SnapshotFacts *) all->pdata[i])->id, all->pdata[i]);
        return index;
}

/* The parents of reference points last: they are the way up. */
static void lift_parents(GHashTable *by_id, const GPtrArray *all, bool of_points) {
        for (unsigned i = all->len; i-- > 0;) {
                SnapshotFacts *facts = all->pdata[i];
                char *parent;

                if (is_point(facts) != of_points)
                        continue;
                parent = g_strdup(nearest(by_id, facts->parent));
                g_free(facts->parent);
                facts->parent = parent;
        }
}

static void lift_current(GHashTable *by_id, const GPtrArray *all) {
        SnapshotFacts *current = (SnapshotFacts *) snapshot_facts_current(all);
        const char *id = current ? nearest(by_id, current->id) : NULL;
        SnapshotFacts *above = id ? g_hash_table_lookup(by_id, id) : NULL;

        if (current)
                current->current = false;
        if (above)
                above->current = true;
}

/* Takes the list. */
static void divide(GPtrArray *all, GPtrArray **ret_snapshots, GPtrArray **ret_points) {
        g_autoptr(GHashTable) by_id = index_by_id(all);
        g_autoptr(GPtrArray) points = g_ptr_array_new_with_free_func(facts_of_one_free);

        lift_current(by_id, all);
        lift_parents(by_id, all, false);
        lift_parents(by_id, all, true);
        for (unsigned i = 0; i < all->len;)
                if (is_point(all->pdata[i]))
                        g_ptr_array_add(points, g_ptr_array_steal_index(all, i));
                else
                        i++;
        *ret_snapshots = all;
        *ret_points = points->len > 0 ? g_steal_pointer(&points) : snapshot_facts_none();
}

static bool has_points(const GPtrArray *all) {
        for (unsigned i = 0; i < all->len; i++)
                if (is_point(all->pdata[i]))
                        return true;
        return false;
}

/* A driver without snapshots has none. */
static GPtrArray *list_failed(virDomainPtr domain, GError **error) {
        if (virGetLastErrorCode() == VIR_ERR_NO_SUPPORT)
                return snapshot_facts_none();
        backend_error_set(error, "Failed to list the snapshots of '%s'", virDomainGetName(domain));
        return NULL;
}

static GPtrArray *list(virDomainPtr domain, GError **error) {
        virDomainSnapshotPtr *snapshots = NULL;
        GPtrArray *all;
        int n = virDomainSnapshotNum(domain, 0);

        if (n > 0)
                n = virDomainListAllSnapshots(
                                domain, &snapshots, VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL);
        if (n < 0)
                return list_failed(domain, error);
        all = n > 0 ? read_all(domain, snapshots, (unsigned) n, error) : snapshot_facts_none();
        for (int i = 0; i < n; i++)
                (void) virDomainSnapshotFree(snapshots[i]);
        free(snapshots);
        return all;
}

bool snapshot_facts_read(virDomainPtr domain,
                GPtrArray **ret_snapshots,
                GPtrArray **ret_points,
                GError **error) {
        GPtrArray *all = list(domain, error);

        if (!all)
                return false;
        if (has_points(all)) {
                divide(all, ret_snapshots, ret_points);
                return true;
        }
        *ret_snapshots = all;
        *ret_points = snapshot_facts_none();
        return true;
}
