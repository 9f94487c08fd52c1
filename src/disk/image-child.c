/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "disk/image-child.h"

#include <sys/mman.h>
#include <unistd.h>

#include "disk/caller-child.h"
#include "disk/image-directories.h"
#include "image/image-facts.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/number.h"

#define FACTS_MAX (1U << 20)

/* For what takes a moment, unless the file system hangs. */
#define PATIENCE_USEC           (10 * G_USEC_PER_SEC)
#define PATIENCE_CANCELLED_USEC (1 * G_USEC_PER_SEC)

/* While a child works. */
typedef struct Talk {
        Job *job;      /* or NULL */
        bool is_short; /* the work, of which nobody wants to hear, and which a cancel does not end
                        */
        uint64_t total;
        gint64 begin;
} Talk;

/* The rights of root, and our own, are enough for any place. */
static bool is_restricted(uid_t caller) {
        return caller != 0 && caller != geteuid();
}

static void restrict_to(JsonObject *plan, char **directories) {
        JsonArray *array = json_array_new();

        for (unsigned i = 0; directories[i]; i++)
                json_array_add_string_element(array, directories[i]);
        json_object_set_array_member(plan, "beneath", array);
}

static void set_path(JsonObject *plan,
                const char *key,
                const Layout *layout,
                const char *path,
                char ***ret_directories) {
        g_autofree char *found = image_directories_find(layout, path, ret_directories);

        json_object_set_string_member(plan, key, found ?: path);
}

void image_plan_init(ImagePlan *plan, const Layout *layout, uid_t caller, const char *path) {
        *plan = (ImagePlan){.user = caller, .object = json_object_new()};
        set_path(plan->object, "path", layout, path, &plan->directories);
        if (!plan->directories || !is_restricted(caller))
                return;
        plan->user = geteuid();
        restrict_to(plan->object, plan->directories);
}

void image_plan_add(ImagePlan *plan, const Layout *layout, const char *key, const char *path) {
        g_auto(GStrv) unused = NULL;

        set_path(plan->object, key, layout, path, &unused);
}

void image_plan_clear(ImagePlan *plan) {
        g_clear_pointer(&plan->object, json_object_unref);
        g_strfreev(plan->directories);
}

static void on_line(const char *line, void *userdata) {
        Talk *talk = userdata;
        uint64_t number;

        if (talk->is_short)
                return;
        if (g_str_has_prefix(line, "total ") && number_parse(line + 6, 0, INT64_MAX, &number))
                talk->total = number;
        else if (g_str_has_prefix(line, "done ") && number_parse(line + 5, 0, INT64_MAX, &number))
                job_progress(talk->job, number, talk->total);
}

static bool on_stop(void *userdata) {
        const Talk *talk = userdata;
        bool cancelled = talk->job && job_is_cancelled(talk->job);

        if (!talk->is_short)
                return cancelled;
        return g_get_monotonic_time() - talk->begin >
               (cancelled ? PATIENCE_CANCELLED_USEC : PATIENCE_USEC);
}

static bool run(Talk *talk, const ImagePlan *plan, const char *verb, int answer, GError **error) {
        const char *arguments[] = {NULL, verb, NULL};
        auto_fd input = caller_child_plan(plan->object, error);
        const ChildHooks hooks = {.line = on_line,
                        .stop = on_stop,
                        .userdata = talk,
                        .input = input,
                        .descriptors = &answer,
                        .n_descriptors = answer >= 0};
        GError *cause = NULL;

        if (input < 0)
                return false;
        talk->begin = g_get_monotonic_time();
        if (caller_child_run(plan->user, arguments, &hooks, &cause))
                return true;
        if (talk->is_short && g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED)) {
                g_clear_error(&cause);
                cause = g_error_new_literal(VIRTASK_ERROR, VIRTASK_ERROR_TIMED_OUT,
                                "The file system does not answer");
        }
        g_propagate_error(error, cause);
        return false;
}

/* A process of the service, or of root, has found it in a directory of the service. */
static void publish(ImageFacts *facts, const ImagePlan *plan) {
        for (unsigned i = 0; plan->directories && plan->directories[i]; i++) {
                g_autofree char *prefix = g_strconcat(plan->directories[i], "/", NULL);

                if (g_str_has_prefix(facts->path, prefix))
                        facts->is_public = true;
        }
}

static GPtrArray *ask(Talk *talk, const ImagePlan *plan, const char *verb, GError **error) {
        auto_fd memory = memfd_create("facts", MFD_CLOEXEC);
        g_autoptr(GBytes) bytes = NULL;
        GPtrArray *chain;
        size_t length;
        char *data;

        if (memory < 0)
                return error_fail(VIRTASK_ERROR_FAILED, error, "There is no memory for an answer"),
                       NULL;
        if (!run(talk, plan, verb, memory, error))
                return NULL;
        data = caller_child_answer(memory, FACTS_MAX, &length);
        bytes = data ? g_bytes_new_take(data, length) : g_bytes_new_static("", 0);
        chain = image_facts_from_bytes(bytes, error);
        for (unsigned i = 0; chain && i < chain->len; i++)
                publish(chain->pdata[i], plan);
        return chain;
}

GPtrArray *image_child_create(Job *job, const ImagePlan *plan, GError **error) {
        Talk talk = {.job = job};

        return ask(&talk, plan, "create-image", error);
}

GPtrArray *image_child_read(Job *job, const ImagePlan *plan, GError **error) {
        Talk talk = {.job = job, .is_short = true};

        return ask(&talk, plan, "read-image", error);
}

bool image_child_remove(Job *job, const ImagePlan *plan, GError **error) {
        Talk talk = {.job = job, .is_short = true};

        return run(&talk, plan, "remove-image", -1, error);
}
