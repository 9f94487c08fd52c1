/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What every file of the tool needs: cleanup attributes, and allocation that ends the program when
 * there is no memory. The tool holds no state that an early end could damage: tasks belong to the
 * service. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define SERVICE_NAME                    "org.virtask1"
#define SERVICE_PATH                    "/org/virtask1"
#define MANAGER_PATH                    "/org/virtask1/manager"
#define TASK_PATH_PREFIX                "/org/virtask1/task/"
#define MACHINE_PATH_PREFIX             "/org/virtask1/vm/"
#define COLLECTION_PATH_PREFIX          "/org/virtask1/collection/"
#define COLLECTION_SNAPSHOT_PATH_PREFIX "/org/virtask1/snapshotcollection/"
#define MANAGER_INTERFACE               "org.virtask1.Manager"
#define TASK_INTERFACE                  "org.virtask1.Task"
#define MACHINE_INTERFACE               "org.virtask1.VirtualMachine"
#define GUEST_INTERFACE                 "org.virtask1.GuestOS"
#define SNAPSHOT_INTERFACE              "org.virtask1.Snapshot"
#define SNAPSHOTS_INTERFACE             "org.virtask1.SnapshotService"
#define POINT_INTERFACE                 "org.virtask1.ReferencePoint"
#define POINTS_INTERFACE                "org.virtask1.ReferencePointService"
#define COLLECTION_INTERFACE            "org.virtask1.Collection"
#define COLLECTION_SNAPSHOT_INTERFACE   "org.virtask1.SnapshotCollection"
#define PROPERTIES_INTERFACE            "org.freedesktop.DBus.Properties"
#define OBJECTS_INTERFACE               "org.freedesktop.DBus.ObjectManager"

/* SnapshotType and ConsistencyLevel of the contract. */
#define SNAPSHOT_TYPE_FULL      2
#define SNAPSHOT_TYPE_DISKS     3
#define SNAPSHOT_TYPE_RECOVERY  32768
#define CONSISTENCY_APPLICATION 1
#define CONSISTENCY_CRASH       2

/* Type of Collection, snapshot_type of its CreateSnapshot. */
#define COLLECTION_TYPE_MACHINES     0
#define COLLECTION_TYPE_COLLECTIONS  1
#define COLLECTION_SNAPSHOT_STANDARD 1
#define COLLECTION_SNAPSHOT_RECOVERY 2

#define USEC_PER_SEC  UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)

#define _cleanup_(function) __attribute__((cleanup(function)))
#define _cleanup_free_      _cleanup_(freep)
#define _printf_(a, b)      __attribute__((format(printf, a, b)))

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* Hands an owned pointer over: the variable is NULL afterwards. */
#define STEAL_POINTER(pointer)                                                                     \
        ({                                                                                         \
                typeof(pointer) stolen_ = (pointer);                                               \
                (pointer) = NULL;                                                                  \
                stolen_;                                                                           \
        })

static inline void freep(void *pointer) {
        free(*(void **) pointer);
}

void *xcalloc(size_t count, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t length);
char *xasprintf(const char *format, ...) _printf_(1, 2);

/* Replaces an owned string; @value may be NULL. */
void string_replace(char **string, const char *value);

/* Room for one more element behind the @count that @array holds. */
void *array_grow(void *array, size_t count, size_t size);

/* CLOCK_REALTIME, as all times of the service, and CLOCK_MONOTONIC for durations of our own. */
uint64_t now_realtime(void);
uint64_t now_monotonic(void);
