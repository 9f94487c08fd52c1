/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Follows tasks on the bus. The order makes it race-free: the matches are installed first, then the
 * caller starts the task, then its properties are read, and what changes afterwards arrives as a
 * signal; signals that came before the answer of GetAll are older than the answer and are dropped.
 *
 *     AddMatch -> call -> path -> GetAll -> PropertiesChanged ... IsComplete
 *                                   ^                |
 *                                   +- service back -+- service away (RETURN_USEC) -> gone
 *
 * A service that is restarted takes its tasks up again under the same numbers, so when its name
 * vanishes we wait for it and read the tasks anew. Any program on the bus may send us a signal that
 * looks right: only those of the owner of the name are believed, and the bus tells who that is.
 * Everything runs on the event loop of wait-task.c or cmd-watch.c. */

#include <string.h>

#include "bus-client.h"
#include "message.h"
#include "task-feed.h"

#define RETURN_USEC (10 * USEC_PER_SEC)
/* The subscriptions, the announcements of new tasks, and the question for the owner. */
#define SLOTS_MAX 6

struct TaskFeed {
        Session *session;
        sd_event *event;
        TaskFeedHooks hooks;
        void *userdata;
        FeedTask **tasks;
        size_t n_tasks;
        char *owner; /* unique name of the service, NULL while there is none */
        bool away;
        bool follow_new;
        sd_event_source *return_timer;
        sd_bus_slot *slots[SLOTS_MAX];
        size_t n_slots;
};

static FeedTask *feed_task_free(FeedTask *t) {
        sd_bus_slot_unref(t->slot);
        sd_bus_slot_unref(t->cancel_slot);
        sd_bus_error_free(&t->lost);
        task_info_clear(&t->info);
        free(t);
        return NULL;
}

TaskFeed *task_feed_free(TaskFeed *feed) {
        if (!feed)
                return NULL;
        for (size_t i = 0; i < feed->n_slots; i++)
                sd_bus_slot_unref(feed->slots[i]);
        for (size_t i = 0; i < feed->n_tasks; i++)
                feed_task_free(feed->tasks[i]);
        sd_event_source_disable_unref(feed->return_timer);
        sd_event_unref(feed->event);
        free(feed->tasks);
        free(feed->owner);
        free(feed);
        return NULL;
}

static FeedTask *find(const TaskFeed *feed, const char *path) {
        for (size_t i = 0; i < feed->n_tasks; i++)
                if (strcmp(feed->tasks[i]->info.path, path) == 0)
                        return feed->tasks[i];
        return NULL;
}

static void changed(FeedTask *t) {
        TaskFeed *feed = t->feed;

        if (!t->ready || t->finished)
                return;
        if (feed->hooks.on_changed)
                feed->hooks.on_changed(t, feed->userdata);
        if (t->finished || !t->info.is_complete)
                return;
        t->finished = true;
        feed->hooks.on_finished(t, feed->userdata);
}

static void lose(FeedTask *t, const sd_bus_error *error) {
        if (t->finished)
                return;
        (void) sd_bus_error_copy(&t->lost, error);
        t->finished = true;
        t->feed->hooks.on_finished(t, t->feed->userdata);
}

/* The bus itself answers, so nobody else can. */
static int on_owner_known(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        TaskFeed *feed = userdata;
        const char *owner = NULL;

        if (!feed->owner && !sd_bus_message_is_method_error(reply, NULL) &&
                        sd_bus_message_read(reply, "s", &owner) > 0)
                string_replace(&feed->owner, owner);
        return 0;
}

static bool is_from_service(const TaskFeed *feed, sd_bus_message *m) {
        const char *sender = sd_bus_message_get_sender(m);

        return sender && feed->owner && strcmp(sender, feed->owner) == 0;
}

static int call_async(FeedTask *t,
                const char *path,
                sd_bus_message_handler_t handler,
                const char *member,
                const char *interface,
                const char *property) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(t->feed->session, path, PROPERTIES_INTERFACE, member);
        int r = sd_bus_message_append(m, "s", interface);

        if (r >= 0 && property)
                r = sd_bus_message_append(m, "s", property);
        /* Waiting for a task must not start a service that an administrator has stopped. */
        if (r >= 0 && t->feed->owner)
                r = sd_bus_message_set_auto_start(m, false);
        if (r < 0)
                return r;
        t->slot = sd_bus_slot_unref(t->slot);
        return sd_bus_call_async(t->feed->session->bus, &t->slot, m, handler, t, 0);
}

static void lose_errno(FeedTask *t, int r) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        (void) sd_bus_error_set_errno(&error, r);
        lose(t, &error);
}

/* The name of the subject; a deleted one has none. */
static int on_name_read(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        FeedTask *t = userdata;
        const char *name = NULL;

        if (!sd_bus_message_is_method_error(reply, NULL) &&
                        sd_bus_message_read(reply, "v", "s", &name) > 0)
                string_replace(&t->info.subject_name, name);
        t->ready = true;
        changed(t);
        return 0;
}

static void read_task(FeedTask *t);

static int on_task_read(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        FeedTask *t = userdata;
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        const TaskSubjectKind *kind;
        int r;

        if (error) {
                /* While the service is away its return decides. A service that only did not answer
                 * in time is asked again; the timeout of the call is the pace. */
                if (!bus_client_is_gone(error) || !t->feed->owner)
                        lose(t, error);
                else if (!t->feed->away)
                        read_task(t);
                return 0;
        }
        r = task_info_read(&t->info, reply);
        kind = t->info.subject_name ? NULL : task_info_subject_kind(&t->info);
        if (r >= 0 && kind)
                r = call_async(t, t->info.subject, on_name_read, "Get", kind->interface,
                                kind->property);
        else
                t->ready = true;
        if (r < 0)
                lose_errno(t, r);
        else
                changed(t);
        return 0;
}

static void read_task(FeedTask *t) {
        int r = call_async(t, t->info.path, on_task_read, "GetAll", TASK_INTERFACE, NULL);

        if (r < 0)
                lose_errno(t, r);
}

void task_feed_add(TaskFeed *feed, const char *path, const char *subject_name) {
        FeedTask *t;

        if (find(feed, path))
                return;
        t = xcalloc(1, sizeof(*t));
        t->feed = feed;
        t->info.path = xstrdup(path);
        t->info.subject_name = subject_name ? xstrdup(subject_name) : NULL;
        feed->tasks = array_grow(feed->tasks, feed->n_tasks, sizeof(*feed->tasks));
        feed->tasks[feed->n_tasks++] = t;
        read_task(t);
}

static int on_properties_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        TaskFeed *feed = userdata;
        FeedTask *t = is_from_service(feed, m) ? find(feed, sd_bus_message_get_path(m)) : NULL;
        const char *interface = NULL;

        if (!t || !t->info.operation || t->finished)
                return 0;
        if (sd_bus_message_read(m, "s", &interface) < 0 || strcmp(interface, TASK_INTERFACE) != 0)
                return 0;
        if (task_info_read(&t->info, m) >= 0)
                changed(t);
        return 0;
}

/* The second cover: should a change have been lost, the end is not. */
static int on_task_completed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        TaskFeed *feed = userdata;
        const char *path = NULL;
        FeedTask *t;

        if (!is_from_service(feed, m) || sd_bus_message_read(m, "uo", NULL, &path) < 0)
                return 0;
        t = find(feed, path);
        if (t && t->ready && !t->finished)
                read_task(t);
        return 0;
}

static int on_interfaces_added(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        TaskFeed *feed = userdata;
        const char *path = NULL;

        if (!feed->follow_new || !is_from_service(feed, m) ||
                        sd_bus_message_read(m, "o", &path) < 0)
                return 0;
        if (strncmp(path, TASK_PATH_PREFIX, strlen(TASK_PATH_PREFIX)) == 0)
                task_feed_add(feed, path, NULL);
        return 0;
}

static int on_return_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        TaskFeed *feed = userdata;

        feed->hooks.on_gone("the service has gone and did not come back within 10 seconds",
                        feed->userdata);
        return 0;
}

static void service_left(TaskFeed *feed) {
        if (feed->away)
                return;
        feed->away = true;
        (void) sd_event_add_time_relative(feed->event, &feed->return_timer, CLOCK_MONOTONIC,
                        RETURN_USEC, 0, on_return_timeout, feed);
        if (feed->hooks.on_away)
                feed->hooks.on_away(true, feed->userdata);
}

static void service_returned(TaskFeed *feed, const char *owner) {
        bool restarted = feed->owner && strcmp(feed->owner, owner) != 0;

        string_replace(&feed->owner, owner);
        feed->return_timer = sd_event_source_disable_unref(feed->return_timer);
        if (feed->away && feed->hooks.on_away)
                feed->hooks.on_away(false, feed->userdata);
        feed->away = false;
        for (size_t i = 0; restarted && i < feed->n_tasks; i++)
                if (!feed->tasks[i]->finished)
                        read_task(feed->tasks[i]);
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        TaskFeed *feed = userdata;
        const char *owner = NULL;
        const char *sender = sd_bus_message_get_sender(m);

        if (!sender || strcmp(sender, "org.freedesktop.DBus") != 0 ||
                        sd_bus_message_read(m, "sss", NULL, NULL, &owner) < 0)
                return 0;
        if (*owner)
                service_returned(feed, owner);
        else
                service_left(feed);
        return 0;
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        TaskFeed *feed = userdata;

        feed->hooks.on_gone("the connection to the bus is lost", feed->userdata);
        return 0;
}

static int subscribe(TaskFeed *feed, const char *match, sd_bus_message_handler_t handler) {
        return sd_bus_add_match_async(feed->session->bus, &feed->slots[feed->n_slots++], match,
                        handler, NULL, feed);
}

/* clang-format off */
static const struct {
        const char *match;
        sd_bus_message_handler_t handler;
} subscriptions[] = {
        {"type='signal',sender='" SERVICE_NAME "',path='" MANAGER_PATH "',"
         "interface='" MANAGER_INTERFACE "',member='TaskCompleted'", on_task_completed},
        {"type='signal',sender='" SERVICE_NAME "',path_namespace='/org/virtask1/task',"
         "interface='" PROPERTIES_INTERFACE "',member='PropertiesChanged',arg0='" TASK_INTERFACE "'",
         on_properties_changed},
        {"type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
         "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" SERVICE_NAME "'",
         on_owner_changed},
        {"type='signal',sender='org.freedesktop.DBus.Local',path='/org/freedesktop/DBus/Local',"
         "interface='org.freedesktop.DBus.Local',member='Disconnected'", on_disconnected},
};
/* clang-format on */

TaskFeed *task_feed_new(Session *s, const TaskFeedHooks *hooks, void *userdata) {
        _cleanup_(task_feed_freep) TaskFeed *feed = xcalloc(1, sizeof(*feed));

        feed->session = s;
        feed->event = sd_event_ref(sd_bus_get_event(s->bus));
        feed->hooks = *hooks;
        feed->userdata = userdata;
        for (size_t i = 0; i < ELEMENTS(subscriptions); i++) {
                int r = subscribe(feed, subscriptions[i].match, subscriptions[i].handler);

                if (r < 0) {
                        message_error("cannot listen on the bus: %s", strerror(-r));
                        return NULL;
                }
        }
        (void) sd_bus_call_method_async(s->bus, &feed->slots[feed->n_slots++],
                        "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                        "GetNameOwner", on_owner_known, feed, "s", SERVICE_NAME);
        return STEAL_POINTER(feed);
}

int task_feed_follow_new(TaskFeed *feed) {
        feed->follow_new = true;
        return subscribe(feed,
                        "type='signal',sender='" SERVICE_NAME "',path='" SERVICE_PATH "',"
                        "interface='" OBJECTS_INTERFACE "',member='InterfacesAdded'",
                        on_interfaces_added);
}

FeedTask *const *task_feed_tasks(const TaskFeed *feed, size_t *ret_count) {
        *ret_count = feed->n_tasks;
        return feed->tasks;
}

size_t task_feed_count_unfinished(const TaskFeed *feed) {
        size_t count = 0;

        for (size_t i = 0; i < feed->n_tasks; i++)
                count += !feed->tasks[i]->finished;
        return count;
}
