/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* wait and cancel: tasks that exist already. Ctrl-C only ends the waiting here, it cancels nothing.
 */

#include <string.h>

#include "agent.h"
#include "bus-client.h"
#include "machine-ref.h"
#include "message.h"
#include "path-list.h"
#include "verbs.h"
#include "wait-task.h"

static ExitCode parse_tasks(PathList *list, char **arguments) {
        for (; *arguments; arguments++) {
                char *path = task_info_path(*arguments);

                if (!path) {
                        message_error("\"%s\" is no number of a task", *arguments);
                        return EXIT_CODE_USAGE;
                }
                path_list_add(list, path);
        }
        return EXIT_CODE_OK;
}

static ExitCode wait_for(Session *s, const PathList *list, const TaskWaitMode *mode) {
        _cleanup_(task_wait_freep) TaskWait *w = task_wait_new(s, mode);

        if (!w)
                return EXIT_CODE_FAILED;
        for (size_t i = 0; i < list->count; i++)
                task_wait_add_task(w, list->paths[i]);
        return task_wait_run(w);
}

ExitCode cmd_wait(Session *s, const char *verb, char **arguments) {
        TaskWaitMode mode = {.any = options_has(&s->options, OPTION_ANY)};
        _cleanup_(path_list_clear) PathList list = {0};
        ExitCode code = parse_tasks(&list, arguments);

        return code == EXIT_CODE_OK ? wait_for(s, &list, &mode) : code;
}

static ExitCode tasks_of_machine(PathList *list, Session *s, const char *argument) {
        _cleanup_(object_ref_clear) ObjectRef ref = {0};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        ExitCode code = machine_ref_resolve(&ref, s, argument);
        int r;

        if (code != EXIT_CODE_OK)
                return code;
        m = bus_client_new_call(s, ref.path, PROPERTIES_INTERFACE, "Get");
        r = sd_bus_message_append(m, "ss", MACHINE_INTERFACE, "ActiveTasks");
        if (r < 0)
                return bus_client_report_reply(r);
        code = bus_client_call(s, m, "read the tasks", &reply);
        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_enter_container(reply, SD_BUS_TYPE_VARIANT, "ao");
        if (r >= 0)
                r = path_list_read(list, reply);
        if (r < 0)
                return bus_client_report_reply(r);
        if (list->count > 0)
                return EXIT_CODE_OK;
        message_error("%s has no unfinished task", ref.name);
        return EXIT_CODE_NOT_FOUND;
}

static ExitCode cancel(Session *s, const char *path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, path, TASK_INTERFACE, "Cancel");
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *what = xasprintf("cancel task %s", task_info_number(path));

        if (bus_client_try(s, m, BUS_CLIENT_DIALOG_USEC, &error, NULL) >= 0)
                return EXIT_CODE_OK;
        if (exit_code_of_error(error.name) != EXIT_CODE_NOT_FOUND)
                return bus_client_report(what, &error);
        message_error("no task %s", task_info_number(path));
        return EXIT_CODE_NOT_FOUND;
}

ExitCode cmd_cancel(Session *s, const char *verb, char **arguments) {
        TaskWaitMode mode = {.report.wants_cancelled = true};
        _cleanup_(path_list_clear) PathList list = {0}, accepted = {0};
        ExitCode worst = parse_tasks(&list, arguments);

        if (worst == EXIT_CODE_OK && s->options.vm)
                worst = tasks_of_machine(&list, s, s->options.vm);
        if (worst != EXIT_CODE_OK)
                return worst;
        if (list.count == 0) {
                message_error("cancel needs the number of a task or --vm");
                return EXIT_CODE_USAGE;
        }
        agent_open(s);
        for (size_t i = 0; i < list.count; i++) {
                ExitCode code = cancel(s, list.paths[i]);

                if (code == EXIT_CODE_OK)
                        path_list_add(&accepted, xstrdup(list.paths[i]));
                worst = exit_code_worst(worst, code);
        }
        if (!s->options.wait || accepted.count == 0)
                return worst;
        return exit_code_worst(worst, wait_for(s, &accepted, &mode));
}
