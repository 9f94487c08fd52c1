/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Error names to exit codes. The names come from the error table of the service, so a renamed error
 * can not be forgotten here; the table below it holds only the rows whose exit code is not 1. A
 * second list holds the names that the bus itself makes when there is nobody to answer, or nothing
 * at a path. */

#include <string.h>

#include "util/error-table.h"

#include "common.h"
#include "exit-code.h"

/* clang-format off */
#define ROW_IDENTIFIER(id, name, hresult, symbol, cim_a, cim_b, result, meaning) ERROR_##id,
#define ROW_NAME(id, name, hresult, symbol, cim_a, cim_b, result, meaning) [ERROR_##id] = {name, meaning},
/* clang-format on */

typedef enum ErrorRow { ERROR_TABLE(ROW_IDENTIFIER) ERROR_ROWS } ErrorRow;

static const struct {
        const char *name;
        const char *meaning;
} rows[ERROR_ROWS] = {ERROR_TABLE(ROW_NAME)};

/* clang-format off */
static const struct {
        ErrorRow row;
        ExitCode code;
} row_codes[] = {
        {ERROR_NO_SUCH_VIRTUAL_MACHINE, EXIT_CODE_NOT_FOUND},
        {ERROR_NO_SUCH_SNAPSHOT,        EXIT_CODE_NOT_FOUND},
        {ERROR_NO_SUCH_COLLECTION,      EXIT_CODE_NOT_FOUND},
        {ERROR_NO_SUCH_TASK,            EXIT_CODE_NOT_FOUND},
        {ERROR_PATH_NOT_FOUND,          EXIT_CODE_NOT_FOUND},
        {ERROR_ACCESS_DENIED,           EXIT_CODE_DENIED},
        {ERROR_INTERACTION_REQUIRED,    EXIT_CODE_DENIED},
        {ERROR_NOT_RUNNING,             EXIT_CODE_STATE},
        {ERROR_ALREADY_RUNNING,         EXIT_CODE_STATE},
        {ERROR_RUNNING_OR_SAVED,        EXIT_CODE_STATE},
        {ERROR_NO_SAVED_STATE,          EXIT_CODE_STATE},
        {ERROR_ALREADY_PAUSED,          EXIT_CODE_STATE},
        {ERROR_NOT_PAUSED,              EXIT_CODE_STATE},
        {ERROR_MACHINE_ACTIVE,          EXIT_CODE_STATE},
        {ERROR_UNDO_DISKS_MARKED_FOR_DELETION, EXIT_CODE_STATE},
        {ERROR_INVALID_STATE,           EXIT_CODE_STATE},
        {ERROR_IN_USE,                  EXIT_CODE_STATE},
        {ERROR_FILE_IN_USE,             EXIT_CODE_STATE},
        {ERROR_PARENT_IN_USE,           EXIT_CODE_STATE},
        {ERROR_NOT_CANCELABLE,          EXIT_CODE_STATE},
        {ERROR_ALREADY_COMPLETE,        EXIT_CODE_STATE},
        {ERROR_GUEST_LOCKED,            EXIT_CODE_STATE},
        {ERROR_GUEST_NOT_READY,         EXIT_CODE_STATE},
        {ERROR_GUEST_SHUTDOWN_IN_PROGRESS, EXIT_CODE_STATE},
        {ERROR_NO_LOGON_SESSION,        EXIT_CODE_STATE},
        {ERROR_CANCELLED,               EXIT_CODE_CANCELLED},
};

static const struct {
        const char *name;
        ExitCode code;
} bus_codes[] = {
        {"org.freedesktop.DBus.Error.UnknownObject",       EXIT_CODE_NOT_FOUND},
        {"org.freedesktop.DBus.Error.UnknownInterface",    EXIT_CODE_NOT_FOUND},
        {"org.freedesktop.DBus.Error.ServiceUnknown",      EXIT_CODE_UNREACHABLE},
        {"org.freedesktop.DBus.Error.NameHasNoOwner",      EXIT_CODE_UNREACHABLE},
        {"org.freedesktop.DBus.Error.NoReply",             EXIT_CODE_UNREACHABLE},
        {"org.freedesktop.DBus.Error.NoServer",            EXIT_CODE_UNREACHABLE},
        {"org.freedesktop.DBus.Error.Disconnected",        EXIT_CODE_UNREACHABLE},
        {"org.freedesktop.DBus.Error.Timeout",             EXIT_CODE_UNREACHABLE},
        {"org.freedesktop.DBus.Error.TimedOut",            EXIT_CODE_UNREACHABLE},
        {"System.Error.ENOTCONN",                          EXIT_CODE_UNREACHABLE},
        {"System.Error.ECONNRESET",                        EXIT_CODE_UNREACHABLE},
        {"System.Error.ETIMEDOUT",                         EXIT_CODE_UNREACHABLE},
};
/* clang-format on */

/* systemd and the bus have a family of names for "could not be activated". */
static const char *const unreachable_prefixes[] = {
                "org.freedesktop.DBus.Error.Spawn.",
                "org.freedesktop.systemd1.",
};

ExitCode exit_code_worst(ExitCode a, ExitCode b) {
        return a > b ? a : b;
}

static bool is_row(const char *name, ErrorRow row) {
        return name && strcmp(name, rows[row].name) == 0;
}

ExitCode exit_code_of_error(const char *name) {
        if (!name)
                return EXIT_CODE_FAILED;
        for (size_t i = 0; i < ELEMENTS(row_codes); i++)
                if (is_row(name, row_codes[i].row))
                        return row_codes[i].code;
        for (size_t i = 0; i < ELEMENTS(bus_codes); i++)
                if (strcmp(name, bus_codes[i].name) == 0)
                        return bus_codes[i].code;
        for (size_t i = 0; i < ELEMENTS(unreachable_prefixes); i++)
                if (strncmp(name, unreachable_prefixes[i], strlen(unreachable_prefixes[i])) == 0)
                        return EXIT_CODE_UNREACHABLE;
        return EXIT_CODE_FAILED;
}

bool error_is_no_such_machine(const char *name) {
        return is_row(name, ERROR_NO_SUCH_VIRTUAL_MACHINE);
}

bool error_is_already_complete(const char *name) {
        return is_row(name, ERROR_ALREADY_COMPLETE);
}

const char *error_meaning(const char *name) {
        for (size_t i = 0; i < ELEMENTS(rows); i++)
                if (strcmp(name, rows[i].name) == 0)
                        return rows[i].meaning;
        return NULL;
}
