/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every operation has its row here. The methods on the bus, their permissions, the states that
 * allow them and what the ledger can take up again all follow from it. */

#include "service/operations.h"

#include "collection/operations.h"
#include "export/operations.h"
#include "guest/operations.h"
#include "harddisk/operations.h"
#include "lifecycle/operations.h"
#include "snapshot/operations.h"
#include "undo/operations.h"

const Operation *const operations[] = {
                &operation_startup,
                &operation_startup2,
                &operation_save,
                &operation_turn_off,
                &operation_reset,
                &operation_pause,
                &operation_resume,
                &operation_discard_saved_state,
                &operation_set_name,
                &operation_set_notes,
                &operation_set_undoable,
                &operation_set_undo_action,
                &operation_discard_undo_disks,
                &operation_merge_undo_disks,
                &operation_apply_undo_action,
                &operation_register,
                &operation_unregister,
                &operation_delete,
                &operation_guest_shutdown,
                &operation_guest_restart,
                &operation_guest_logoff,
                &operation_snapshot_create,
                &operation_snapshot_apply,
                &operation_snapshot_destroy,
                &operation_snapshot_destroy_tree,
                &operation_snapshot_clear_state,
                &operation_snapshot_rename,
                &operation_snapshot_convert,
                &operation_reference_point_create,
                &operation_reference_point_destroy,
                &operation_reference_point_remove_data,
                &operation_export_machine,
                &operation_export_package,
                &operation_export_snapshot,
                &operation_export_point,
                &operation_import_machine,
                &operation_import_package,
                &operation_create_dynamic,
                &operation_create_fixed,
                &operation_create_differencing,
                &operation_disk_convert,
                &operation_disk_merge_to,
                &operation_collection_define,
                &operation_collection_add_member,
                &operation_collection_remove_member,
                &operation_collection_rename,
                &operation_collection_destroy,
                &operation_collection_snapshot,
                &operation_group_apply,
                &operation_group_destroy,
                &operation_group_export,
                &operation_group_rename,
                &operation_group_convert,
                &operation_collection_point,
                &operation_point_group_destroy,
                &operation_point_group_remove_data,
                &operation_point_group_export,
                NULL,
};
