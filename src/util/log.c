/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One line, one record. Names of machines and texts of libvirt are foreign: control characters are
 * escaped and long values cut, so that nobody can forge a line or fill the journal. */

#include "util/log.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#define LINE_BYTES 1024 /* of text that is logged; the rest is cut */

static int max_priority = LOG_INFO;

/* As sd_journal_stream_fd(3) describes it: JOURNAL_STREAM names device and inode of stderr. */
static bool stderr_is_journal(void) {
        const char *stream = g_getenv("JOURNAL_STREAM");
        g_autofree char *own = NULL;
        struct stat st;

        if (!stream || fstat(STDERR_FILENO, &st) < 0)
                return false;
        own = g_strdup_printf("%lu:%lu", (unsigned long) st.st_dev, (unsigned long) st.st_ino);
        return g_str_equal(stream, own);
}

static char *sanitize(const char *text) {
        g_autofree char *valid = g_utf8_make_valid(text, (gssize) strnlen(text, LINE_BYTES));

        for (char *p = valid; *p; p++)
                if (g_ascii_iscntrl(*p))
                        *p = ' ';
        return g_steal_pointer(&valid);
}

static void add_field(GPtrArray *fields, const char *key, const char *value) {
        if (value)
                g_ptr_array_add(fields, g_strconcat(key, "=", value, NULL));
}

static void send_to_journal(int priority, const LogFields *about, const char *text) {
        g_autoptr(GPtrArray) fields = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *task = NULL, *level = g_strdup_printf("%d", priority);
        struct iovec iov[8];

        add_field(fields, "MESSAGE", text);
        add_field(fields, "PRIORITY", level);
        if (about) {
                g_autofree char *machine = about->machine ? sanitize(about->machine) : NULL;

                if (about->task)
                        task = g_strdup_printf("%u", about->task);
                add_field(fields, "VIRTASK_ID", task);
                add_field(fields, "VIRTASK_OPERATION", about->operation);
                add_field(fields, "VIRTASK_VM", machine);
                add_field(fields, "VIRTASK_RESULT", about->result);
                add_field(fields, "MESSAGE_ID", about->message_id);
        }
        for (unsigned i = 0; i < fields->len; i++)
                iov[i] = (struct iovec){fields->pdata[i], strlen(fields->pdata[i])};
        (void) sd_journal_sendv(iov, (int) fields->len);
}

void log_set_max_priority(int priority) {
        max_priority = priority;
}

void log_line(int priority, const LogFields *fields, const char *format, ...) {
        g_autofree char *raw = NULL, *text = NULL;
        va_list args;

        if (priority > max_priority)
                return;

        va_start(args, format);
        raw = g_strdup_vprintf(format, args);
        va_end(args);
        text = sanitize(raw);

        if (stderr_is_journal())
                send_to_journal(priority, fields, text);
        else if (fields && fields->task)
                (void) fprintf(stderr, "virtaskd: task %u: %s\n", fields->task, text);
        else
                (void) fprintf(stderr, "virtaskd: %s\n", text);
}
