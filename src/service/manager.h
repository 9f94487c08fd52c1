/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The house: everything that the daemon has, and the only place that knows all of it. Loop. */

#include <systemd/sd-bus.h>

#include "bus/authorizer.h"
#include "jobs/task-list.h"
#include "service/config.h"
#include "service/file-watch.h"
#include "service/inhibitor.h"
#include "service/virtual-machine.h"

typedef enum BusKind {
        BUS_SYSTEM,
        BUS_USER,
        BUS_ADDRESS,
} BusKind;

typedef struct ManagerOptions {
        BusKind bus;
        const char *address; /* with BUS_ADDRESS */
        const char *uri;
        AuthorizerKind authorizer;
        const char *state_directory;
        Config config;
} ManagerOptions;

struct Manager {
        sd_event *event;
        sd_bus *bus;
        Mailbox *mailbox; /* workers and the libvirt event thread -> loop */
        Pool *pool;
        Backend *backend;
        PeerList *peers;
        Authorizer *authorizer;
        Inhibitor *inhibitor;
        Publisher *publisher;
        TaskList *tasks;
        GHashTable *machines;      /* uuid -> VirtualMachine, owned */
        GHashTable *missed;        /* uuids of events that came before the machines were known */
        GHashTable *refreshes;     /* uuid -> Refresh in progress, not owned */
        GHashTable *guest_queries; /* uuid -> GuestQuery in progress, not owned */
        CollectionStore *store;
        GHashTable *collections; /* id -> CollectionObject, owned */
        GHashTable *grouped;     /* "uuid/id" of a snapshot -> path of the collection of such */
        GHashTable *hard_disks;  /* path -> HardDisk, owned */
        GQueue disk_holds;       /* of HardDiskHold: hard-disk-hold.c */
        GQueue disk_lookups;     /* of Lookup: get-hard-disk.c */
        struct HardDiskReader *disk_reader;
        char *uri;
        Config config;
        Publication publication;
        FileWatch *file_watch;
        sd_event_source *reconnect;
        sd_event_source *second_look; /* after a connect */
        sd_event_source *patience;    /* with a hypervisor that does not answer at the start */
        unsigned failed_connects;
        bool connected;
        bool announced; /* the bus name is ours; before that nobody listens */
};

/* Connects to the bus, builds everything and begins to connect to the hypervisor. NULL and "error"
 * on failure. */
Manager *manager_new(sd_event *event, const ManagerOptions *options, GError **error);

/* Only while no worker works. Threads, mailbox and backend stay: libvirt's event thread may still
 * post. */
Manager *manager_free(Manager *manager);

VirtualMachine *manager_find_machine(Manager *manager, const char *uuid);

/* Exact name, then name without case, then UUID; NULL if there is none. */
VirtualMachine *manager_find_machine_by_name(Manager *manager, const char *name_or_uuid);

/* Machines by name; free the list, not the machines. */
GPtrArray *manager_list_machines(Manager *manager);

/* The one door for what is known of a machine: makes it, changes it, or takes it away ("facts"
 * NULL). Takes "facts". */
void manager_apply_facts(Manager *manager, const char *uuid, MachineFacts *facts);

/* Has the facts of the machine read anew. */
void manager_refresh(Manager *manager, const char *uuid);

/* manager-tasks.c; with the manager as userdata */
extern const TaskHooks manager_task_hooks;

/* manager-dbus.c */
int manager_publish(Manager *manager);
void manager_emit_task_completed(Manager *manager, const Task *task);
void manager_emit_vm_state_change(Manager *manager, const VirtualMachine *vm, MachineState state);
void manager_touch(Manager *manager, uint64_t mask);

enum {
        MANAGER_PROPERTY_CONNECTED = 1 << 0,
        MANAGER_PROPERTY_TASKS = 1 << 1,
        MANAGER_PROPERTY_VIRTUAL_MACHINES = 1 << 2,
};

extern const PublishedProperty manager_properties[];
