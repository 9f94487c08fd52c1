/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Everything that makes or changes a collection. All of it is done at once. Words are looked up
 * before anything is changed, so that a misspelt member changes nothing. */

#include "collection-ref.h"
#include "control.h"
#include "machine-ref.h"
#include "message.h"
#include "verbs.h"

static void print_done(Session *s, const char *verb, const char *text, const ObjectRef *ref) {
        control_print_done(s, verb, text, "collection", ref->name, ref->path);
}

/* "web1, web2" */
static char *list_names(const ObjectRefs *refs) {
        _cleanup_buffer_ Buffer b = {0};

        for (size_t i = 0; i < refs->count; i++)
                buffer_add_format(&b, "%s%s", i > 0 ? ", " : "", refs->items[i].name);
        return buffer_steal(&b);
}

/* ---- members ---- */

static ExitCode call_with_member(Session *s,
                const ObjectRef *collection,
                const char *method,
                const char *what,
                const ObjectRef *member) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, collection->path, COLLECTION_INTERFACE, method);
        int r = sd_bus_message_append(m, "o", member->path);

        return r < 0 ? bus_client_report_reply(r) : bus_client_call_dialog(s, m, what, NULL);
}

/* Those that could not be taken in do not keep the others out. */
static ExitCode add_members(Session *s, const ObjectRef *collection, const ObjectRefs *members) {
        ExitCode worst = EXIT_CODE_OK;

        for (size_t i = 0; i < members->count && worst != EXIT_CODE_UNREACHABLE; i++) {
                const ObjectRef *member = members->items + i;
                _cleanup_free_ char *what =
                                xasprintf("add %s to %s", member->name, collection->name);

                worst = exit_code_worst(
                                worst, call_with_member(s, collection, "AddMember", what, member));
        }
        return worst;
}

static ExitCode resolve_members(
                ObjectRefs *members, Session *s, char **arguments, bool of_collections) {
        return object_refs_resolve(members, s, arguments,
                        of_collections ? collection_ref_resolve : machine_ref_resolve);
}

static ExitCode read_type(Session *s, const ObjectRef *collection, bool *ret_of_collections) {
        _cleanup_(inventory_clear) Inventory inventory = {0};
        ExitCode code = inventory_load(&inventory, s);
        const CollectionInfo *info = inventory_find_collection(&inventory, collection->path);

        *ret_of_collections = info && collection_info_is_of_collections(info);
        return code;
}

ExitCode cmd_add_member(Session *s, const char *verb, char **arguments) {
        _cleanup_(object_ref_clear) ObjectRef collection = {0};
        _cleanup_(object_refs_clear) ObjectRefs members = {0};
        _cleanup_free_ char *names = NULL, *text = NULL;
        bool of_collections = false;
        ExitCode code = collection_ref_resolve(&collection, s, arguments[0]);

        if (code == EXIT_CODE_OK)
                code = read_type(s, &collection, &of_collections);
        if (code == EXIT_CODE_OK)
                code = resolve_members(&members, s, arguments + 1, of_collections);
        if (code == EXIT_CODE_OK)
                code = add_members(s, &collection, &members);
        if (code != EXIT_CODE_OK)
                return code;
        names = list_names(&members);
        text = xasprintf("Added %s to %s", names, collection.name);
        print_done(s, verb, text, &collection);
        return EXIT_CODE_OK;
}

ExitCode cmd_remove_member(Session *s, const char *verb, char **arguments) {
        _cleanup_(object_ref_clear) ObjectRef collection = {0};
        _cleanup_(object_refs_clear) ObjectRefs members = {0};
        _cleanup_free_ char *names = NULL, *text = NULL;
        ExitCode code = collection_ref_resolve(&collection, s, arguments[0]);

        if (code == EXIT_CODE_OK)
                code = collection_ref_resolve_members(&members, s, &collection, arguments + 1);
        for (size_t i = 0; code == EXIT_CODE_OK && i < members.count; i++) {
                const ObjectRef *member = members.items + i;
                _cleanup_free_ char *what =
                                xasprintf("remove %s from %s", member->name, collection.name);

                code = call_with_member(s, &collection, "RemoveMember", what, member);
        }
        if (code != EXIT_CODE_OK)
                return code;
        names = list_names(&members);
        text = xasprintf("Removed %s from %s", names, collection.name);
        print_done(s, verb, text, &collection);
        return EXIT_CODE_OK;
}

/* ---- the collection ---- */

static ExitCode define(Session *s, const char *name, bool of_collections, ObjectRef *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, MANAGER_PATH, MANAGER_INTERFACE, "DefineCollection");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *what = xasprintf("define the collection %s", name);
        unsigned type = of_collections ? COLLECTION_TYPE_COLLECTIONS : COLLECTION_TYPE_MACHINES;
        const char *path = NULL;
        ExitCode code;
        int r;

        if (sd_bus_message_append(m, "ssqa{sv}", name, "", type, 0) < 0) {
                message_error("the name is not UTF-8");
                return EXIT_CODE_FAILED;
        }
        code = bus_client_call_dialog(s, m, what, &reply);
        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return bus_client_report_reply(r);
        *ret = (ObjectRef){xstrdup(path), xstrdup(name)};
        return EXIT_CODE_OK;
}

ExitCode cmd_define_collection(Session *s, const char *verb, char **arguments) {
        bool of_collections = options_has(&s->options, OPTION_OF_COLLECTIONS);
        _cleanup_(object_ref_clear) ObjectRef collection = {0};
        _cleanup_(object_refs_clear) ObjectRefs members = {0};
        _cleanup_free_ char *names = NULL, *text = NULL;
        ExitCode code = resolve_members(&members, s, arguments + 1, of_collections);

        if (code == EXIT_CODE_OK)
                code = define(s, arguments[0], of_collections, &collection);
        if (code != EXIT_CODE_OK)
                return code;
        code = add_members(s, &collection, &members);
        names = list_names(&members);
        text = xasprintf("Defined collection %s%s%s", collection.name,
                        code == EXIT_CODE_OK && members.count > 0 ? " of " : "",
                        code == EXIT_CODE_OK ? names : "");
        print_done(s, verb, text, &collection);
        return code;
}

ExitCode cmd_rename_collection(Session *s, const char *verb, char **arguments) {
        _cleanup_(object_ref_clear) ObjectRef ref = {0};
        _cleanup_free_ char *what = NULL;
        ExitCode code = collection_ref_resolve(&ref, s, arguments[0]);

        if (code != EXIT_CODE_OK)
                return code;
        what = xasprintf("collection %s", ref.name);
        return control_rename(s, verb,
                        &(ControlTarget){ref.path, COLLECTION_INTERFACE, what, "collection",
                                        ref.name},
                        arguments[1]);
}

ExitCode cmd_delete_collection(Session *s, const char *verb, char **arguments) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(object_ref_clear) ObjectRef ref = {0};
        _cleanup_free_ char *what = NULL, *text = NULL;
        ExitCode code = collection_ref_resolve(&ref, s, arguments[0]);

        if (code != EXIT_CODE_OK)
                return code;
        m = bus_client_new_call(s, ref.path, COLLECTION_INTERFACE, "Destroy");
        what = xasprintf("delete collection %s", ref.name);
        code = bus_client_call_dialog(s, m, what, NULL);
        if (code != EXIT_CODE_OK)
                return code;
        text = xasprintf("Deleted collection %s", ref.name);
        print_done(s, verb, text, &ref);
        return EXIT_CODE_OK;
}
