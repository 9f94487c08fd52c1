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

#define PATH_COLLECTIONS          BUS_ROOT "/collection"
#define PATH_SNAPSHOT_COLLECTIONS BUS_ROOT "/snapshotcollection"

/* Below the path of a machine: where its snapshots are. */
#define PATH_OF_SNAPSHOTS "/snapshot"

#define UUID_STRING_SIZE 37 /* with the final 0, as VIR_UUID_STRING_BUFLEN */

/* "/org/virtask1/task/17" */
char *bus_path_task(uint32_t id);

/* "/org/virtask1/vm/_e2c0…": dashes become underscores. */
char *bus_path_machine(const char *uuid);

/* "/org/virtask1/vm/_e2c0…/snapshot/s1_2e0": what is no letter or digit is "_" and its code. */
char *bus_path_snapshot(const char *uuid, const char *id);

/* "/org/virtask1/collection/_e2c0…" and "/org/virtask1/snapshotcollection/_e2c0…" */
char *bus_path_collection(const char *id);
char *bus_path_snapshot_collection(const char *id);

/* The other way round; false for anything that the functions above would not have made. */
bool bus_path_to_task(const char *path, uint32_t *ret_id);
bool bus_path_to_machine(const char *path, char ret_uuid[static UUID_STRING_SIZE]);
bool bus_path_to_collection(const char *path, char ret_id[static UUID_STRING_SIZE]);
bool bus_path_to_snapshot_collection(const char *path, char ret_id[static UUID_STRING_SIZE]);
bool bus_path_to_snapshot(const char *path, char ret_uuid[static UUID_STRING_SIZE], char **ret_id);
