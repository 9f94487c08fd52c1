/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Finds the machine that a word of the command line means. The service knows names and whole UUIDs;
 * beginnings of a UUID, as people copy them from a list, and suggestions for a misspelt name are
 * made here from the list of machines, which is read only when the service does not know the word.
 */

#include <ctype.h>
#include <string.h>

#include "buffer.h"
#include "machine-ref.h"
#include "message.h"

#define PREFIX_DIGITS_MIN 4
#define SUGGESTIONS_MAX   5
#define DISTANCE_MAX      3
/* Names are at most 80 characters; longer words are not worth comparing. */
#define DISTANCE_LENGTH_MAX 80

void machine_ref_clear(MachineRef *ref) {
        free(ref->path);
        free(ref->name);
        *ref = (MachineRef){0};
}

MachineRef *machine_ref_free_all(MachineRef *refs, size_t count) {
        for (size_t i = 0; i < count; i++)
                machine_ref_clear(refs + i);
        free(refs);
        return NULL;
}

bool machine_ref_matches_uuid(const char *uuid, const char *prefix) {
        size_t digits = 0;

        for (; *prefix; prefix++) {
                if (*prefix == '-' || *prefix == '_')
                        continue;
                if (!isxdigit((unsigned char) *prefix))
                        return false;
                while (*uuid == '-')
                        uuid++;
                if (tolower((unsigned char) *uuid) != tolower((unsigned char) *prefix))
                        return false;
                uuid++;
                digits++;
        }
        return digits >= PREFIX_DIGITS_MIN;
}

static size_t least(size_t a, size_t b, size_t c) {
        size_t least = a < b ? a : b;

        return least < c ? least : c;
}

size_t machine_ref_distance(const char *a, const char *b, size_t limit) {
        size_t row[DISTANCE_LENGTH_MAX + 1];
        size_t length_a = strlen(a), length_b = strlen(b);

        if (length_a > DISTANCE_LENGTH_MAX || length_b > DISTANCE_LENGTH_MAX)
                return limit + 1;
        for (size_t j = 0; j <= length_b; j++)
                row[j] = j;
        for (size_t i = 1; i <= length_a; i++) {
                size_t diagonal = row[0];

                row[0] = i;
                for (size_t j = 1; j <= length_b; j++) {
                        bool same = tolower((unsigned char) a[i - 1]) ==
                                    tolower((unsigned char) b[j - 1]);
                        size_t value = least(row[j] + 1, row[j - 1] + 1, diagonal + !same);

                        diagonal = row[j];
                        row[j] = value;
                }
        }
        return row[length_b] > limit ? limit + 1 : row[length_b];
}

typedef struct Candidate {
        const char *name, *uuid, *path;
        size_t distance;
} Candidate;

static int compare_candidates(const void *a, const void *b) {
        const Candidate *x = a, *y = b;

        if (x->distance != y->distance)
                return x->distance < y->distance ? -1 : 1;
        return strverscmp(x->name, y->name);
}

/* The strings point into @reply, which the caller keeps. */
/* How many edits a slip of the finger may be: in a short word fewer. */
static size_t near_limit(const char *argument) {
        size_t limit = strlen(argument) / 3 + 1;

        return limit < DISTANCE_MAX ? limit : DISTANCE_MAX;
}

static int read_candidates(
                sd_bus_message *reply, const char *argument, Candidate **ret, size_t *ret_count) {
        _cleanup_free_ Candidate *candidates = NULL;
        Candidate c = {0};
        size_t count = 0, limit = near_limit(argument);
        int r = sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "(ssuso)");

        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(reply, "(ssuso)", &c.name, &c.uuid, NULL, NULL, &c.path)) >
                        0) {
                c.distance = machine_ref_distance(argument, c.name, limit);
                if (*argument && strcasestr(c.name, argument))
                        c.distance = 1;
                candidates = array_grow(candidates, count, sizeof(c));
                candidates[count++] = c;
        }
        if (r < 0)
                return r;
        if (count > 0)
                qsort(candidates, count, sizeof(*candidates), compare_candidates);
        *ret = STEAL_POINTER(candidates);
        *ret_count = count;
        return 0;
}

/* Near names if there are any, otherwise the first ones. */
static ExitCode report_unknown(const char *argument, const Candidate *candidates, size_t count) {
        _cleanup_buffer_ Buffer names = {0};
        size_t limit = near_limit(argument);
        bool near = count > 0 && candidates[0].distance <= limit;

        for (size_t i = 0; i < count && i < SUGGESTIONS_MAX; i++)
                if (!near || candidates[i].distance <= limit)
                        buffer_add_format(&names, "%s%s", i > 0 ? ", " : "", candidates[i].name);
        if (!near && count > SUGGESTIONS_MAX)
                buffer_add(&names, ", ...");
        if (count > 0)
                message_error("no virtual machine \"%s\" (try: %s)", argument, buffer_text(&names));
        else
                message_error("no virtual machine \"%s\" (there are none)", argument);
        return EXIT_CODE_NOT_FOUND;
}

static ExitCode resolve_from_list(MachineRef *ref, Session *s, const char *argument) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = bus_client_new_call(
                        s, MANAGER_PATH, MANAGER_INTERFACE, "ListVirtualMachines");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ Candidate *candidates = NULL;
        const Candidate *found = NULL;
        size_t count = 0;
        ExitCode code = bus_client_call(s, m, "list the machines", &reply);
        int r;

        if (code != EXIT_CODE_OK)
                return code;
        r = read_candidates(reply, argument, &candidates, &count);
        if (r < 0)
                return bus_client_report_reply(r);
        for (size_t i = 0; i < count; i++) {
                if (!machine_ref_matches_uuid(candidates[i].uuid, argument))
                        continue;
                if (found) {
                        message_error("\"%s\" fits several virtual machines (%s, %s)", argument,
                                        found->name, candidates[i].name);
                        return EXIT_CODE_NOT_FOUND;
                }
                found = candidates + i;
        }
        if (!found)
                return report_unknown(argument, candidates, count);
        *ref = (MachineRef){xstrdup(found->path), xstrdup(found->name)};
        return EXIT_CODE_OK;
}

static ExitCode resolve_path(MachineRef *ref, Session *s, const char *path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *name = NULL;
        int r;

        if (!sd_bus_object_path_is_valid(path)) {
                message_error("no virtual machine \"%s\"", path);
                return EXIT_CODE_NOT_FOUND;
        }
        m = bus_client_new_call(s, path, PROPERTIES_INTERFACE, "Get");
        r = sd_bus_message_append(m, "ss", MACHINE_INTERFACE, "Name");
        if (r < 0)
                return bus_client_report_reply(r);
        if (bus_client_try(s, m, 0, &error, &reply) < 0) {
                if (bus_client_is_gone(&error))
                        return bus_client_report("find the machine", &error);
                message_error("no virtual machine \"%s\"", path);
                return EXIT_CODE_NOT_FOUND;
        }
        r = sd_bus_message_read(reply, "v", "s", &name);
        if (r < 0)
                return bus_client_report_reply(r);
        *ref = (MachineRef){xstrdup(path), xstrdup(name)};
        return EXIT_CODE_OK;
}

ExitCode machine_ref_resolve(MachineRef *ref, Session *s, const char *argument) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path = NULL;
        int r;

        if (strncmp(argument, MACHINE_PATH_PREFIX, strlen(MACHINE_PATH_PREFIX)) == 0)
                return resolve_path(ref, s, argument);
        m = bus_client_new_call(s, MANAGER_PATH, MANAGER_INTERFACE, "FindVirtualMachine");
        if (sd_bus_message_append(m, "s", argument) < 0) {
                message_error("no virtual machine \"%s\"",
                                argument); /* not UTF-8: no name of the bus */
                return EXIT_CODE_NOT_FOUND;
        }
        if (bus_client_try(s, m, 0, &error, &reply) < 0) {
                if (error_is_no_such_machine(error.name))
                        return resolve_from_list(ref, s, argument);
                return bus_client_report("find the machine", &error);
        }
        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return bus_client_report_reply(r);
        return resolve_path(ref, s, path);
}

static bool contains(const MachineRef *refs, size_t count, const char *path) {
        for (size_t i = 0; i < count; i++)
                if (strcmp(refs[i].path, path) == 0)
                        return true;
        return false;
}

ExitCode machine_ref_resolve_all(
                MachineRef **ret_refs, size_t *ret_count, Session *s, char **arguments) {
        MachineRef *refs = NULL;
        ExitCode worst = EXIT_CODE_OK;
        size_t count = 0;

        for (; *arguments; arguments++) {
                MachineRef ref = {0};
                ExitCode code = machine_ref_resolve(&ref, s, *arguments);

                worst = exit_code_worst(worst, code);
                if (code == EXIT_CODE_UNREACHABLE)
                        break;
                if (code != EXIT_CODE_OK || contains(refs, count, ref.path)) {
                        machine_ref_clear(&ref);
                        continue;
                }
                refs = array_grow(refs, count, sizeof(*refs));
                refs[count++] = ref;
        }
        if (worst != EXIT_CODE_OK) {
                machine_ref_free_all(refs, count);
                return worst;
        }
        *ret_refs = refs;
        *ret_count = count;
        return EXIT_CODE_OK;
}
