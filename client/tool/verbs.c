/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The command table. It drives the dispatch in main.c, the check of options and arguments, the help
 * text and completion: a new command is one row here and one function. */

#include <string.h>

#include "verbs.h"

#define MACHINE             VERB_ARGUMENT_MACHINE
#define SNAPSHOT            VERB_ARGUMENT_SNAPSHOT
#define POINT               VERB_ARGUMENT_POINT
#define COLLECTION          VERB_ARGUMENT_COLLECTION
#define NEW_COLLECTION      VERB_ARGUMENT_NEW_COLLECTION
#define NEW_MEMBER          VERB_ARGUMENT_NEW_MEMBER
#define MEMBER              VERB_ARGUMENT_MEMBER
#define COLLECTION_SNAPSHOT VERB_ARGUMENT_COLLECTION_SNAPSHOT
#define TASK                VERB_ARGUMENT_TASK
#define NONE                VERB_ARGUMENT_NONE

#define GUEST_OPTIONS (OPTION_WITHIN | OPTION_QUEUE)

#define SNAPSHOT_OPTIONS                                                                           \
        (OPTION_DISKS_ONLY | OPTION_RECOVERY | OPTION_QUIESCE | OPTION_NOTES |                     \
                        OPTION_IGNORE_DISKS | OPTION_QUEUE)

#define POINT_OPTIONS        (OPTION_QUIESCE | OPTION_IGNORE_DISKS | OPTION_QUEUE)
#define POINT_EXPORT_OPTIONS (OPTION_SINCE | OPTION_NO_SUBDIRECTORY | OPTION_QUEUE)

#define EXPORT_OPTIONS                                                                             \
        (OPTION_SETTING | OPTION_NO_SNAPSHOTS | OPTION_SNAPSHOT | OPTION_SINCE | OPTION_LIVE |     \
                        OPTION_EXCLUDE | OPTION_NO_STORAGE | OPTION_NO_RUNTIME |                   \
                        OPTION_NO_SUBDIRECTORY | OPTION_QUEUE)

#define IMPORT_OPTIONS                                                                             \
        (OPTION_BASE | OPTION_NAME | OPTION_NEW_IDENTIFIER | OPTION_STORAGE | OPTION_VALIDATE)

#define COLLECTION_SNAPSHOT_OPTIONS                                                                \
        (OPTION_RECOVERY | OPTION_QUIESCE | OPTION_NOTES | OPTION_IGNORE_DISKS | OPTION_QUEUE)

/* clang-format off */
const Verb verbs[] = {
        {"Machines",         "list",                       "",                                "Show all machines (the default)",                    NONE,                      0, 0,  0,                                                true,  cmd_list},
        {NULL,               "show",                       "VM [-p NAME] [--value]",          "Show one machine, or some of its properties",        MACHINE,                   1, 1,  OPTION_PROPERTY | OPTION_VALUE,                   true,  cmd_show},
        {NULL,               "start",                      "VM... [--paused] [--force-boot]", "Start, from the saved state if there is one",        MACHINE,                   1, -1, OPTION_PAUSED | OPTION_FORCE_BOOT | OPTION_QUEUE, true,  cmd_control_task},
        {NULL,               "save",                       "VM... [--bypass-cache]",          "Save memory to disk and turn off",                   MACHINE,                   1, -1, OPTION_BYPASS_CACHE | OPTION_QUEUE,               true,  cmd_control_task},
        {NULL,               "restore",                    "VM... [--paused]",                "Start from the saved state, which must exist",       MACHINE,                   1, -1, OPTION_PAUSED | OPTION_QUEUE,                     true,  cmd_control_task},
        {NULL,               "shutdown",                   "VM... [--force] [--within=S]",    "Have the guest shut down",                           MACHINE,                   1, -1, GUEST_OPTIONS | OPTION_FORCE,                     true,  cmd_guest},
        {NULL,               "reboot",                     "VM... [--force] [--within=S]",    "Have the guest restart",                             MACHINE,                   1, -1, GUEST_OPTIONS | OPTION_FORCE,                     true,  cmd_guest},
        {NULL,               "logoff",                     "VM... [--within=S]",              "Log off all users of the guest",                     MACHINE,                   1, -1, GUEST_OPTIONS,                                    true,  cmd_guest},
        {NULL,               "poweroff",                   "VM... [--force]",                 "Cut the power",                                      MACHINE,                   1, -1, OPTION_FORCE | OPTION_QUEUE,                      true,  cmd_control_task},
        {NULL,               "reset",                      "VM...",                           "Press the reset button",                             MACHINE,                   1, -1, OPTION_QUEUE,                                     true,  cmd_control_task},
        {NULL,               "suspend",                    "VM...",                           "Stop the processors; nothing is stored",             MACHINE,                   1, -1, 0,                                                true,  cmd_control_now},
        {NULL,               "resume",                     "VM...",                           "Let a suspended machine go on",                      MACHINE,                   1, -1, 0,                                                true,  cmd_control_now},
        {NULL,               "discard",                    "VM...",                           "Drop the saved state",                               MACHINE,                   1, -1, 0,                                                true,  cmd_control_now},
        {NULL,               "register",                   "FILE|-",                          "Make a machine of a libvirt definition",             VERB_ARGUMENT_FILE,        1, 1,  0,                                                true,  cmd_register},
        {NULL,               "unregister",                 "VM...",                           "Forget the definition; files stay",                  MACHINE,                   1, -1, 0,                                                true,  cmd_control_now},
        {NULL,               "delete",                     "VM...",                           "Remove definition and saved state; disks stay",      MACHINE,                   1, -1, OPTION_QUEUE,                                     true,  cmd_control_task},
        {"Snapshots",        "snapshots",                  "VM",                              "Show the snapshots of a machine as a tree",          MACHINE,                   1, 1,  0,                                                true,  cmd_snapshots},
        {NULL,               "snapshot",                   "VM [NAME] [--disks-only]",        "Take a snapshot, of a running guest with memory",    VERB_ARGUMENT_ONE_MACHINE, 1, 2,  SNAPSHOT_OPTIONS,                                 true,  cmd_snapshot},
        {NULL,               "revert",                     "VM SNAPSHOT [--paused]",          "Bring the machine back to a snapshot",               SNAPSHOT,                  2, 2,  OPTION_PAUSED | OPTION_QUEUE,                     true,  cmd_revert},
        {NULL,               "delete-snapshot",            "VM SNAPSHOT [--children]",        "Remove a snapshot, or all below it too",             SNAPSHOT,                  2, 2,  OPTION_CHILDREN | OPTION_QUEUE,                   true,  cmd_remove_snapshot},
        {NULL,               "clear-snapshot",             "VM SNAPSHOT",                     "Remove the memory of a snapshot",                    SNAPSHOT,                  2, 2,  OPTION_QUEUE,                                     true,  cmd_remove_snapshot},
        {NULL,               "rename-snapshot",            "VM SNAPSHOT NEWNAME",             "Give a snapshot another name",                       SNAPSHOT,                  3, 3,  0,                                                true,  cmd_rename_snapshot},
        {"Undo disks",       "enable-undo",                "VM...",                           "Write into undo disks from now on",                  MACHINE,                   1, -1, 0,                                                true,  cmd_set_undoable},
        {NULL,               "disable-undo",               "VM...",                           "Remove the undo disks with what they hold",          MACHINE,                   1, -1, 0,                                                true,  cmd_set_undoable},
        {NULL,               "undo-action",                "VM discard|keep|commit",          "What becomes of them when the machine goes off",     VERB_ARGUMENT_ONE_MACHINE, 2, 2,  0,                                                true,  cmd_undo_action},
        {NULL,               "merge-undo",                 "VM...",                           "Write what they hold into the disks",                MACHINE,                   1, -1, OPTION_QUEUE,                                     true,  cmd_control_task},
        {NULL,               "discard-undo",               "VM...",                           "Drop what they hold",                                MACHINE,                   1, -1, 0,                                                true,  cmd_control_now},
        {"Reference points", "points",                     "VM",                              "Show the reference points of a machine",             MACHINE,                   1, 1,  0,                                                true,  cmd_snapshots},
        {NULL,               "point",                      "VM [NAME] [--quiesce]",           "Make one: differences can be counted from it",       VERB_ARGUMENT_ONE_MACHINE, 1, 2,  POINT_OPTIONS,                                    true,  cmd_point},
        {NULL,               "convert-snapshot",           "VM SNAPSHOT",                     "Make one of a recovery snapshot",                    SNAPSHOT,                  2, 2,  OPTION_QUEUE,                                     true,  cmd_convert_snapshot},
        {NULL,               "delete-point",               "VM POINT",                        "Remove a reference point",                           POINT,                     2, 2,  OPTION_QUEUE,                                     true,  cmd_delete_point},
        {NULL,               "export-point",               "VM POINT DIRECTORY [--since]",    "Write what was then, or what changed until then",    POINT,                     3, 3,  POINT_EXPORT_OPTIONS,                             true,  cmd_export_point},
        {"Exports",          "export",                     "VM DIRECTORY|FILE.ova [--live]",  "Write a machine into a directory or a package",      VERB_ARGUMENT_ONE_MACHINE, 2, 2,  EXPORT_OPTIONS,                                   true,  cmd_export},
        {NULL,               "verify",                     "DIRECTORY|FILE.ova",              "Check that an export is as it was written",          VERB_ARGUMENT_FILE,        1, 1,  0,                                                false, cmd_verify},
        {NULL,               "import",                     "DIRECTORY|FILE.ova [--name=N]",   "Make a machine of an export or a package",           VERB_ARGUMENT_FILE,        1, 1,  IMPORT_OPTIONS,                                   true,  cmd_import},
        {"Hard disks",       "disk",                       "FILE",                            "Show what a hard disk image is",                     VERB_ARGUMENT_FILE,        1, 1,  0,                                                true,  cmd_disk},
        {NULL,               "create-disk",                "FILE SIZE",                       "Make one that grows: .qcow2, .raw, .vhd, .vhdx",     VERB_ARGUMENT_FILE,        2, 2,  OPTION_QUEUE,                                     true,  cmd_create_disk},
        {NULL,               "create-fixed-disk",          "FILE SIZE",                       "Make one that has all its room at once",             VERB_ARGUMENT_FILE,        2, 2,  OPTION_QUEUE,                                     true,  cmd_create_disk},
        {NULL,               "create-differencing-disk",   "FILE PARENT",                     "Make one that holds what differs from another",      VERB_ARGUMENT_FILE,        2, 2,  OPTION_QUEUE,                                     true,  cmd_create_differencing_disk},
        {NULL,               "convert-disk",               "FILE NEWFILE",                    "Copy one, also into another format",                 VERB_ARGUMENT_FILE,        2, 2,  OPTION_QUEUE,                                     true,  cmd_copy_disk},
        {NULL,               "flatten-disk",               "FILE NEWFILE",                    "Make one of a differencing disk and its parents",    VERB_ARGUMENT_FILE,        2, 2,  OPTION_QUEUE,                                     true,  cmd_copy_disk},
        {"Collections",      "collections",                "",                                "Show all collections of machines",                   NONE,                      0, 0,  0,                                                true,  cmd_collections},
        {NULL,               "collection",                 "COLLECTION",                      "Show the members of a collection and its snapshots", COLLECTION,                1, 1,  0,                                                true,  cmd_collection},
        {NULL,               "define-collection",          "NAME [MEMBER...]",                "Make a collection of machines that belong together", NEW_COLLECTION,            1, -1, OPTION_OF_COLLECTIONS,                            true,  cmd_define_collection},
        {NULL,               "add-member",                 "COLLECTION MEMBER...",            "Take machines (or collections) into a collection",   NEW_MEMBER,                2, -1, 0,                                                true,  cmd_add_member},
        {NULL,               "remove-member",              "COLLECTION MEMBER...",            "Take them out again; their snapshots stay",          MEMBER,                    2, -1, 0,                                                true,  cmd_remove_member},
        {NULL,               "rename-collection",          "COLLECTION NEWNAME",              "Give a collection another name",                     COLLECTION,                2, 2,  0,                                                true,  cmd_rename_collection},
        {NULL,               "delete-collection",          "COLLECTION",                      "Forget a collection; members and snapshots stay",    COLLECTION,                1, 1,  0,                                                true,  cmd_delete_collection},
        {NULL,               "snapshot-collection",        "COLLECTION [NAME]",               "Take a snapshot of all its machines at one moment",  COLLECTION,                1, 2,  COLLECTION_SNAPSHOT_OPTIONS,                      true,  cmd_snapshot_collection},
        {NULL,               "revert-collection",          "SNAPSHOT",                        "Bring all machines back to a snapshot",              COLLECTION_SNAPSHOT,       1, 1,  OPTION_QUEUE,                                     true,  cmd_revert_collection},
        {NULL,               "delete-collection-snapshot", "SNAPSHOT",                        "Remove a snapshot of all machines",                  COLLECTION_SNAPSHOT,       1, 1,  OPTION_QUEUE,                                     true,  cmd_delete_collection_snapshot},
        {NULL,               "rename-collection-snapshot", "SNAPSHOT NEWNAME",                "Give a snapshot of a collection another name",       COLLECTION_SNAPSHOT,       2, 2,  0,                                                true,  cmd_rename_collection_snapshot},
        {NULL,               "export-collection",          "SNAPSHOT DIRECTORY",              "Write all machines of a snapshot into directories",  COLLECTION_SNAPSHOT,       2, 2,  OPTION_QUEUE,                                     true,  cmd_export_collection},
        {"Tasks",            "tasks",                      "[VM] [--all]",                    "Show unfinished tasks, or all",                      MACHINE,                   0, 1,  OPTION_ALL,                                       true,  cmd_tasks},
        {NULL,               "task",                       "ID",                              "Show one task with its log",                         TASK,                      1, 1,  0,                                                true,  cmd_task},
        {NULL,               "wait",                       "ID... [--any]",                   "Wait for the end of tasks",                          TASK,                      1, -1, OPTION_ANY,                                       true,  cmd_wait},
        {NULL,               "cancel",                     "ID...|--vm=VM",                   "Cancel tasks",                                       TASK,                      0, -1, OPTION_VM,                                        true,  cmd_cancel},
        {NULL,               "watch",                      "[ID]",                            "Follow the progress of all tasks, or of one",        TASK,                      0, 1,  0,                                                true,  cmd_watch},
        {NULL,               "monitor",                    "",                                "Print every event of the service",                   NONE,                      0, 0,  0,                                                true,  cmd_monitor},
        {"Service",          "status",                     "",                                "Show the service and its hypervisor",                NONE,                      0, 0,  0,                                                true,  cmd_status},
        {NULL,               "completion",                 "bash",                            "Print the completion script of a shell",             VERB_ARGUMENT_SHELL,       1, 1,  0,                                                false, cmd_completion},
        {NULL,               "help",                       "[COMMAND]",                       "Show this help, or that of a command",               NONE,                      0, 1,  0,                                                false, cmd_help},
        {NULL,               "version",                    "",                                "Show the version of this tool",                      NONE,                      0, 0,  0,                                                false, cmd_version},
        {0},
};
/* clang-format on */

const Verb *verb_find(const char *name) {
        for (const Verb *verb = verbs; verb->name; verb++)
                if (strcmp(verb->name, name) == 0)
                        return verb;
        return NULL;
}
