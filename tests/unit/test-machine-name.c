/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "machine-name"

#include "backend/backend.h"
#include "backend/machine-name.h"
#include "support.h"

#define UUID "6695eb01-f6a4-8304-79aa-97f2502e193f"

static virConnectPtr connection;

static bool is_free(const char *name, const char *own_uuid) {
        g_autoptr(GError) error = NULL;
        bool free = machine_name_is_free(connection, name, own_uuid, &error);

        g_assert_true(free ? !error
                           : g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_DUPLICATE_NAME));
        return free;
}

static void a_name_is_taken_without_regard_to_case(void) {
        g_assert_false(is_free("test", NULL));
        g_assert_false(is_free("TeSt", NULL));
        g_assert_true(is_free("test2", NULL));
}

static void a_machine_may_have_its_own_name(void) {
        g_assert_true(is_free("TEST", UUID));
        g_assert_false(is_free("TEST", "00000000-0000-0000-0000-000000000001"));
}

#define OTHER "00000000-0000-0000-0000-000000000001"

static virDomainPtr define(const char *name, const char *uuid, GError **error) {
        g_autofree char *definition = g_strdup_printf("<domain type='test'><name>%s</name><uuid>%s"
                                                      "</uuid><memory>65536</memory><os><type>hvm"
                                                      "</type></os></domain>",
                        name, uuid);

        return machine_define_new(connection, name, uuid, definition, error);
}

static void what_is_there_is_not_changed_by_a_new_definition(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(virDomain) domain = NULL;

        g_assert_null(define("another", UUID, &error));
        assert_error(error, DUPLICATE_NAME);
        g_assert_null(define("Test", OTHER, &error));
        assert_error(error, DUPLICATE_NAME);
        domain = define("another", OTHER, &error);
        g_assert_no_error(error);
        g_assert_nonnull(domain);
        g_assert_null(define("third", OTHER, &error));
        assert_error(error, DUPLICATE_NAME);
        g_assert_cmpint(virDomainUndefine(domain), ==, 0);
}

int main(int argc, char **argv) {
        int status;

        g_test_init(&argc, &argv, NULL);
        connection = virConnectOpen("test:///default");
        ADD(a_name_is_taken_without_regard_to_case);
        ADD(a_machine_may_have_its_own_name);
        ADD(what_is_there_is_not_changed_by_a_new_definition);
        status = g_test_run();
        (void) virConnectClose(connection);
        return status;
}
