/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The snapshots of a machine follow its facts: whoever made, changed or removed one, the facts are
 * read anew, and what is different from those before is announced here. Everything is in its new
 * place before the first signal leaves, because signals are made by getters that look around. */

#include "service/snapshot.h"

#include "service/manager.h"

#define INTERFACE "org.virtask1.Snapshot"

static const PublishedProperty snapshot_properties[] = {
                {INTERFACE, "Name"},
                {INTERFACE, "Parent"},
                {INTERFACE, "Children"},
                {INTERFACE, "HasSavedState"},
                {INTERFACE, "IsCurrent"},
                {INTERFACE, "Notes"},
                {INTERFACE, "SnapshotCollection"},
                {NULL, NULL},
};

static Snapshot *snapshot_new(VirtualMachine *vm, const SnapshotFacts *facts) {
        Snapshot *snapshot = g_new0(Snapshot, 1);

        snapshot->vm = vm;
        snapshot->id = g_strdup(facts->id);
        snapshot->path = bus_path_snapshot(vm->uuid, facts->id);
        snapshot->facts = facts;
        snapshot->children = g_ptr_array_new();
        publication_init(&snapshot->publication, vm->manager->publisher, snapshot->path,
                        snapshot_properties);
        return snapshot;
}

static void snapshot_free(void *data) {
        Snapshot *snapshot = data;

        publication_clear(&snapshot->publication);
        g_ptr_array_unref(snapshot->children);
        g_free(snapshot->id);
        g_free(snapshot->path);
        g_free(snapshot);
}

Snapshot *snapshot_find(const VirtualMachine *vm, const char *id) {
        return vm->snapshots && id ? g_hash_table_lookup(vm->snapshots, id) : NULL;
}

/* From the facts before to those after */

typedef struct Change {
        VirtualMachine *vm;
        const GPtrArray *before, *after; /* of SnapshotFacts */
        GHashTable *before_by_id, *after_by_id;
        GPtrArray *gone; /* of Snapshot, owned, children first */
        GPtrArray *come; /* of Snapshot, parents first */
} Change;

static GHashTable *index_by_id(const GPtrArray *all) {
        GHashTable *index = g_hash_table_new(g_str_hash, g_str_equal);

        for (unsigned i = 0; i < all->len; i++)
                g_hash_table_insert(index, ((SnapshotFacts *) all->pdata[i])->id, all->pdata[i]);
        return index;
}

static void change_clear(Change *change) {
        g_hash_table_destroy(change->before_by_id);
        g_hash_table_destroy(change->after_by_id);
        g_ptr_array_unref(change->gone);
        g_ptr_array_unref(change->come);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Change, change_clear)

/* What never changes as long as an object lives; otherwise it is another snapshot with the same ID.
 */
static bool is_the_same(const SnapshotFacts *a, const SnapshotFacts *b) {
        return a->created == b->created && a->type == b->type && a->consistency == b->consistency;
}

static void take_away(Change *change) {
        for (unsigned i = change->before->len; i-- > 0;) {
                const SnapshotFacts *old = change->before->pdata[i];
                const SnapshotFacts *facts = g_hash_table_lookup(change->after_by_id, old->id);
                void *snapshot;

                if (facts && is_the_same(old, facts))
                        continue;
                if (g_hash_table_steal_extended(change->vm->snapshots, old->id, NULL, &snapshot))
                        g_ptr_array_add(change->gone, snapshot);
        }
}

static void put_in(Change *change) {
        VirtualMachine *vm = change->vm;

        if (!vm->snapshots && change->after->len > 0)
                vm->snapshots = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, snapshot_free);
        for (unsigned i = 0; i < change->after->len; i++) {
                const SnapshotFacts *facts = change->after->pdata[i];
                Snapshot *snapshot = snapshot_find(vm, facts->id);

                if (snapshot) {
                        snapshot->facts = facts;
                        continue;
                }
                snapshot = snapshot_new(vm, facts);
                g_hash_table_insert(vm->snapshots, snapshot->id, snapshot);
                g_ptr_array_add(change->come, snapshot);
        }
        if (vm->snapshots && change->after->len == 0)
                g_clear_pointer(&vm->snapshots, g_hash_table_destroy);
}

static void link_families(const Change *change) {
        for (unsigned i = 0; i < change->after->len; i++) {
                const SnapshotFacts *facts = change->after->pdata[i];
                Snapshot *snapshot = snapshot_find(change->vm, facts->id);

                snapshot->parent = snapshot_find(change->vm, facts->parent);
                g_ptr_array_set_size(snapshot->children, 0);
                if (snapshot->parent) /* which came before it, and has been emptied */
                        g_ptr_array_add(snapshot->parent->children, snapshot);
        }
}

/* A parent that comes with its child has told of it already. */
static void touch_parent(const Change *change, const SnapshotFacts *child) {
        Snapshot *parent = snapshot_find(change->vm, child->parent);

        if (parent && g_hash_table_contains(change->before_by_id, parent->id))
                publication_touch(&parent->publication, SNAPSHOT_PROPERTY_CHILDREN);
}

static void touch_changed(const Change *change, const SnapshotFacts *old) {
        Snapshot *snapshot = snapshot_find(change->vm, old->id);
        const SnapshotFacts *facts = snapshot ? snapshot->facts : NULL;
        uint64_t mask = 0;

        if (!facts || !is_the_same(old, facts))
                return;
        if (!g_str_equal(old->name, facts->name))
                mask |= SNAPSHOT_PROPERTY_NAME;
        if (g_strcmp0(old->notes, facts->notes) != 0)
                mask |= SNAPSHOT_PROPERTY_NOTES;
        if (old->has_memory != facts->has_memory)
                mask |= SNAPSHOT_PROPERTY_HAS_SAVED_STATE;
        if (old->current != facts->current)
                mask |= SNAPSHOT_PROPERTY_IS_CURRENT;
        if (g_strcmp0(old->parent, facts->parent) != 0) {
                mask |= SNAPSHOT_PROPERTY_PARENT;
                touch_parent(change, old);
                touch_parent(change, facts);
        }
        publication_touch(&snapshot->publication, mask);
}

static void announce(const Change *change) {
        for (unsigned i = 0; i < change->gone->len; i++) {
                Snapshot *snapshot = change->gone->pdata[i];

                snapshot_emit_removed(snapshot);
                touch_parent(change, g_hash_table_lookup(change->before_by_id, snapshot->id));
        }
        for (unsigned i = 0; i < change->come->len; i++) {
                Snapshot *snapshot = change->come->pdata[i];

                snapshot_emit_added(snapshot);
                touch_parent(change, snapshot->facts);
        }
        for (unsigned i = 0; i < change->before->len; i++)
                touch_changed(change, change->before->pdata[i]);
}

static bool lists_differ(const GPtrArray *before, const GPtrArray *after) {
        if (before->len != after->len)
                return true;
        for (unsigned i = 0; i < before->len; i++) {
                const SnapshotFacts *old = before->pdata[i], *facts = after->pdata[i];

                if (!g_str_equal(old->id, facts->id))
                        return true;
        }
        return false;
}

static const char *current_id(const GPtrArray *all) {
        const SnapshotFacts *current = snapshot_facts_current(all);

        return current ? current->id : NULL;
}

static void apply(VirtualMachine *vm, const GPtrArray *before, bool tell) {
        const GPtrArray *after = vm->facts->snapshots;
        g_auto(Change) change = {
                        .vm = vm,
                        .before = before,
                        .after = after,
                        .before_by_id = index_by_id(before),
                        .after_by_id = index_by_id(after),
                        .gone = g_ptr_array_new_with_free_func(snapshot_free),
                        .come = g_ptr_array_new(),
        };

        take_away(&change);
        put_in(&change);
        link_families(&change);
        if (tell)
                announce(&change);
}

uint64_t snapshot_apply_facts(VirtualMachine *vm, const MachineFacts *old) {
        g_autoptr(GPtrArray) before = old ? g_ptr_array_ref(old->snapshots) : snapshot_facts_none();
        const GPtrArray *after = vm->facts->snapshots;
        uint64_t mask = 0;

        if (before->len == 0 && after->len == 0)
                return 0;
        apply(vm, before, old);
        if (lists_differ(before, after))
                mask |= MACHINE_PROPERTY_SNAPSHOTS;
        if (g_strcmp0(current_id(before), current_id(after)) != 0)
                mask |= MACHINE_PROPERTY_CURRENT_SNAPSHOT;
        return mask;
}

void snapshot_free_all(VirtualMachine *vm) {
        g_clear_pointer(&vm->snapshots, g_hash_table_destroy);
}

void snapshot_flush_all(VirtualMachine *vm) {
        const GPtrArray *all = vm->facts->snapshots;

        for (unsigned i = 0; i < all->len; i++) {
                Snapshot *snapshot = snapshot_find(vm, ((SnapshotFacts *) all->pdata[i])->id);

                if (snapshot && snapshot->publication.dirty)
                        publication_flush(&snapshot->publication);
        }
}
