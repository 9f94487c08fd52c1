/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The commands, one row each. */

#include "session.h"

/* What the words after the command are, for completion. */
typedef enum VerbArgument {
        VERB_ARGUMENT_NONE,
        VERB_ARGUMENT_MACHINE,
        VERB_ARGUMENT_ONE_MACHINE, /* the first word, others are free */
        VERB_ARGUMENT_SNAPSHOT,    /* the first word a machine, the second one of its snapshots */
        VERB_ARGUMENT_POINT,       /* the first word a machine, the second a reference point */
        VERB_ARGUMENT_COLLECTION,  /* the first word, others are free */
        VERB_ARGUMENT_NEW_COLLECTION, /* the first word is free, others are what it may have */
        VERB_ARGUMENT_NEW_MEMBER,     /* the first word a collection, others what it may have */
        VERB_ARGUMENT_MEMBER,         /* the first word a collection, others what it has */
        VERB_ARGUMENT_COLLECTION_SNAPSHOT, /* the first word, others are free */
        VERB_ARGUMENT_TASK,
        VERB_ARGUMENT_FILE,
        VERB_ARGUMENT_SHELL,
} VerbArgument;

typedef struct Verb {
        const char *section; /* begins a section of the help text */
        const char *name;
        const char *synopsis;
        const char *help;
        VerbArgument argument;
        int min_arguments;
        int max_arguments; /* -1 any number */
        unsigned options;  /* of CommandOption */
        bool needs_bus;
        ExitCode (*run)(Session *s, const char *verb, char **arguments);
} Verb;

extern const Verb verbs[]; /* ends with a row without a name */

const Verb *verb_find(const char *name);

ExitCode cmd_list(Session *s, const char *verb, char **arguments);
ExitCode cmd_show(Session *s, const char *verb, char **arguments);
ExitCode cmd_status(Session *s, const char *verb, char **arguments);
ExitCode cmd_control_task(Session *s, const char *verb, char **arguments);
ExitCode cmd_guest(Session *s, const char *verb, char **arguments);
ExitCode cmd_control_now(Session *s, const char *verb, char **arguments);
ExitCode cmd_set_undoable(Session *s, const char *verb, char **arguments);
ExitCode cmd_undo_action(Session *s, const char *verb, char **arguments);
ExitCode cmd_register(Session *s, const char *verb, char **arguments);
ExitCode cmd_snapshots(Session *s, const char *verb, char **arguments);
ExitCode cmd_snapshot(Session *s, const char *verb, char **arguments);
ExitCode cmd_revert(Session *s, const char *verb, char **arguments);
ExitCode cmd_remove_snapshot(Session *s, const char *verb, char **arguments);
ExitCode cmd_rename_snapshot(Session *s, const char *verb, char **arguments);
ExitCode cmd_point(Session *s, const char *verb, char **arguments);
ExitCode cmd_convert_snapshot(Session *s, const char *verb, char **arguments);
ExitCode cmd_delete_point(Session *s, const char *verb, char **arguments);
ExitCode cmd_export_point(Session *s, const char *verb, char **arguments);
ExitCode cmd_export(Session *s, const char *verb, char **arguments);
ExitCode cmd_export_collection(Session *s, const char *verb, char **arguments);
ExitCode cmd_disk(Session *s, const char *verb, char **arguments);
ExitCode cmd_create_disk(Session *s, const char *verb, char **arguments);
ExitCode cmd_copy_disk(Session *s, const char *verb, char **arguments);
ExitCode cmd_create_differencing_disk(Session *s, const char *verb, char **arguments);
ExitCode cmd_import(Session *s, const char *verb, char **arguments);
ExitCode cmd_verify(Session *s, const char *verb, char **arguments);
ExitCode cmd_collections(Session *s, const char *verb, char **arguments);
ExitCode cmd_collection(Session *s, const char *verb, char **arguments);
ExitCode cmd_define_collection(Session *s, const char *verb, char **arguments);
ExitCode cmd_add_member(Session *s, const char *verb, char **arguments);
ExitCode cmd_remove_member(Session *s, const char *verb, char **arguments);
ExitCode cmd_rename_collection(Session *s, const char *verb, char **arguments);
ExitCode cmd_delete_collection(Session *s, const char *verb, char **arguments);
ExitCode cmd_snapshot_collection(Session *s, const char *verb, char **arguments);
ExitCode cmd_revert_collection(Session *s, const char *verb, char **arguments);
ExitCode cmd_delete_collection_snapshot(Session *s, const char *verb, char **arguments);
ExitCode cmd_rename_collection_snapshot(Session *s, const char *verb, char **arguments);
ExitCode cmd_tasks(Session *s, const char *verb, char **arguments);
ExitCode cmd_task(Session *s, const char *verb, char **arguments);
ExitCode cmd_wait(Session *s, const char *verb, char **arguments);
ExitCode cmd_cancel(Session *s, const char *verb, char **arguments);
ExitCode cmd_watch(Session *s, const char *verb, char **arguments);
ExitCode cmd_monitor(Session *s, const char *verb, char **arguments);
ExitCode cmd_help(Session *s, const char *verb, char **arguments);
ExitCode cmd_version(Session *s, const char *verb, char **arguments);
ExitCode cmd_completion(Session *s, const char *verb, char **arguments);

/* The hidden command behind completion: the number of the word to complete, and all words of the
 * line. */
ExitCode cmd_complete(Session *s, int argc, char **argv);
