/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Foreign XML is data: a new tree is made of what a table of rules knows, and what it does not know
 * is an error that names it. Nothing is ever passed on because nobody thought of it. Any thread. */

#include <glib.h>
#include <libxml/tree.h>
#include <stdbool.h>

#define WHITELIST_TEXT_MAX  (1U << 20) /* bytes of a document */
#define WHITELIST_DEPTH_MAX 64U

typedef enum RuleFlags {
        RULE_MANY = 1 << 0, /* may be there more than once */
        RULE_DROP = 1 << 1, /* known and not taken over; what is in it does not matter */
        RULE_TELL = 1 << 2, /* with RULE_DROP: whoever imports it should know */
} RuleFlags;

typedef struct Whitelist Whitelist;

/* An element.
 *
 * "attributes" is a list like "type=kvm|qemu id=- unit=word": each with the kind of its value:
 *
 *     a|b         one of these words          =a        this word
 *     word        letters, digits, . _ + : @ , -        number    decimal or with 0x
 *     size        no sign and below 2^53      bool      yes, no, on, off
 *     text        up to 4 KiB, no control characters    uuid, mac, ip
 *     -           known and not taken over    !         the same, and whoever imports it is told
 *
 * "text" is the kind of the text between its tags; NULL: there is none. */
typedef struct Rule Rule;
struct Rule {
        const char *name;
        const char *attributes; /* NULL: none */
        const char *text;
        const Rule *children; /* up to a rule without a name; NULL: none */
        unsigned flags;
        /* Called when "to" has what the rules give it; it looks at "from" and changes "to". It is
         * not attached to its parent yet. NULL: nothing. */
        bool (*hook)(Whitelist *list, xmlNode *from, xmlNode *to, GError **error);
        const char *space,
                        *prefix; /* the namespace of it and of its children; NULL: the parent's */
};

struct Whitelist {
        void (*tell)(const char *path, void *userdata); /* of what is left out */
        void *userdata;
        GString *path; /* of the element at hand: "domain/devices/disk" */
};

/* INVALID_BUNDLE if it is too long or too deep, not well-formed, or has a document type. "what" is
 * for the error. */
xmlDoc *whitelist_parse(const char *text, const char *what, GError **error);

/* The new document. INVALID_BUNDLE for what is not in the rules: the text names element and
 * attribute. */
xmlDoc *whitelist_copy(Whitelist *list, const Rule *rule, const xmlNode *root, GError **error);

/* INVALID_BUNDLE with the path of the element at hand; "what" is an attribute or NULL. For hooks.
 * Returns false. */
bool whitelist_refuse(Whitelist *list, const char *what, const char *why, GError **error);

/* Tells of something that is left out of the element at hand. */
void whitelist_tell(Whitelist *list, const char *what);
