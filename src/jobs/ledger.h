/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What has to be known of tasks after a crash, an upgrade or a power cut: one small file per task
 * in the state directory, and the counter of IDs. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Ledger Ledger;

/* Called for each record that can be read, in the order of the IDs. */
typedef void (*LedgerRecord)(uint32_t id, GKeyFile *record, void *userdata);

/* Opens (or makes) "tasks" in the state directory. NULL and "error" on failure, also if another
 * process has it open for longer than two seconds: it would settle tasks that run. */
Ledger *ledger_new(const char *state_directory, GError **error);
Ledger *ledger_free(Ledger *ledger);

/* A number that was never given before, not before a power cut either. 0 and "error" if that can't
 * be promised. Loop. */
uint32_t ledger_next_id(Ledger *ledger, GError **error);

/* Does what the first writing of the next record will need, so that a caller does not wait for it.
 * Loop. */
void ledger_prepare(Ledger *ledger);

/* Writes the record of a task; it survives the end of this process. Loop. */
bool ledger_write(Ledger *ledger, uint32_t id, GKeyFile *record, GError **error);

/* Whether the IDs that are promised will soon be used up. Loop. */
bool ledger_is_short(Ledger *ledger);

/* Promises more of them. Any thread; may take long. */
void ledger_promise(Ledger *ledger);

/* Writes what a job remembers (key -> text) beside its record, where a power cut does not reach it;
 * ledger_load() gives it back as the group LEDGER_MEMORY of the record. Any thread; takes
 * milliseconds. */
#define LEDGER_MEMORY      "Memory"
#define LEDGER_MEMORY_LOST "MemoryLost" /* the group is there if that can't be read any more */
bool ledger_write_memory(Ledger *ledger, uint32_t id, GHashTable *memory, GError **error);

/* Makes the record survive a power cut. Any thread; takes milliseconds. */
bool ledger_sync(Ledger *ledger, uint32_t id, GError **error);

/* Loop. */
void ledger_remove(Ledger *ledger, uint32_t id);
void ledger_load(Ledger *ledger, LedgerRecord callback, void *userdata);
