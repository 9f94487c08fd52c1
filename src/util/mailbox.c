/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Workers and libvirt's event thread own no state; they send what they learned here, and the loop
 * acts on it. The queue is taken whole under the lock and delivered without it, so that a handler
 * may post again (what it posts is delivered in the next turn, and the bus gets its turn in
 * between).
 *
 * A pthread mutex instead of GAsyncQueue: the thread sanitizer sees into the former only. */

#include "util/mailbox.h"

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct Letter {
        struct Letter *next;
        MailboxHandler handler;
        void *data;
} Letter;

struct Mailbox {
        pthread_mutex_t lock;
        Letter *first;
        Letter **end;
        int fd;
        sd_event_source *source;
};

static Letter *mailbox_take_all(Mailbox *mailbox) {
        Letter *letters;

        pthread_mutex_lock(&mailbox->lock);
        letters = mailbox->first;
        mailbox->first = NULL;
        mailbox->end = &mailbox->first;
        pthread_mutex_unlock(&mailbox->lock);
        return letters;
}

static int on_letters(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Mailbox *mailbox = userdata;
        eventfd_t count;
        Letter *next;

        (void) eventfd_read(fd, &count);
        for (Letter *letter = mailbox_take_all(mailbox); letter; letter = next) {
                next = letter->next;
                letter->handler(letter->data);
                g_free(letter);
        }
        return 0;
}

Mailbox *mailbox_new(sd_event *event) {
        Mailbox *mailbox = g_new0(Mailbox, 1);
        int r;

        pthread_mutex_init(&mailbox->lock, NULL);
        mailbox->end = &mailbox->first;
        mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (mailbox->fd < 0)
                g_error("Failed to create an eventfd: %s", g_strerror(errno));
        r = sd_event_add_io(event, &mailbox->source, mailbox->fd, EPOLLIN, on_letters, mailbox);
        if (r < 0)
                g_error("Failed to watch an eventfd: %s", g_strerror(-r));
        (void) sd_event_source_set_description(mailbox->source, "mailbox");
        return mailbox;
}

Mailbox *mailbox_free(Mailbox *mailbox) {
        Letter *next;

        if (!mailbox)
                return NULL;

        sd_event_source_disable_unref(mailbox->source);
        for (Letter *letter = mailbox_take_all(mailbox); letter; letter = next) {
                next = letter->next;
                g_free(letter);
        }
        (void) close(mailbox->fd);
        pthread_mutex_destroy(&mailbox->lock);
        g_free(mailbox);
        return NULL;
}

void mailbox_post(Mailbox *mailbox, MailboxHandler handler, void *data) {
        Letter *letter = g_new(Letter, 1);
        bool wake;

        *letter = (Letter){.handler = handler, .data = data};
        pthread_mutex_lock(&mailbox->lock);
        wake = !mailbox->first;
        *mailbox->end = letter;
        mailbox->end = &letter->next;
        /* Under the lock: once it is released the loop may deliver the letter and, at the end of
         * the process, free the mailbox. */
        if (wake)
                (void) eventfd_write(mailbox->fd, 1);
        pthread_mutex_unlock(&mailbox->lock);
}
