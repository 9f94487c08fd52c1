/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* virtaskd: options in, house built, loop run. */

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "guest/request.h"
#include "service/manager.h"
#include "service/shutdown.h"
#include "util/log.h"

#define CONFIG_FILE     VIRTASK_SYSCONFDIR "/virtask/virtaskd.conf"
#define STATE_DIRECTORY VIRTASK_LOCALSTATEDIR "/lib/virtask"
#define EXIT_USAGE      2

static const char help[] =
                "virtaskd [OPTIONS]\n"
                "\n"
                "Virtual machines and their tasks on D-Bus.\n"
                "\n"
                "  --system                 serve the system bus (default)\n"
                "  --user                   serve the bus of the user session\n"
                "  --address=ADDRESS        serve the bus at this address\n"
                "  --uri=URI                libvirt connection (default: qemu:///system,\n"
                "                           qemu:///session with --user); qemu:///embed?root=DIR\n"
                "                           needs no libvirtd\n"
                "  --authorizer=polkit|owner\n"
                "                           ask polkit (always on the system bus), or allow only\n"
                "                           the own user and root (default elsewhere)\n"
                "  --state-directory=DIR    where tasks are remembered\n"
                "  --config=FILE            configuration file\n"
                "  --verbose                log more\n"
                "  --version                print the version\n"
                "  -h, --help               print this\n"
                "\n"
                "See virtaskd(8).\n";

typedef struct Arguments {
        ManagerOptions options;
        const char *authorizer;
        const char *config;
        bool done; /* nothing is left to do, with exit_status */
        int exit_status;
} Arguments;

enum {
        OPTION_SYSTEM = 256,
        OPTION_USER,
        OPTION_ADDRESS,
        OPTION_URI,
        OPTION_AUTHORIZER,
        OPTION_STATE_DIRECTORY,
        OPTION_CONFIG,
        OPTION_VERBOSE,
        OPTION_VERSION,
};

static const struct option option_table[] = {
                {"system", no_argument, NULL, OPTION_SYSTEM},
                {"user", no_argument, NULL, OPTION_USER},
                {"address", required_argument, NULL, OPTION_ADDRESS},
                {"uri", required_argument, NULL, OPTION_URI},
                {"authorizer", required_argument, NULL, OPTION_AUTHORIZER},
                {"state-directory", required_argument, NULL, OPTION_STATE_DIRECTORY},
                {"config", required_argument, NULL, OPTION_CONFIG},
                {"verbose", no_argument, NULL, OPTION_VERBOSE},
                {"version", no_argument, NULL, OPTION_VERSION},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
};

static void finish(Arguments *arguments, int status) {
        arguments->done = true;
        arguments->exit_status = status;
}

static void take_option(Arguments *arguments, int option) {
        switch (option) {
        case OPTION_SYSTEM:
                arguments->options.bus = BUS_SYSTEM;
                break;
        case OPTION_USER:
                arguments->options.bus = BUS_USER;
                break;
        case OPTION_ADDRESS:
                arguments->options.bus = BUS_ADDRESS;
                arguments->options.address = optarg;
                break;
        case OPTION_URI:
                arguments->options.uri = optarg;
                break;
        case OPTION_AUTHORIZER:
                arguments->authorizer = optarg;
                break;
        case OPTION_STATE_DIRECTORY:
                arguments->options.state_directory = optarg;
                break;
        case OPTION_CONFIG:
                arguments->config = optarg;
                break;
        case OPTION_VERBOSE:
                log_set_max_priority(LOG_DEBUG);
                break;
        case OPTION_VERSION:
                (void) puts("virtaskd " VIRTASK_VERSION);
                finish(arguments, EXIT_SUCCESS);
                break;
        case 'h':
                (void) fputs(help, stdout);
                finish(arguments, EXIT_SUCCESS);
                break;
        default:
                finish(arguments, EXIT_USAGE);
        }
}

static void usage_error(Arguments *arguments, const char *text) {
        (void) fprintf(stderr, "virtaskd: %s\n", text);
        finish(arguments, EXIT_USAGE);
}

/* There is no way to allow everybody everything, and none to leave polkit out on the system bus. */
static void choose_authorizer(Arguments *arguments) {
        ManagerOptions *options = &arguments->options;

        if (!arguments->authorizer)
                options->authorizer =
                                options->bus == BUS_SYSTEM ? AUTHORIZER_POLKIT : AUTHORIZER_OWNER;
        else if (g_str_equal(arguments->authorizer, "polkit"))
                options->authorizer = AUTHORIZER_POLKIT;
        else if (g_str_equal(arguments->authorizer, "owner") && options->bus != BUS_SYSTEM)
                options->authorizer = AUTHORIZER_OWNER;
        else if (g_str_equal(arguments->authorizer, "owner"))
                usage_error(arguments, "on the system bus the authorizer is polkit");
        else
                usage_error(arguments, "--authorizer must be polkit or owner");
}

static void choose_presets(Arguments *arguments) {
        ManagerOptions *options = &arguments->options;
        bool user = options->bus == BUS_USER;

        if (!options->uri)
                options->uri = user ? "qemu:///session" : "qemu:///system";
        if (!options->state_directory)
                options->state_directory =
                                user ? g_build_filename(g_get_user_state_dir(), "virtask", NULL)
                                     : STATE_DIRECTORY;
        if (!arguments->config && options->bus == BUS_SYSTEM)
                arguments->config = CONFIG_FILE;
}

static void parse_arguments(int argc, char **argv, Arguments *arguments) {
        int option;

        while (!arguments->done && (option = getopt_long(argc, argv, "h", option_table, NULL)) >= 0)
                take_option(arguments, option);
        if (arguments->done)
                return;
        if (optind < argc) {
                usage_error(arguments, "no arguments are expected");
                return;
        }
        choose_authorizer(arguments);
        if (!arguments->done)
                choose_presets(arguments);
}

static int run(const ManagerOptions *options) {
        g_autoptr(GError) error = NULL;
        sd_event *event = NULL;
        Manager *manager;
        int r = sd_event_default(&event);

        if (r < 0) {
                log_error("Failed to make an event loop: %s", g_strerror(-r));
                return EXIT_FAILURE;
        }
        (void) sd_event_set_watchdog(event, true);
        manager = manager_new(event, options, &error);
        if (!manager) {
                log_error("%s", error->message);
                _exit(EXIT_FAILURE); /* what is half built goes with the process */
        }
        r = shutdown_on_signals(manager);
        if (r >= 0)
                r = sd_event_loop(event);
        if (r < 0)
                log_error("The event loop failed: %s", g_strerror(-r));

        /* A worker may hang in libvirt for ever; then there is nothing to tidy up but what the
         * kernel does. */
        if (pool_is_busy(manager->pool) || guest_request_any()) {
                (void) sd_bus_flush(manager->bus);
                _exit(r < 0 ? EXIT_FAILURE : r);
        }
        manager_free(manager);
        sd_event_unref(event);
        return r < 0 ? EXIT_FAILURE : r;
}

/* Signals are read by the loop; the threads that are started later inherit the mask. */
static void block_signals(void) {
        sigset_t set;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGTERM);
        (void) sigaddset(&set, SIGINT);
        (void) sigprocmask(SIG_BLOCK, &set, NULL);
        (void) signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv) {
        Arguments arguments = {.options = {.bus = BUS_SYSTEM}};
        g_autoptr(GError) error = NULL;
        int status;

        parse_arguments(argc, argv, &arguments);
        if (arguments.done)
                return arguments.exit_status;
        if (!config_read(&arguments.options.config, arguments.config, &error)) {
                (void) fprintf(stderr, "virtaskd: %s: %s\n", arguments.config, error->message);
                return EXIT_USAGE;
        }
        block_signals();
        status = run(&arguments.options);
        config_clear(&arguments.options.config);
        return status;
}
