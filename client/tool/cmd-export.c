/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* export and import: a machine into a directory or a package, and back; export-point: what it was;
 * export-collection: several. The service does both with the rights of whoever calls, so all that
 * is checked here is the line.
 */

#include <string.h>

#include "collection-ref.h"
#include "control.h"
#include "directory.h"
#include "export-setting.h"
#include "machine-ref.h"
#include "message.h"
#include "snapshot-ref.h"
#include "verbs.h"
#include "wait-task.h"

#define PACKAGE_SUFFIX ".ova"

/* Both calls begin with a directory, and an a{sv} with flags, which stays open. */
static int open_call(sd_bus_message *m, const char *directory, const Options *options) {
        int r = sd_bus_message_append(m, "s", directory);

        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        return r < 0 ? r : control_append_flags(m, options);
}

/* A file of the format that other products know; with a slash behind it, it is a directory. */
static bool is_package(const char *argument) {
        size_t length = strlen(argument), suffix = strlen(PACKAGE_SUFFIX);

        return length > suffix && strcmp(argument + length - suffix, PACKAGE_SUFFIX) == 0;
}

/* ---- export ---- */

/* Snapshots may be named as everywhere; what begins with a slash is a path already. */
static ExitCode resolve_objects(ExportSettings *settings, Session *s, const ObjectRef *machine) {
        for (size_t i = 0; i < EXPORT_SETTINGS; i++) {
                char **value = settings->values + i;
                _cleanup_(object_ref_clear) ObjectRef snapshot = {0};
                ExitCode code;

                if (export_settings[i].kind != EXPORT_SETTING_OBJECT || !*value || **value == '/')
                        continue;
                code = snapshot_ref_resolve(&snapshot, s, machine, *value);
                if (code != EXIT_CODE_OK)
                        return code;
                string_replace(value, snapshot.path);
        }
        return EXIT_CODE_OK;
}

static int append_export(sd_bus_message *m,
                const char *directory,
                const ExportSettings *settings,
                const Options *options) {
        int r = open_call(m, directory, options);

        if (r >= 0)
                r = export_settings_append(m, settings);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

ExitCode cmd_export(Session *s, const char *verb, char **arguments) {
        static const TaskReportMode report = {0};
        _cleanup_(export_settings_clear) ExportSettings settings = {0};
        _cleanup_(object_ref_clear) ObjectRef machine = {0};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *directory = directory_from_argument(&s->options, arguments[1]);
        _cleanup_free_ char *what = NULL;
        bool package = is_package(arguments[1]);
        ExitCode code = EXIT_CODE_USAGE;

        if (directory)
                code = package ? export_settings_read_package(&settings, &s->options)
                               : export_settings_read(&settings, &s->options);
        if (code == EXIT_CODE_OK)
                code = machine_ref_resolve(&machine, s, arguments[0]);
        if (code == EXIT_CODE_OK)
                code = resolve_objects(&settings, s, &machine);
        if (code != EXIT_CODE_OK)
                return code;
        m = bus_client_new_call(s, machine.path, MACHINE_INTERFACE,
                        package ? "ExportPackage" : "ExportSystemDefinition");
        if (append_export(m, directory, &settings, &s->options) < 0) {
                message_error("the path is not UTF-8, or a setting is no object path");
                return EXIT_CODE_USAGE;
        }
        what = xasprintf("export %s", machine.name);
        return task_wait_for_call(s, m, what, machine.name, &report);
}

ExitCode cmd_export_collection(Session *s, const char *verb, char **arguments) {
        static const TaskReportMode report = {0};
        _cleanup_(object_ref_clear) ObjectRef ref = {0};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *directory = directory_from_argument(&s->options, arguments[1]);
        _cleanup_free_ char *what = NULL;
        ExitCode code = directory ? collection_ref_resolve_snapshot(&ref, s, arguments[0])
                                  : EXIT_CODE_USAGE;

        if (code != EXIT_CODE_OK)
                return code;
        m = bus_client_new_call(s, ref.path, COLLECTION_SNAPSHOT_INTERFACE, "ExportSnapshot");
        if (open_call(m, directory, &s->options) < 0 || sd_bus_message_close_container(m) < 0) {
                message_error("the directory is not UTF-8");
                return EXIT_CODE_USAGE;
        }
        what = xasprintf("export %s", ref.name);
        return task_wait_for_call(s, m, what, ref.name, &report);
}

static int append_point_export(sd_bus_message *m,
                const char *directory,
                const char *base,
                const Options *options) {
        int r = open_call(m, directory, options);

        if (r >= 0 && base)
                r = sd_bus_message_append(m, "{sv}", "BaseReferencePoint", "o", base);
        if (r >= 0 && options_has(options, OPTION_NO_SUBDIRECTORY))
                r = sd_bus_message_append(m, "{sv}", "CreateVmExportSubdirectory", "b", 0);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

ExitCode cmd_export_point(Session *s, const char *verb, char **arguments) {
        static const TaskReportMode report = {0};
        _cleanup_(object_ref_clear) ObjectRef machine = {0}, point = {0}, base = {0};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *directory = directory_from_argument(&s->options, arguments[2]);
        _cleanup_free_ char *what = NULL;
        ExitCode code = directory ? machine_ref_resolve(&machine, s, arguments[0])
                                  : EXIT_CODE_USAGE;

        if (code == EXIT_CODE_OK)
                code = snapshot_ref_resolve_point(&point, s, &machine, arguments[1]);
        if (code == EXIT_CODE_OK && s->options.since)
                code = snapshot_ref_resolve_point(&base, s, &machine, s->options.since);
        if (code != EXIT_CODE_OK)
                return code;
        m = bus_client_new_call(s, point.path, POINT_INTERFACE, "Export");
        if (append_point_export(m, directory, base.path, &s->options) < 0) {
                message_error("the directory is not UTF-8");
                return EXIT_CODE_USAGE;
        }
        what = xasprintf("export reference point %s of %s", point.name, machine.name);
        return task_wait_for_call(s, m, what, machine.name, &report);
}

/* ---- import ---- */

static int append_text(sd_bus_message *m, const char *key, const char *text) {
        return text ? sd_bus_message_append(m, "{sv}", key, "s", text) : 0;
}

static int append_texts(sd_bus_message *m, const char *key, char **texts) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", key);
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(m, texts);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_import(sd_bus_message *m,
                const char *directory,
                const char *storage,
                char **bases,
                const Options *options) {
        int r = open_call(m, directory, options);

        if (r >= 0 && *bases)
                r = append_texts(m, "BaseDirectories", bases);
        if (r >= 0)
                r = append_text(m, "Name", options->name);
        if (r >= 0)
                r = append_text(m, "StorageDirectory", storage);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static void free_texts(char ***texts) {
        for (char **text = *texts; text && *text; text++)
                free(*text);
        free(*texts);
}

/* The directories of --base; NULL if one of them can not be. */
static char **bases_from_options(const Options *options) {
        _cleanup_(free_texts) char **bases = xcalloc(options->bases.count + 1, sizeof(*bases));

        for (size_t i = 0; i < options->bases.count; i++) {
                bases[i] = directory_from_argument(options, options->bases.items[i]);
                if (!bases[i])
                        return NULL;
        }
        return STEAL_POINTER(bases);
}

ExitCode cmd_import(Session *s, const char *verb, char **arguments) {
        const char *option = s->options.storage;
        _cleanup_free_ char *directory = directory_from_argument(&s->options, arguments[0]);
        _cleanup_free_ char *storage =
                        directory && option ? directory_from_argument(&s->options, option) : NULL;
        _cleanup_(free_texts) char **bases = directory ? bases_from_options(&s->options) : NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *what = NULL, *sentence = NULL;
        TaskReportMode report = {0};
        bool package = is_package(arguments[0]);

        if (!directory || !bases || (option && !storage))
                return EXIT_CODE_USAGE;
        if (package && options_has(&s->options, OPTION_NEW_IDENTIFIER)) {
                message_error("a package takes no --new-identifier: its machine always gets one");
                return EXIT_CODE_USAGE;
        }
        if (package && options_has(&s->options, OPTION_BASE)) {
                message_error("a package takes no --base: its disks are whole");
                return EXIT_CODE_USAGE;
        }
        m = bus_client_new_call(s, MANAGER_PATH, MANAGER_INTERFACE,
                        package ? "ImportPackage" : "ImportSystemDefinition");
        if (append_import(m, directory, storage, bases, &s->options) < 0) {
                message_error("the path or the name is not UTF-8");
                return EXIT_CODE_USAGE;
        }
        what = xasprintf("import %s", directory);
        sentence = xasprintf("%s can be imported", directory);
        if (options_has(&s->options, OPTION_VALIDATE))
                report.sentence = sentence;
        return task_wait_for_call(s, m, what, NULL, &report);
}
