/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The documents want every image to be called something.vhd. Here the ending of the name tells the
 * format, and the two always agree: so whoever finds the image later knows what it is without
 * believing its content. */

#include "harddisk/create-request.h"

#include <string.h>

#include "util/path.h"

#define GROUP "Request"
#define MIB   UINT64_C(0x100000)

#define FIELD(member) offsetof(CreateRequest, member)

/* clang-format off */
static const OptionSpec options[] = {
        {"Format",    OPTION_STRING, FIELD(format_name), NO_SEEN, NULL},
        {"SizeBytes", OPTION_UINT64, FIELD(size),        NO_SEEN, NULL},
        {NULL,        0,             0,                  NO_SEEN, NULL},
};

static const OptionSpec differencing_options[] = {
        {"Format",       OPTION_STRING, FIELD(format_name),   NO_SEEN, NULL},
        {"ParentFormat", OPTION_STRING, FIELD(parent_format), NO_SEEN, NULL},
        {NULL,           0,             0,                    NO_SEEN, NULL},
};

static const OptionSpec copy_options[] = {
        {"Format", OPTION_STRING, FIELD(format_name), NO_SEEN, NULL},
        {NULL,     0,             0,                  NO_SEEN, NULL},
};
/* clang-format on */

static bool fail(VirtaskError code, const char *text, GError **error) {
        g_set_error_literal(error, VIRTASK_ERROR, (int) code, text);
        return false;
}

static bool check_format_name(const char *name, ImageFormat *ret, GError **error) {
        return image_format_find(name, ret) ||
               fail(VIRTASK_ERROR_INVALID_ARGUMENT,
                               "The format must be raw, qcow2, vpc (or vhd) or vhdx", error);
}

/* A name without an ending that we know is one of a raw image, if that is said. */
static bool choose_format(CreateRequest *request, GError **error) {
        ImageFormat named = IMAGE_RAW;
        bool is_named = image_format_of_name(request->path, &named);

        if (!request->format_name && !is_named)
                return fail(VIRTASK_ERROR_NAME_INVALID,
                                "The name must end with .qcow2, .raw, .img, .vhd or .vhdx", error);
        request->format = named;
        if (request->format_name &&
                        !check_format_name(request->format_name, &request->format, error))
                return false;
        if (is_named ? named == request->format : request->format == IMAGE_RAW)
                return true;
        return fail(VIRTASK_ERROR_NAME_INVALID,
                        "The ending of the name and the option Format do not go together", error);
}

static bool check_path(const char *path, GError **error) {
        if (!path_check(path, error))
                return false;
        return !g_str_has_suffix(path, "/") ||
               fail(VIRTASK_ERROR_NAME_INVALID, "The path ends with a slash", error);
}

/* Without a size in bytes it is the one in MiB. */
static bool choose_size(CreateRequest *request, uint64_t mib, GError **error) {
        if (request->size == 0 && mib == 0)
                return fail(VIRTASK_ERROR_INVALID_ARGUMENT, "The size is 0", error);
        if (request->size == 0)
                request->size = mib <= INT64_MAX / MIB ? mib * MIB : INT64_MAX;
        return image_format_check_size(request->format, request->size, error);
}

static bool parse_sized(sd_bus_message *call, CreateRequest *request, bool fixed, GError **error) {
        const char *path;
        uint64_t mib;

        if (sd_bus_message_read(call, "st", &path, &mib) < 0)
                return fail(VIRTASK_ERROR_INVALID_ARGUMENT, "The path can not be read", error);
        request->path = g_strdup(path);
        request->fixed = fixed;
        return check_path(path, error) &&
               bus_options_read(call, operation_common_options, options, request, error) &&
               choose_format(request, error) && choose_size(request, mib, error);
}

bool create_request_parse_dynamic(sd_bus_message *call, void *request, GError **error) {
        return parse_sized(call, request, false, error);
}

bool create_request_parse_fixed(sd_bus_message *call, void *request, GError **error) {
        return parse_sized(call, request, true, error);
}

/* One of the two may be relative to the directory of the other. A parent that is stays so in the
 * header, and the two can be moved together. */
static void join(CreateRequest *request, const char *path, const char *parent) {
        g_autofree char *of_path = g_path_get_dirname(path);
        g_autofree char *of_parent = g_path_get_dirname(parent);

        if (g_path_is_absolute(path) && !g_path_is_absolute(parent)) {
                request->path = g_strdup(path);
                request->parent = g_canonicalize_filename(parent, of_path);
                request->backing = g_strdup(parent);
        } else if (g_path_is_absolute(parent) && !g_path_is_absolute(path)) {
                request->path = *path ? g_canonicalize_filename(path, of_parent) : g_strdup(path);
                request->parent = g_strdup(parent);
        } else {
                request->path = g_strdup(path);
                request->parent = g_strdup(parent);
        }
}

static bool check_parent(const CreateRequest *request, const char *parent, GError **error) {
        ImageFormat format;

        if (!*parent)
                return fail(VIRTASK_ERROR_BAD_PATH, "The path of the parent is empty", error);
        return path_check(request->parent, error) &&
               (!request->parent_format ||
                               check_format_name(request->parent_format, &format, error));
}

bool create_request_parse_differencing(sd_bus_message *call, void *data, GError **error) {
        CreateRequest *request = data;
        const char *path, *parent;

        if (sd_bus_message_read(call, "ss", &path, &parent) < 0)
                return fail(VIRTASK_ERROR_INVALID_ARGUMENT, "The paths can not be read", error);
        join(request, path, parent);
        if (!check_path(request->path, error) ||
                        !bus_options_read(call, operation_common_options, differencing_options,
                                        request, error) ||
                        !check_parent(request, parent, error) || !choose_format(request, error))
                return false;
        return request->format == IMAGE_QCOW2 ||
               fail(VIRTASK_ERROR_WRONG_DISK_TYPE,
                               "Only a qcow2 image can rest on another one: its name ends with "
                               ".qcow2",
                               error);
}

/* Copies */

static bool parse_copy(sd_bus_message *call, CreateRequest *request, GError **error) {
        const char *path;
        uint32_t type;

        if (sd_bus_message_read(call, "su", &path, &type) < 0)
                return fail(VIRTASK_ERROR_INVALID_ARGUMENT, "The path can not be read", error);
        request->path = g_strdup(path);
        request->fixed = type == IMAGE_FIXED;
        if (!check_path(path, error) ||
                        !bus_options_read(call, operation_common_options, copy_options, request,
                                        error) ||
                        !choose_format(request, error))
                return false;
        return type == IMAGE_DYNAMIC || type == IMAGE_FIXED ||
               fail(VIRTASK_ERROR_WRONG_DISK_TYPE, "The type must be 0, dynamic, or 1, fixed",
                               error);
}

bool create_request_parse_convert(sd_bus_message *call, void *request, GError **error) {
        return parse_copy(call, request, error);
}

bool create_request_parse_merge_to(sd_bus_message *call, void *request, GError **error) {
        ((CreateRequest *) request)->merges = true;
        return parse_copy(call, request, error);
}

/* To and from the ledger */

static void store_text(GKeyFile *file, const char *key, const char *text) {
        if (text)
                g_key_file_set_string(file, GROUP, key, text);
}

void create_request_store(const void *data, GKeyFile *file) {
        const CreateRequest *request = data;

        store_text(file, "Path", request->path);
        store_text(file, "Parent", request->parent);
}

/* To settle it, nothing else is asked for. */
void create_request_load(void *data, GKeyFile *file) {
        CreateRequest *request = data;

        request->path = g_key_file_get_string(file, GROUP, "Path", NULL);
        request->parent = g_key_file_get_string(file, GROUP, "Parent", NULL);
}

void create_request_clear(void *data) {
        CreateRequest *request = data;

        g_free(request->path);
        g_free(request->parent);
        g_free(request->backing);
        g_free(request->parent_format);
        g_free(request->format_name);
}
