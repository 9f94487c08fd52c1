/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* disk: what a hard disk image is; create-disk, create-fixed-disk and create-differencing-disk: new
 * ones; convert-disk and flatten-disk: copies. The service opens them with the rights of whoever
 * calls; what their names and sizes have to be is its affair.
 */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control.h"
#include "directory.h"
#include "json.h"
#include "message.h"
#include "path-list.h"
#include "property-map.h"
#include "text.h"
#include "verbs.h"
#include "wait-task.h"

#define HARD_DISK_INTERFACE "org.virtask1.HardDisk"
#define TYPE_DYNAMIC        0U /* VMHardDiskType */

/* ---- disk ---- */

typedef struct DiskInfo {
        char *file;
        char *parent;
        char *format;
        PathList machines;
        uint64_t guest_size, host_size, host_free;
        uint32_t type;
} DiskInfo;

/* clang-format off */
static const PropertyRow rows[] = {
        {"File",              's', offsetof(DiskInfo, file)},
        {"Parent",            'o', offsetof(DiskInfo, parent)},
        {"Format",            's', offsetof(DiskInfo, format)},
        {"InUseBy",           'a', offsetof(DiskInfo, machines)},
        {"SizeInGuest",       't', offsetof(DiskInfo, guest_size)},
        {"SizeOnHost",        't', offsetof(DiskInfo, host_size)},
        {"HostFreeDiskSpace", 't', offsetof(DiskInfo, host_free)},
        {"Type",              'u', offsetof(DiskInfo, type)},
};
/* clang-format on */

static void disk_info_clear(DiskInfo *info) {
        property_map_clear(rows, ELEMENTS(rows), info);
}

static const char *type_word(uint32_t type) {
        static const char *const words[] = {"dynamic", "fixed", "differencing"};

        return type < ELEMENTS(words) ? words[type] : "unknown";
}

static void print_size(const char *title, uint64_t bytes) {
        _cleanup_buffer_ Buffer b = {0};

        text_add_size(&b, bytes);
        message_field(title, buffer_text(&b));
}

/* A machine that is gone meanwhile has no name. */
static void print_machines(Session *s, const DiskInfo *info) {
        for (size_t i = 0; i < info->machines.count; i++) {
                const char *path = info->machines.paths[i];
                _cleanup_free_ char *name =
                                bus_client_read_string(s, path, MACHINE_INTERFACE, "Name");

                message_field(i == 0 ? "In use by" : "", name ? name : path);
        }
}

/* Of the parent everybody may know the file, or only who has named it. */
static void print_parent(Session *s, const DiskInfo *info) {
        _cleanup_free_ char *file = NULL;

        if (!info->parent || strcmp(info->parent, "/") == 0)
                return;
        file = bus_client_read_string(s, info->parent, HARD_DISK_INTERFACE, "File");
        message_field("Parent", file && *file ? file : info->parent);
}

static ExitCode find_disk(Session *s, const char *file, char **ret_path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, MANAGER_PATH, MANAGER_INTERFACE, "GetHardDisk");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *what = xasprintf("look at %s", file);
        const char *path = NULL;
        ExitCode code;
        int r;

        if (sd_bus_message_append(m, "s", file) < 0) {
                message_error("the path is not UTF-8");
                return EXIT_CODE_USAGE;
        }
        code = bus_client_call_dialog(s, m, what, &reply);
        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return bus_client_report_reply(r);
        *ret_path = xstrdup(path);
        return EXIT_CODE_OK;
}

static ExitCode read_properties(Session *s, const char *path, sd_bus_message **ret_reply) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, path, PROPERTIES_INTERFACE, "GetAll");
        int r = sd_bus_message_append(m, "s", HARD_DISK_INTERFACE);

        if (r < 0)
                return bus_client_report_reply(r);
        return bus_client_call(s, m, "read the hard disk", ret_reply);
}

static int print_json(Session *s, sd_bus_message *reply) {
        _cleanup_json_ JsonWriter json = {.pretty = s->options.json == JSON_MODE_PRETTY};
        int r = json_message_value(&json, NULL, reply);

        if (r >= 0)
                json_flush(&json);
        return r;
}

static int print_disk(Session *s, const char *file, sd_bus_message *reply) {
        _cleanup_(disk_info_clear) DiskInfo info = {0};
        int r = property_map_read(reply, rows, ELEMENTS(rows), &info);

        if (r < 0)
                return r;
        message_field("File", info.file && *info.file ? info.file : file);
        message_field("Format", info.format ? info.format : "");
        message_field("Type", type_word(info.type));
        print_size("In guest", info.guest_size);
        print_size("On host", info.host_size);
        print_size("Free there", info.host_free);
        print_parent(s, &info);
        print_machines(s, &info);
        return 0;
}

ExitCode cmd_disk(Session *s, const char *verb, char **arguments) {
        _cleanup_free_ char *file = directory_from_argument(&s->options, arguments[0]);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *path = NULL;
        ExitCode code;
        int r;

        if (!file)
                return EXIT_CODE_USAGE;
        code = find_disk(s, file, &path);
        if (code != EXIT_CODE_OK)
                return code;
        code = read_properties(s, path, &reply);
        if (code != EXIT_CODE_OK)
                return code;
        r = s->options.json != JSON_MODE_OFF ? print_json(s, reply) : print_disk(s, file, reply);
        return r < 0 ? bus_client_report_reply(r) : EXIT_CODE_OK;
}

/* ---- create ---- */

/* "10G": bytes, or with a letter the powers of 1024. 0, and says why, if it is none. */
static uint64_t parse_size(const char *text) {
        static const char letters[] = "KMGT";
        const char *letter;
        char *end = NULL;
        uint64_t number, unit = 1;

        errno = 0;
        number = isdigit((unsigned char) *text) ? strtoull(text, &end, 10) : 0;
        letter = end && *end ? strchr(letters, toupper((unsigned char) *end)) : NULL;
        if (letter) {
                unit = UINT64_C(1) << (10 * (letter - letters + 1));
                end++;
        }
        if (errno == 0 && end && *end == '\0' && number > 0 && number <= INT64_MAX / unit)
                return number * unit;
        message_error("a size is a number of bytes, or one with K, M, G or T behind it, not \"%s\"",
                        text);
        return 0;
}

static ExitCode make(Session *s, sd_bus_message *m, const char *file) {
        _cleanup_free_ char *what = xasprintf("make %s", file), *sentence = NULL;
        TaskReportMode report = {0};

        sentence = xasprintf("Made %s", file);
        report.sentence = sentence;
        return task_wait_for_call(s, m, what, NULL, &report);
}

static int append_size(sd_bus_message *m, const Options *options, uint64_t size) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        if (r >= 0)
                r = control_append_flags(m, options);
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "SizeBytes", "t", size);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

ExitCode cmd_create_disk(Session *s, const char *verb, char **arguments) {
        bool fixed = strcmp(verb, "create-fixed-disk") == 0;
        _cleanup_free_ char *file = directory_from_argument(&s->options, arguments[0]);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        uint64_t size = file ? parse_size(arguments[1]) : 0;

        if (size == 0)
                return EXIT_CODE_USAGE;
        m = bus_client_new_call(s, MANAGER_PATH, MANAGER_INTERFACE,
                        fixed ? "CreateFixedVirtualHardDisk" : "CreateDynamicVirtualHardDisk");
        if (sd_bus_message_append(m, "st", file, UINT64_C(0)) < 0 ||
                        append_size(m, &s->options, size) < 0) {
                message_error("the path is not UTF-8");
                return EXIT_CODE_USAGE;
        }
        return make(s, m, file);
}

ExitCode cmd_create_differencing_disk(Session *s, const char *verb, char **arguments) {
        _cleanup_free_ char *file = directory_from_argument(&s->options, arguments[0]);
        _cleanup_free_ char *parent =
                        file ? directory_from_argument(&s->options, arguments[1]) : NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        if (!parent)
                return EXIT_CODE_USAGE;
        m = bus_client_new_call(
                        s, MANAGER_PATH, MANAGER_INTERFACE, "CreateDifferencingVirtualHardDisk");
        if (sd_bus_message_append(m, "ss", file, parent) < 0 ||
                        control_append_options(m, &s->options) < 0) {
                message_error("the path is not UTF-8");
                return EXIT_CODE_USAGE;
        }
        return make(s, m, file);
}

/* ---- copies ---- */

ExitCode cmd_copy_disk(Session *s, const char *verb, char **arguments) {
        bool merges = strcmp(verb, "flatten-disk") == 0;
        _cleanup_free_ char *file = directory_from_argument(&s->options, arguments[0]);
        _cleanup_free_ char *target =
                        file ? directory_from_argument(&s->options, arguments[1]) : NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *path = NULL;
        ExitCode code;

        if (!target)
                return EXIT_CODE_USAGE;
        code = find_disk(s, file, &path);
        if (code != EXIT_CODE_OK)
                return code;
        m = bus_client_new_call(s, path, HARD_DISK_INTERFACE, merges ? "MergeTo" : "Convert");
        if (sd_bus_message_append(m, "su", target, TYPE_DYNAMIC) < 0 ||
                        control_append_options(m, &s->options) < 0) {
                message_error("the path is not UTF-8");
                return EXIT_CODE_USAGE;
        }
        return make(s, m, target);
}
