/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where a bundle is made, or a package: beside its final place, under a name that nobody takes for
 * one, and renamed when it is whole and on the disk. All paths are used with the rights of this
 * process. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Place {
        int parent;   /* the directory that the bundle is to be in */
        int made;     /* the unfinished bundle, which is a directory, or package; -1: none */
        bool is_file; /* it is a package */
        char *path;   /* of it once it is whole: absolute, without links */
        char *name;
        char *partial;
} Place;

typedef enum PlaceLinks {
        PLACE_FOLLOWS_LINKS,
        PLACE_REFUSES_LINKS, /* PATH_NOT_FOUND if there is one in the directory's path */
} PlaceLinks;

/* Makes the unfinished bundle "partial" (one component of a path) for a bundle with that name in
 * the directory. PATH_NOT_FOUND without the directory, FILE_EXISTS if the name is taken by anything
 * but an empty directory of the caller's choice ("replace_empty"), NAME_INVALID and PATH_TOO_LONG
 * also for what links lead to, ACCESS_DENIED, DISK_FULL. */
bool place_make(const char *directory,
                const char *name,
                const char *partial,
                bool replace_empty,
                PlaceLinks links,
                Place *ret,
                GError **error);

/* The same for a package: an empty file, for reading and writing. */
bool place_make_file(const char *directory,
                const char *name,
                const char *partial,
                PlaceLinks links,
                Place *ret,
                GError **error);

/* DISK_FULL unless so many bytes can still be written there, and some more. */
bool place_check_room(const Place *place, uint64_t needed, GError **error);

/* A new file of the bundle, for reading and writing; "name" may have one directory before it. -1
 * and "error". */
int place_create(const Place *place, const char *name, GError **error);
bool place_write(const Place *place, const char *name, const char *text, GError **error);

/* The bundle is there under its name and survives a power cut, or nothing has changed. What is in a
 * package is on the disk already. */
bool place_publish(Place *place, bool replace_empty, GError **error);

/* Removes what is unfinished, with whatever is in it. */
void place_discard(Place *place);
void place_clear(Place *place);

/* The same by its name, for one that a process left that is no more, or that became whole and must
 * not stay. A missing one is no error. */
bool place_remove(const char *directory, const char *name, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Place, place_clear)
