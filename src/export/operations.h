/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The operations of this room. */

#include "export/settings.h"
#include "jobs/operation.h"

/* What all exports have in common, of a machine and of several; and those that make a directory. */
/* clang-format off */
#define EXPORT_DIRECTORY                                                                     \
                .argument_names = "export_directory\0export_setting_data\0task\0"

#define EXPORT_OPERATION                                                                     \
                .signature = "sa{sv}",                                                       \
                .action = "org.virtask1.export",                                             \
                .gerund = "Exporting",                                                       \
                .flags = OPERATION_CANCELLABLE | OPERATION_DURABLE | OPERATION_INHIBITS | OPERATION_ENDS_WITH_US, \
                .lane = LANE_DISK,                                                           \
                .request_size = sizeof(ExportRequest),                                       \
                .request_store = export_request_store,                                       \
                .request_load = export_request_load,                                         \
                .request_clear = export_request_clear
/* clang-format on */

extern const Operation operation_export_machine;
extern const Operation operation_export_point;
extern const Operation operation_export_package;
extern const Operation operation_export_snapshot;
extern const Operation operation_import_machine;
extern const Operation operation_import_package;
