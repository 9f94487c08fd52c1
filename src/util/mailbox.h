/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The one way from other threads to the event loop: a queue of function and argument behind an
 * eventfd. */

#include <systemd/sd-event.h>

typedef struct Mailbox Mailbox;
typedef void (*MailboxHandler)(void *data);

/* Creates the mailbox as a source of "event". Ends the process when the kernel gives no descriptor.
 * Loop. */
Mailbox *mailbox_new(sd_event *event);

/* Frees the mailbox; letters not yet delivered are dropped with what they point to. Nobody may post
 * any more. Accepts NULL. Loop. */
Mailbox *mailbox_free(Mailbox *mailbox);

/* Has handler(data) called on the loop, in the order of the posts. Any thread. */
void mailbox_post(Mailbox *mailbox, MailboxHandler handler, void *data);
