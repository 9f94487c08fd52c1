/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A few words with a QEMU that runs without its libvirt. Only one may speak with it at a time: this
 * has to be over when libvirt connects. Any thread; each answer takes 5 seconds at most. */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

typedef struct QemuMonitor QemuMonitor;

/* Connects to the UNIX socket of QEMU's monitor (QMP). NULL and "error" without one there. */
QemuMonitor *qemu_monitor_new(const char *path, GError **error);
QemuMonitor *qemu_monitor_free(QemuMonitor *monitor);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuMonitor, qemu_monitor_free)

/* What the command without arguments returns (taken). NULL and "error" on failure. After one that
 * was not an answer all others fail. */
JsonNode *qemu_monitor_ask(QemuMonitor *monitor, const char *command, GError **error);

/* The command with arguments, pairs of name and text; whether QEMU has done it. */
bool qemu_monitor_tell(QemuMonitor *monitor, const char *command, ...) G_GNUC_NULL_TERMINATED;

/* The objects of an answer that is a list, or those that they have as "inside" (NULL: they
 * themselves); borrowed (container). */
GPtrArray *qemu_answer_objects(JsonNode *answer, const char *inside);

/* A text of the object; NULL if it has none of that name. NULL is no object. */
const char *qemu_answer_text(JsonObject *object, const char *name);

/* Whether one of the objects has this text. */
bool qemu_answer_has(JsonNode *answer, const char *inside, const char *name, const char *text);

/* The file of the image that libvirt has named so; "nodes" is the answer to query-named-block-nodes
 * (what query-block tells may be a description in JSON). *ret_number (may be NULL): libvirt's
 * number of the image. NULL: it has none. */
const char *qemu_answer_file(JsonNode *nodes, const char *node, unsigned *ret_number);
