/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The measuring half of bench/run: one client for both services, so that what a client costs is the
 * same on both sides.
 *
 *     fill N                  give libvirt-dbus N machines more, started
 *     list N ROUNDS           a round: GetManagedObjects, ListVirtualMachines, libvirt-dbus
 *     reply MACHINE ROUNDS    a round: Ping and Startup, first and later calls of a connection
 *     run COMMAND...          wall time and peak memory of a command
 *
 * Calls go to the bus of DBUS_SESSION_BUS_ADDRESS. Prints one line of numbers for each round, in
 * microseconds (run: and KiB); ends with 1 if something is not as it has to be. */

#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <time.h>

#define OUR_NAME    "org.virtask1"
#define OUR_ROOT    "/org/virtask1"
#define OUR_MANAGER "/org/virtask1/manager"
#define IFACE_VM    "org.virtask1.VirtualMachine"

#define THEIR_NAME    "org.libvirt"
#define THEIR_CONNECT "/org/libvirt/Test"
#define THEIR_DOMAIN  "org.libvirt.Domain"

#define LATER_CALLS 3 /* on a connection, after its first */

static _Noreturn void die(const char *what, const char *why) {
        (void) fprintf(stderr, "dbus-bench: %s: %s\n", what, why);
        exit(EXIT_FAILURE);
}

static void check(const char *what, int r) {
        if (r < 0)
                die(what, strerror(-r));
}

static uint64_t now(void) {
        struct timespec at;

        (void) clock_gettime(CLOCK_MONOTONIC, &at);
        return (uint64_t) at.tv_sec * 1000000 + (uint64_t) at.tv_nsec / 1000;
}

static sd_bus *connect_bus(void) {
        const char *unique;
        sd_bus *bus = NULL;

        check("connect", sd_bus_open_user(&bus));
        check("connect", sd_bus_get_unique_name(bus, &unique)); /* waits for the bus's welcome */
        return bus;
}

/* Sends "call", which is released, and waits for the reply. */
static sd_bus_message *finish(sd_bus *bus, const char *what, sd_bus_message *call) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        int r = sd_bus_call(bus, call, 0, &error, &reply);

        if (r < 0)
                die(what, error.message ? error.message : strerror(-r));
        sd_bus_message_unref(call);
        return reply;
}

static sd_bus_message *new_call(sd_bus *bus,
                const char *name,
                const char *path,
                const char *interface,
                const char *member) {
        sd_bus_message *call = NULL;

        check(member, sd_bus_message_new_method_call(bus, &call, name, path, interface, member));
        return call;
}

/* Reads what is left of a message or container, as a client does that wants to know what is in it.
 */
static void read_values(sd_bus_message *message) {
        const char *contents;
        char type;

        while (sd_bus_message_peek_type(message, &type, &contents) > 0) {
                uint64_t value;

                if (contents) {
                        check("enter", sd_bus_message_enter_container(message, type, contents));
                        read_values(message);
                        check("leave", sd_bus_message_exit_container(message));
                        continue;
                }
                check("read", sd_bus_message_read_basic(message, type, &value));
        }
}

/* a{sv} */
static void read_properties(sd_bus_message *message) {
        check("enter", sd_bus_message_enter_container(message, 'a', "{sv}"));
        while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
                const char *name;

                check("read", sd_bus_message_read_basic(message, 's', &name));
                read_values(message);
                check("leave", sd_bus_message_exit_container(message));
        }
        check("leave", sd_bus_message_exit_container(message));
}

/* Listing */

static void expect(const char *what, unsigned found, unsigned machines) {
        if (found != machines)
                die(what, "not the number of machines that there should be");
}

/* a{oa{sa{sv}}}; answers how many of the objects are machines. */
static unsigned read_objects(sd_bus_message *reply) {
        unsigned machines = 0;
        const char *path, *interface;

        check("enter", sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}"));
        while (sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}") > 0) {
                check("read", sd_bus_message_read_basic(reply, 'o', &path));
                check("enter", sd_bus_message_enter_container(reply, 'a', "{sa{sv}}"));
                while (sd_bus_message_enter_container(reply, 'e', "sa{sv}") > 0) {
                        check("read", sd_bus_message_read_basic(reply, 's', &interface));
                        read_properties(reply);
                        machines += strcmp(interface, IFACE_VM) == 0;
                        check("leave", sd_bus_message_exit_container(reply));
                }
                check("leave", sd_bus_message_exit_container(reply));
                check("leave", sd_bus_message_exit_container(reply));
        }
        return machines;
}

static uint64_t time_managed_objects(sd_bus *bus, unsigned machines) {
        uint64_t begin = now();
        sd_bus_message *reply = finish(bus, "GetManagedObjects",
                        new_call(bus, OUR_NAME, OUR_ROOT, "org.freedesktop.DBus.ObjectManager",
                                        "GetManagedObjects"));

        expect("GetManagedObjects", read_objects(reply), machines);
        sd_bus_message_unref(reply);
        return now() - begin;
}

static uint64_t time_list_virtual_machines(sd_bus *bus, unsigned machines) {
        uint64_t begin = now();
        const char *name, *uuid, *state_name, *path;
        unsigned found = 0;
        uint32_t state;
        sd_bus_message *reply = finish(bus, "ListVirtualMachines",
                        new_call(bus, OUR_NAME, OUR_MANAGER, "org.virtask1.Manager",
                                        "ListVirtualMachines"));

        check("enter", sd_bus_message_enter_container(reply, 'a', "(ssuso)"));
        while (sd_bus_message_read(reply, "(ssuso)", &name, &uuid, &state, &state_name, &path) > 0)
                found++;
        expect("ListVirtualMachines", found, machines);
        sd_bus_message_unref(reply);
        return now() - begin;
}

/* There is no call that answers the properties of several domains, so its clients ask one domain
 * after the other. */
static uint64_t time_libvirt_dbus(sd_bus *bus, unsigned machines) {
        uint64_t begin = now();
        sd_bus_message *call, *reply, *properties;
        unsigned found = 0;
        const char *path;

        call = new_call(bus, THEIR_NAME, THEIR_CONNECT, "org.libvirt.Connect", "ListDomains");
        check("append", sd_bus_message_append(call, "u", 0U));
        reply = finish(bus, "ListDomains", call);
        check("enter", sd_bus_message_enter_container(reply, 'a', "o"));
        while (sd_bus_message_read(reply, "o", &path) > 0) {
                call = new_call(bus, THEIR_NAME, path, "org.freedesktop.DBus.Properties", "GetAll");
                check("append", sd_bus_message_append(call, "s", THEIR_DOMAIN));
                properties = finish(bus, "GetAll", call);
                read_properties(properties);
                sd_bus_message_unref(properties);
                found++;
        }
        sd_bus_message_unref(reply);
        expect("ListDomains", found, machines);
        return now() - begin;
}

static int list(unsigned machines, unsigned rounds) {
        sd_bus *bus = connect_bus();

        (void) time_managed_objects(bus, machines);
        (void) time_list_virtual_machines(bus, machines);
        (void) time_libvirt_dbus(bus, machines);
        for (unsigned i = 0; i < rounds; i++) {
                uint64_t objects = time_managed_objects(bus, machines);
                uint64_t machine_list = time_list_virtual_machines(bus, machines);
                uint64_t theirs = time_libvirt_dbus(bus, machines);

                (void) printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", objects, machine_list,
                                theirs);
        }
        sd_bus_flush_close_unref(bus);
        return EXIT_SUCCESS;
}

/* libvirt-dbus knows of the test driver only test:///default, which has one machine. */
static int fill(unsigned machines) {
        sd_bus *bus = connect_bus();

        for (unsigned i = 0; i < machines; i++) {
                char definition[512];
                sd_bus_message *call, *reply;
                const char *path;

                (void) snprintf(definition, sizeof(definition),
                                "<domain type='test'><name>machine-%05u</name>"
                                "<memory unit='MiB'>512</memory><vcpu>1</vcpu>"
                                "<os><type>hvm</type></os></domain>",
                                i);
                call = new_call(bus, THEIR_NAME, THEIR_CONNECT, "org.libvirt.Connect",
                                "DomainDefineXML");
                check("append", sd_bus_message_append(call, "s", definition));
                reply = finish(bus, "DomainDefineXML", call);
                check("read", sd_bus_message_read(reply, "o", &path));
                call = new_call(bus, THEIR_NAME, path, THEIR_DOMAIN, "Create");
                check("append", sd_bus_message_append(call, "u", 0U));
                sd_bus_message_unref(finish(bus, "Create", call));
                sd_bus_message_unref(reply);
        }
        sd_bus_flush_close_unref(bus);
        return EXIT_SUCCESS;
}

/* Replies */

static void ping(sd_bus *bus) {
        sd_bus_message_unref(finish(bus, "Ping",
                        new_call(bus, OUR_NAME, OUR_ROOT, "org.freedesktop.DBus.Peer", "Ping")));
}

static sd_bus_message *start_task(sd_bus *bus, const char *machine, const char *member) {
        sd_bus_message *call = new_call(bus, OUR_NAME, machine, IFACE_VM, member);

        check("append", sd_bus_message_append(call, "a{sv}", 0));
        return finish(bus, member, call);
}

/* Waits for the end of the task that the reply names; releases the reply. */
static void wait_for_success(sd_bus *bus, sd_bus_message *reply) {
        sd_bus_message *call;
        const char *task;

        check("read", sd_bus_message_read(reply, "o", &task));
        call = new_call(bus, OUR_NAME, task, "org.virtask1.Task", "WaitForSuccess");
        check("append", sd_bus_message_append(call, "i", -1));
        sd_bus_message_unref(finish(bus, "WaitForSuccess", call));
        sd_bus_message_unref(reply);
}

/* What was asked for before is worked off when the daemon has answered something later: both kinds
 * of call find it idle. */
static uint64_t time_ping(sd_bus *bus, sd_bus *other) {
        uint64_t begin, end;

        ping(other);
        begin = now();
        ping(bus);
        end = now();
        return end - begin;
}

static uint64_t time_startup(sd_bus *bus, sd_bus *other, const char *machine) {
        uint64_t begin, end;
        sd_bus_message *reply;

        ping(other);
        begin = now();
        reply = start_task(bus, machine, "Startup");
        end = now();
        wait_for_success(other, reply);
        wait_for_success(other, start_task(other, machine, "TurnOff"));
        return end - begin;
}

/* Alternating: Ping and Startup as the first call of a connection, then as later ones. */
static int reply(const char *machine, unsigned rounds) {
        sd_bus *other = connect_bus();

        wait_for_success(other, start_task(other, machine, "TurnOff"));
        for (unsigned i = 0; i < rounds; i++) {
                sd_bus *a = connect_bus(), *b = connect_bus();
                uint64_t first_ping = time_ping(a, other);
                uint64_t first_startup = time_startup(b, other, machine);

                for (unsigned j = 0; j < LATER_CALLS; j++) {
                        uint64_t later_ping = time_ping(b, other);
                        uint64_t later_startup = time_startup(b, other, machine);

                        (void) printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                                        first_ping, first_startup, later_ping, later_startup);
                }
                sd_bus_flush_close_unref(a);
                sd_bus_flush_close_unref(b);
        }
        sd_bus_flush_close_unref(other);
        return EXIT_SUCCESS;
}

/* Commands. The peak that the kernel reports for a child begins with the size of its parent, and we
 * are smaller than anything that is measured. */
static int run(char **command) {
        struct rusage usage;
        uint64_t begin = now(), end;
        int status;
        pid_t pid;

        check(command[0], -posix_spawnp(&pid, command[0], NULL, NULL, command, environ));
        if (wait4(pid, &status, 0, &usage) != pid)
                die(command[0], strerror(errno));
        end = now();
        if (status != 0)
                die(command[0], "failed");
        (void) fprintf(stderr, "%" PRIu64 " %ld\n", end - begin, usage.ru_maxrss);
        return EXIT_SUCCESS;
}

static unsigned number(const char *text) {
        return (unsigned) strtoul(text, NULL, 10);
}

int main(int argc, char **argv) {
        const char *verb = argc > 1 ? argv[1] : "";

        if (argc == 3 && strcmp(verb, "fill") == 0)
                return fill(number(argv[2]));
        if (argc == 4 && strcmp(verb, "list") == 0)
                return list(number(argv[2]), number(argv[3]));
        if (argc == 4 && strcmp(verb, "reply") == 0)
                return reply(argv[2], number(argv[3]));
        if (argc > 2 && strcmp(verb, "run") == 0)
                return run(argv + 2);
        (void) fputs("usage: dbus-bench fill N | list N ROUNDS | reply MACHINE ROUNDS | "
                     "run COMMAND...\n",
                        stderr);
        return 2;
}
