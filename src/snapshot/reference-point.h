/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The requests of operations that make reference points, of a machine's and of a collection's; see
 * docs/decisions/0014. */

#include "jobs/operation.h"
#include "snapshot/creation.h"

/* The ReferencePointType of all that there are: by the changes that are tracked. */
#define REFERENCE_POINT_TYPE_TRACKED 2

/* Reads the type and the settings of CreateReferencePoint, as the request of a snapshot of the type
 * SNAPSHOT_TYPE_REFERENCE_POINT. NOT_SUPPORTED for log based ones. Loop. */
bool reference_point_request_read(sd_bus_message *call, SnapshotRequest *request, GError **error);

/* The request of ConvertToReferencePoint. */
typedef struct ConvertRequest {
        Request common;
        uint32_t consistency; /* that it must have at least; 0: any */
        bool of_group;        /* a saved machine in a group of recovery snapshots has a full one */
} ConvertRequest;

/* Reads the settings of it. Loop. */
bool convert_request_read(sd_bus_message *call, void *request, GError **error);
