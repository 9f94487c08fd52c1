/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A turn of the loop may change a property several times and several properties at once; a client
 * shall see one signal with the last values. So a change only sets a bit, and a source of low
 * priority sends the signals when messages and letters of this turn are worked off. sd-bus reads
 * the values through the getters when it sends. */

#include "bus/publisher.h"

#include <string.h>

#include "util/log.h"

#define NAMES_MAX     64                    /* the bits of the mask */
#define PATIENCE_USEC (G_USEC_PER_SEC / 10) /* the longest that a change waits behind calls */

struct Publisher {
        sd_bus *bus;
        sd_event_source *source;
        GQueue queue; /* of Publication.link */
        gint64 since; /* when the oldest of them came, CLOCK_MONOTONIC */
};

static void flush_all(Publisher *publisher) {
        while (!g_queue_is_empty(&publisher->queue))
                publication_flush(publisher->queue.head->data);
}

static int on_idle(sd_event_source *source, void *userdata) {
        flush_all(userdata);
        return 0;
}

Publisher *publisher_new(sd_bus *bus) {
        Publisher *publisher = g_new0(Publisher, 1);
        int r;

        publisher->bus = sd_bus_ref(bus);
        r = sd_event_add_defer(sd_bus_get_event(bus), &publisher->source, on_idle, publisher);
        if (r < 0)
                g_error("Failed to add an event source: %s", g_strerror(-r));
        (void) sd_event_source_set_enabled(publisher->source, SD_EVENT_OFF);
        (void) sd_event_source_set_priority(publisher->source, SD_EVENT_PRIORITY_IDLE);
        (void) sd_event_source_set_description(publisher->source, "publisher");
        return publisher;
}

Publisher *publisher_free(Publisher *publisher) {
        if (!publisher)
                return NULL;
        sd_event_source_disable_unref(publisher->source);
        sd_bus_unref(publisher->bus);
        g_free(publisher);
        return NULL;
}

void publication_init(Publication *publication,
                Publisher *publisher,
                const char *path,
                const PublishedProperty *properties) {
        *publication = (Publication){
                        .publisher = publisher,
                        .path = path,
                        .properties = properties,
        };
        publication->link.data = publication;
}

void publication_clear(Publication *publication) {
        if (publication->dirty)
                g_queue_unlink(&publication->publisher->queue, &publication->link);
        publication->dirty = 0;
}

void publication_touch(Publication *publication, uint64_t mask) {
        Publisher *publisher = publication->publisher;

        if (!mask)
                return;
        /* A client that keeps the bus busy would keep the idle source waiting for ever. */
        if (g_queue_is_empty(&publisher->queue))
                publisher->since = g_get_monotonic_time();
        else if (g_get_monotonic_time() - publisher->since > PATIENCE_USEC)
                flush_all(publisher);
        if (!publication->dirty)
                g_queue_push_tail_link(&publisher->queue, &publication->link);
        publication->dirty |= mask;
        (void) sd_event_source_set_enabled(publisher->source, SD_EVENT_ONESHOT);
}

static void emit(Publication *publication, const char *interface, char **names) {
        int r;

        if (!names[0])
                return;
        r = sd_bus_emit_properties_changed_strv(
                        publication->publisher->bus, publication->path, interface, names);
        if (r < 0)
                log_warning("Failed to announce a change of %s: %s", publication->path,
                                g_strerror(-r));
}

void publication_flush(Publication *publication) {
        const PublishedProperty *property = publication->properties;
        uint64_t dirty = publication->dirty;
        const char *interface = NULL;
        char *names[NAMES_MAX + 1];
        unsigned n = 0;

        publication_clear(publication);
        for (unsigned bit = 0; property[bit].name && dirty >> bit; bit++) {
                if (!(dirty & (UINT64_C(1) << bit)))
                        continue;
                if (interface && !g_str_equal(interface, property[bit].interface)) {
                        names[n] = NULL;
                        emit(publication, interface, names);
                        n = 0;
                }
                interface = property[bit].interface;
                names[n++] = (char *) property[bit].name;
        }
        names[n] = NULL;
        if (interface)
                emit(publication, interface, names);
}
