/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The connection to the bus and single calls on it. Reads use the short timeout of sd-bus; a call
 * that can raise an authorization dialog waits for minutes, because a person types in between.
 * Every failure is reported here, once, and becomes an exit code, so that the commands need not
 * know about errors of the bus. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent.h"
#include "bus-client.h"
#include "message.h"

#define QUICK_USEC (5 * USEC_PER_SEC)

static int open_address(sd_bus **ret_bus, const char *address) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        int r = sd_bus_new(&bus);

        if (r < 0)
                return r;
        r = sd_bus_set_address(bus, address);
        if (r < 0)
                return r;
        r = sd_bus_set_bus_client(bus, true);
        if (r < 0)
                return r;
        r = sd_bus_start(bus);
        if (r < 0)
                return r;
        *ret_bus = STEAL_POINTER(bus);
        return 0;
}

static int open_bus(const Options *options, sd_bus **ret_bus) {
        switch (options->bus) {
        case BUS_KIND_SYSTEM:
                return sd_bus_open_system_with_description(ret_bus, "virtask");
        case BUS_KIND_USER:
                return sd_bus_open_user_with_description(ret_bus, "virtask");
        case BUS_KIND_ADDRESS:
                return open_address(ret_bus, options->address);
        case BUS_KIND_HOST:
                return sd_bus_open_system_remote(ret_bus, options->address);
        }
        return -EINVAL;
}

static const char *bus_name(const Options *options) {
        switch (options->bus) {
        case BUS_KIND_SYSTEM:
                return "the system bus";
        case BUS_KIND_USER:
                return "the user bus";
        case BUS_KIND_ADDRESS:
        case BUS_KIND_HOST:
                return options->address;
        }
        return "";
}

ExitCode bus_client_connect(Session *s) {
        int r = open_bus(&s->options, &s->bus);

        if (r < 0) {
                message_error("cannot connect to %s: %s", bus_name(&s->options), strerror(-r));
                return EXIT_CODE_UNREACHABLE;
        }
        (void) sd_bus_set_allow_interactive_authorization(
                        s->bus, s->options.ask_password && s->options.json == JSON_MODE_OFF);
        return EXIT_CODE_OK;
}

sd_bus_message *bus_client_new_call(
                Session *s, const char *path, const char *interface, const char *member) {
        sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(s->bus, &m, SERVICE_NAME, path, interface, member);

        if (r < 0) {
                /* Paths are checked before they come here: what is left is no memory or no
                 * connection. */
                message_error("cannot call %s: %s", member, strerror(-r));
                exit(r == -ENOMEM ? EXIT_CODE_FAILED : EXIT_CODE_UNREACHABLE);
        }
        return m;
}

bool bus_client_is_gone(const sd_bus_error *error) {
        return exit_code_of_error(error->name) == EXIT_CODE_UNREACHABLE;
}

ExitCode bus_client_report(const char *what, const sd_bus_error *error) {
        ExitCode code = exit_code_of_error(error->name);
        const char *text = error->message && *error->message ? error->message : error->name;

        if (code == EXIT_CODE_UNREACHABLE)
                message_error("cannot %s: the service %s does not answer: %s", what, SERVICE_NAME,
                                text);
        else
                message_error("cannot %s: %s", what, text ? text : "unknown error");
        return code;
}

ExitCode bus_client_report_reply(int r) {
        message_error("the answer of the service is not understood: %s", strerror(-r));
        return EXIT_CODE_FAILED;
}

int bus_client_try(Session *s,
                sd_bus_message *m,
                uint64_t usec,
                sd_bus_error *error,
                sd_bus_message **ret_reply) {
        int r = sd_bus_call(s->bus, m, usec, error, ret_reply);

        if (r < 0 && !sd_bus_error_is_set(error))
                (void) sd_bus_error_set_errno(error, r);
        return r;
}

ExitCode bus_client_call(
                Session *s, sd_bus_message *m, const char *what, sd_bus_message **ret_reply) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        if (bus_client_try(s, m, 0, &error, ret_reply) < 0)
                return bus_client_report(what, &error);
        return EXIT_CODE_OK;
}

ExitCode bus_client_call_dialog(
                Session *s, sd_bus_message *m, const char *what, sd_bus_message **ret_reply) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        agent_open(s);
        if (bus_client_try(s, m, BUS_CLIENT_DIALOG_USEC, &error, ret_reply) < 0)
                return bus_client_report(what, &error);
        return EXIT_CODE_OK;
}

char *bus_client_read_string(
                Session *s, const char *path, const char *interface, const char *property) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, path, PROPERTIES_INTERFACE, "Get");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *value = NULL;

        if (sd_bus_message_append(m, "ss", interface, property) < 0 ||
                        bus_client_try(s, m, QUICK_USEC, &error, &reply) < 0 ||
                        sd_bus_message_read(reply, "v", "s", &value) < 0)
                return NULL;
        return xstrdup(value);
}
