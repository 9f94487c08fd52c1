/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Gathers changed properties and announces them with one PropertiesChanged per interface and turn
 * of the loop. Loop. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

typedef struct Publisher Publisher;

/* Bit n of a mask stands for entry n of the object's table. Entries of one interface stand
 * together. */
typedef struct PublishedProperty {
        const char *interface;
        const char *name;
} PublishedProperty;

/* Embedded in the object; "path" and "properties" (which ends with a name of NULL) outlive it. */
typedef struct Publication {
        Publisher *publisher;
        const char *path;
        const PublishedProperty *properties;
        uint64_t dirty;
        GList link; /* in the publisher's queue while dirty */
} Publication;

Publisher *publisher_new(sd_bus *bus);
Publisher *publisher_free(Publisher *publisher);

/* "properties" and "path" are borrowed; nothing is announced before the first touch. */
void publication_init(Publication *publication,
                Publisher *publisher,
                const char *path,
                const PublishedProperty *properties);

/* Drops what is not announced yet; the object may be freed then. */
void publication_clear(Publication *publication);

/* Marks properties as changed; they are announced when the loop has nothing more urgent to do, with
 * the values that they have then. */
void publication_touch(Publication *publication, uint64_t mask);

/* Announces at once, where the order of signals is part of a promise. */
void publication_flush(Publication *publication);
