/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The reference points of a machine follow its facts, as its snapshots do. */

#include "service/reference-point.h"

#include "service/manager.h"

static ReferencePoint *point_new(VirtualMachine *vm, const SnapshotFacts *facts) {
        ReferencePoint *point = g_new0(ReferencePoint, 1);

        point->vm = vm;
        point->id = g_strdup(facts->id);
        point->path = bus_path_reference_point(vm->uuid, facts->id);
        point->facts = facts;
        return point;
}

static void point_free(void *data) {
        ReferencePoint *point = data;

        g_free(point->id);
        g_free(point->path);
        g_free(point);
}

ReferencePoint *reference_point_find(const VirtualMachine *vm, const char *id) {
        return vm->points ? g_hash_table_lookup(vm->points, id) : NULL;
}

/* Otherwise it is another one with the same ID. */
static bool is_the_same(const SnapshotFacts *a, const SnapshotFacts *b) {
        return a->created == b->created && a->consistency == b->consistency &&
               g_str_equal(a->name, b->name);
}

/* Those that are gone, owned. */
static GPtrArray *take_away(VirtualMachine *vm, const GPtrArray *before, const GPtrArray *after) {
        GPtrArray *gone = g_ptr_array_new_with_free_func(point_free);

        for (unsigned i = 0; i < before->len; i++) {
                const SnapshotFacts *old = before->pdata[i];
                const SnapshotFacts *facts = snapshot_facts_find(after, old->id);
                void *point;

                if ((!facts || !is_the_same(old, facts)) &&
                                g_hash_table_steal_extended(vm->points, old->id, NULL, &point))
                        g_ptr_array_add(gone, point);
        }
        return gone;
}

/* Those that have come. */
static GPtrArray *put_in(VirtualMachine *vm, const GPtrArray *after) {
        GPtrArray *come = g_ptr_array_new();

        if (!vm->points && after->len > 0)
                vm->points = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, point_free);
        for (unsigned i = 0; i < after->len; i++) {
                const SnapshotFacts *facts = after->pdata[i];
                ReferencePoint *point = reference_point_find(vm, facts->id);

                if (point) {
                        point->facts = facts;
                        continue;
                }
                point = point_new(vm, facts);
                g_hash_table_insert(vm->points, point->id, point);
                g_ptr_array_add(come, point);
        }
        if (vm->points && after->len == 0)
                g_clear_pointer(&vm->points, g_hash_table_destroy);
        return come;
}

uint64_t reference_point_apply_facts(VirtualMachine *vm, const MachineFacts *old) {
        g_autoptr(GPtrArray) before = old ? g_ptr_array_ref(old->points) : snapshot_facts_none();
        const GPtrArray *after = vm->facts->points;
        g_autoptr(GPtrArray) gone = NULL, come = NULL;

        if (before->len == 0 && after->len == 0)
                return 0;
        gone = take_away(vm, before, after);
        come = put_in(vm, after);
        for (unsigned i = 0; old && i < gone->len; i++)
                reference_point_emit_removed(gone->pdata[i]);
        for (unsigned i = 0; old && i < come->len; i++)
                reference_point_emit_added(come->pdata[i]);
        return gone->len + come->len > 0 ? MACHINE_PROPERTY_REFERENCE_POINTS : 0;
}

void reference_point_free_all(VirtualMachine *vm) {
        g_clear_pointer(&vm->points, g_hash_table_destroy);
}
