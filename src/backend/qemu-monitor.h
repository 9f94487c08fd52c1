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

/* What the command without arguments returns (taken). NULL and "error" on failure. */
JsonNode *qemu_monitor_ask(QemuMonitor *monitor, const char *command, GError **error);

/* The command with arguments, pairs of name and text; whether QEMU has done it. */
bool qemu_monitor_tell(QemuMonitor *monitor, const char *command, ...) G_GNUC_NULL_TERMINATED;
