/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files that an import makes: under names that nobody else has, until all of them are whole,
 * and then under their own, where nothing of that name may be. What was made can be taken back at
 * any moment, also by another process, and nothing else is. Worker. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Job Job;

/* A file or a directory that gets its name at the end. */
typedef struct ImportPlace {
        char *temporary, *final; /* paths, in the same directory */
        bool is_directory;
        uid_t owner; /* of it and of what is in it; (uid_t) -1: ourselves */
        gid_t group;
} ImportPlace;

typedef struct ImportFile {
        char *name; /* in the bundle; of another bundle: what the plan calls it */
        const ImportPlace *place;
        char *below;   /* path in the place, if that is a directory; else NULL */
        int fd;        /* -1: closed */
        uint64_t head; /* only the first bytes are copied; 0: all */
        unsigned base; /* the bundle that it is from: 0 the one that is imported, 1 its first base
                        */
        char *origin;  /* its name there, if it is not "name" */
} ImportFile;

typedef struct ImportFiles {
        GPtrArray *places; /* of ImportPlace */
        GPtrArray *files;  /* of ImportFile */
} ImportFiles;

ImportFiles *import_files_new(void);
void import_files_free(ImportFiles *files);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImportFiles, import_files_free)

/* What they give belongs to "files". */
ImportPlace *import_files_add_place(ImportFiles *files, const char *final, bool is_directory);
ImportFile *import_files_add(
                ImportFiles *files, const ImportPlace *place, const char *below, const char *name);

/* The name of the file in the bundle that it is from. */
const char *import_file_origin(const ImportFile *file);

/* FILE_EXISTS if one of the names is taken. */
bool import_files_check(const ImportFiles *files, GError **error);

/* Makes and opens all of them, empty; what is being made is remembered before. With "heads" they
 * are in memory, and get so many bytes. DISK_FULL, FAILED, PATH_NOT_FOUND. */
bool import_files_create(ImportFiles *files, Job *job, uint64_t heads, GError **error);

/* A path by which the file can be read while it is made. */
char *import_file_path(const ImportFile *file);
ImportFile *import_files_find(const ImportFiles *files, const char *name);

/* Nobody but us can write to the files any more: also not he whose process had them open
 * ("foreign": if it was not ours). NOT_SUPPORTED where the file system can't tell. */
bool import_files_seal(ImportFiles *files, bool foreign, GError **error);

/* They get their names, synced. FILE_EXISTS. */
bool import_files_publish(ImportFiles *files, Job *job, GError **error);

/* Removes what the job has made, of this process or of an earlier one; true if nothing is left. */
bool import_files_remove(Job *job, GError **error);
