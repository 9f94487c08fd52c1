/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Object paths from identifiers and back. */

#include <stdbool.h>
#include <stdint.h>

#define BUS_NAME     "org.virtask1"
#define BUS_ROOT     "/org/virtask1"
#define PATH_MANAGER BUS_ROOT "/manager"
#define PATH_TASKS   BUS_ROOT "/task"
#define PATH_VMS     BUS_ROOT "/vm"

#define PATH_COLLECTIONS                 BUS_ROOT "/collection"
#define PATH_SNAPSHOT_COLLECTIONS        BUS_ROOT "/snapshotcollection"
#define PATH_REFERENCE_POINT_COLLECTIONS BUS_ROOT "/referencepointcollection"

#define PATH_HARD_DISKS BUS_ROOT "/harddisk"

/* Below the path of a machine: where its snapshots and its reference points are. */
#define PATH_OF_SNAPSHOTS        "/snapshot"
#define PATH_OF_REFERENCE_POINTS "/referencepoint"

#define UUID_STRING_SIZE 37 /* with the final 0, as VIR_UUID_STRING_BUFLEN */

/* "/org/virtask1/task/17" */
char *bus_path_task(uint32_t id);

/* "/org/virtask1/vm/_e2c0…": dashes become underscores. */
char *bus_path_machine(const char *uuid);

/* "/org/virtask1/vm/_e2c0…/snapshot/s1_2e0": what is no letter or digit is "_" and its code. */
char *bus_path_snapshot(const char *uuid, const char *id);

/* The same with "referencepoint". */
char *bus_path_reference_point(const char *uuid, const char *id);

/* "/org/virtask1/collection/_e2c0…", "/org/virtask1/snapshotcollection/_e2c0…" and
 * "/org/virtask1/referencepointcollection/_e2c0…" */
char *bus_path_collection(const char *id);
char *bus_path_snapshot_collection(const char *id);
char *bus_path_reference_point_collection(const char *id);

/* "/org/virtask1/harddisk/2c26b46b68ffc68ff99b453c1d304134": the same for the same file, an
 * absolute path without links, on every host. */
char *bus_path_hard_disk(const char *file);

/* The other way round; false for anything that the functions above would not have made. */
bool bus_path_to_task(const char *path, uint32_t *ret_id);
bool bus_path_to_machine(const char *path, char ret_uuid[static UUID_STRING_SIZE]);
bool bus_path_to_collection(const char *path, char ret_id[static UUID_STRING_SIZE]);
bool bus_path_to_snapshot_collection(const char *path, char ret_id[static UUID_STRING_SIZE]);
bool bus_path_to_reference_point_collection(const char *path, char ret_id[static UUID_STRING_SIZE]);
bool bus_path_to_snapshot(const char *path, char ret_uuid[static UUID_STRING_SIZE], char **ret_id);
bool bus_path_to_reference_point(
                const char *path, char ret_uuid[static UUID_STRING_SIZE], char **ret_id);
