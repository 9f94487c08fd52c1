/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "export/import-settings.h"

#include "export/import-bases.h"
#include "util/name.h"
#include "util/path.h"

#define FIELD(member) offsetof(ImportRequest, member)

/* clang-format off */
#define COMMON \
        {"Name",                        OPTION_STRING,  FIELD(name),           NO_SEEN, NULL}, \
        {"StorageDirectory",            OPTION_STRING,  FIELD(storage),        NO_SEEN, NULL}, \
        {"ValidateOnly",                OPTION_BOOLEAN, FIELD(validate_only),  NO_SEEN, NULL}, \
        {NULL,                          0,              0,                     NO_SEEN, NULL}

static const OptionSpec package_options[] = {COMMON};

static const OptionSpec options[] = {
        {"BaseDirectories",             OPTION_STRINGS, FIELD(bases),          NO_SEEN, NULL},
        {"GenerateNewSystemIdentifier", OPTION_BOOLEAN, FIELD(new_identifier), NO_SEEN, NULL},
        COMMON,
};
/* clang-format on */

static bool read_request(
                sd_bus_message *call, const OptionSpec *specs, ImportRequest *own, GError **error) {
        const char *directory;

        if (sd_bus_message_read(call, "s", &directory) < 0) {
                g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "The path can not be read");
                return false;
        }
        own->directory = g_strdup(directory);
        return path_check(directory, error) &&
               bus_options_read(call, operation_common_options, specs, own, error) &&
               (!own->name || name_check(own->name, error)) &&
               (!own->storage || path_check(own->storage, error)) &&
               import_bases_check_paths(own, error);
}

bool import_request_parse(sd_bus_message *call, void *request, GError **error) {
        return read_request(call, options, request, error);
}

bool import_request_parse_for_package(sd_bus_message *call, void *request, GError **error) {
        ImportRequest *own = request;

        own->package = own->new_identifier = true;
        return read_request(call, package_options, own, error);
}

void import_request_clear(void *request) {
        ImportRequest *own = request;

        g_free(own->directory);
        g_free(own->name);
        g_free(own->storage);
        g_strfreev(own->bases);
}
