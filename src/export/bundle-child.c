/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "export/bundle-child.h"

#include <string.h>
#include <sys/mman.h>

#include "bundle/manifest.h"
#include "bundle/package-json.h"
#include "disk/caller-child.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/number.h"

/* How long the removal of what is left may take: on a file system that hangs it takes for ever. A
 * process that was to stop has tried it already. */
#define REMOVAL_USEC           (60 * G_USEC_PER_SEC)
#define REMOVAL_CANCELLED_USEC (1 * G_USEC_PER_SEC)

/* What the child says. */
typedef struct Talk {
        Job *job;
        uint64_t total;
        uint64_t before, after; /* of the work that others do */
        char *path;
        gint64 begin;
} Talk;

/* The child */

static void on_line(const char *line, void *userdata) {
        Talk *talk = userdata;
        const char *space = strchr(line, ' '), *rest = space ? space + 1 : "";
        uint64_t number;

        if (g_str_has_prefix(line, "total ") && number_parse(rest, 0, INT64_MAX, &number))
                talk->total = number;
        else if (g_str_has_prefix(line, "done ") && number_parse(rest, 0, INT64_MAX, &number))
                job_progress(talk->job, talk->before + number,
                                talk->before + talk->total + talk->after);
        else if (g_str_has_prefix(line, "file "))
                job_status(talk->job, rest);
        else if (g_str_has_prefix(line, "path ") && !talk->path)
                talk->path = g_strdup(rest);
}

static bool on_stop(void *userdata) {
        return job_is_cancelled(((Talk *) userdata)->job);
}

static bool is_late(void *userdata) {
        const Talk *talk = userdata;

        return g_get_monotonic_time() - talk->begin >=
               (job_is_cancelled(talk->job) ? REMOVAL_CANCELLED_USEC : REMOVAL_USEC);
}

/* "arguments" has room for the program in front. */
static bool run(Talk *talk, const char **arguments, ChildHooks *hooks, GError **error) {
        hooks->line = on_line;
        hooks->userdata = talk;
        return caller_child_run(talk->job->caller, arguments, hooks, error);
}

bool bundle_child_write(Job *job, const ExportPlan *plan, char **ret_path, GError **error) {
        const char *arguments[] = {NULL, plan->verb, NULL};
        auto_fd input = caller_child_plan(plan->object, error);
        Talk talk = {.job = job};
        ChildHooks hooks = {
                        .stop = on_stop,
                        .input = input,
                        .descriptors = (const int *) (const void *) plan->descriptors->data,
                        .n_descriptors = plan->descriptors->len,
        };
        bool ok = input >= 0 && run(&talk, arguments, &hooks, error);

        if (ok)
                *ret_path = g_steal_pointer(&talk.path);
        g_free(talk.path);
        return ok;
}

bool bundle_child_find(Job *job, const BundlePlace *place, char **ret_path) {
        const char *arguments[] = {
                        NULL, "find", place->directory, place->name, place->partial, NULL};
        Talk talk = {.job = job, .begin = g_get_monotonic_time()};
        ChildHooks hooks = {.stop = is_late};
        bool ok = run(&talk, arguments, &hooks, NULL) && talk.path;

        if (ok)
                *ret_path = g_steal_pointer(&talk.path);
        g_free(talk.path);
        return ok;
}

bool bundle_child_remove(Job *job, const BundlePlace *place, GError **error) {
        const char *arguments[] = {
                        NULL, "remove", place->directory, place->name, place->partial, NULL};
        Talk talk = {.job = job, .begin = g_get_monotonic_time()};
        ChildHooks hooks = {.stop = is_late};
        g_autoptr(GError) cause = NULL;
        bool ok = run(&talk, arguments, &hooks, &cause) ||
                  g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_PATH_NOT_FOUND);

        if (!ok)
                g_propagate_error(error, g_steal_pointer(&cause));
        return ok;
}

/* Reading */

/* What a process of somebody else has written: all of it, or nothing if it is too much. */
static char *take_answer(int fd, uint64_t limit, size_t *ret_length, GError **error) {
        char *data = caller_child_answer(fd, limit, ret_length);

        if (!data)
                g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                                "What was read of the bundle can not be understood");
        return data;
}

/* What a verb says of a path. */
static char *ask(Job *job,
                const char *verb,
                const char *path,
                uint64_t limit,
                size_t *ret_length,
                GError **error) {
        const char *arguments[] = {NULL, verb, path, NULL};
        auto_fd memory = memfd_create("summary", MFD_CLOEXEC);
        Talk talk = {.job = job};
        ChildHooks hooks = {.stop = on_stop, .descriptors = &memory, .n_descriptors = 1};
        bool ok = run(&talk, arguments, &hooks, error);

        return ok ? take_answer(memory, limit, ret_length, error) : NULL;
}

Summary *bundle_child_read(Job *job, const char *directory, GError **error) {
        size_t length;
        char *data = ask(job, "read", directory, SUMMARY_MAX, &length, error);
        g_autoptr(GBytes) bytes = data ? g_bytes_new_take(data, length) : NULL;

        return bytes ? summary_parse(bytes, error) : NULL;
}

OvfMachine *bundle_child_read_package(
                Job *job, const char *path, char **ret_description, GError **error) {
        size_t length;
        g_autofree char *text = ask(job, "read-package", path, MANIFEST_MAX, &length, error);
        g_autoptr(JsonNode) node = NULL;
        OvfMachine *machine;

        if (!text)
                return NULL;
        node = strlen(text) == length ? manifest_parse_json(text, NULL) : NULL;
        machine = package_machine_from_json(manifest_object(node), error);
        if (machine)
                *ret_description = g_steal_pointer(&text);
        return machine;
}

/* Writing into our files */

/* A verb with a plan for the files. */
static bool follow(Talk *talk,
                const char *verb,
                const char *path,
                JsonObject *plan,
                const GArray *fds,
                GError **error) {
        const char *arguments[] = {NULL, verb, path, NULL};
        auto_fd input = caller_child_plan(plan, error);
        ChildHooks hooks = {
                        .stop = on_stop,
                        .input = input,
                        .descriptors = (const int *) (const void *) fds->data,
                        .n_descriptors = fds->len,
        };
        bool ok = input >= 0 && run(talk, arguments, &hooks, error);

        return ok;
}

/* An element of the plan for a file, which the child gets. */
static JsonObject *plan_item(JsonArray *items, GArray *fds, int fd) {
        JsonObject *item = json_object_new();

        json_object_set_int_member(item, "descriptor", CALLER_CHILD_DESCRIPTOR + (gint64) fds->len);
        json_array_add_object_element(items, item);
        g_array_append_val(fds, fd);
        return item;
}

static JsonObject *extract_plan(const BundleSource *source, const ImportFiles *files, GArray *fds) {
        JsonObject *plan = json_object_new();
        JsonArray *items = json_array_new();

        for (unsigned i = 0; i < files->files->len; i++) {
                const ImportFile *file = files->files->pdata[i];
                JsonObject *item;

                if (file->base != source->number)
                        continue;
                item = plan_item(items, fds, file->fd);
                json_object_set_string_member(item, "file", import_file_origin(file));
                json_object_set_int_member(item, "head", (gint64) file->head);
        }
        json_object_set_string_member(plan, "manifest", source->summary->manifest_text);
        json_object_set_array_member(plan, "files", items);
        return plan;
}

bool bundle_child_extract(
                Job *job, const BundleSource *source, const ImportFiles *files, GError **error) {
        g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
        g_autoptr(JsonObject) plan = extract_plan(source, files, fds);
        Talk talk = {.job = job, .before = source->before, .after = source->after};

        return follow(&talk, "extract", source->directory, plan, fds, error);
}

static void plan_target(JsonArray *items, GArray *fds, const DiskTarget *target) {
        if (target->connection < 0)
                json_array_add_null_element(items);
        else
                json_object_set_string_member(plan_item(items, fds, target->connection), "export",
                                target->export);
}

bool bundle_child_convert(Job *job,
                const char *path,
                const char *description,
                const GArray *targets,
                GError **error) {
        g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
        g_autoptr(JsonObject) plan = json_object_new();
        JsonArray *items = targets ? json_array_new() : NULL;
        Talk talk = {.job = job};

        for (unsigned i = 0; targets && i < targets->len; i++)
                plan_target(items, fds, &g_array_index(targets, DiskTarget, i));
        if (items)
                json_object_set_array_member(plan, "disks", items);
        json_object_set_string_member(plan, "description", description);
        return follow(&talk, "convert", path, plan, fds, error);
}
