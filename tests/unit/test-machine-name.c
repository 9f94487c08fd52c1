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

int main(int argc, char **argv) {
        int status;

        g_test_init(&argc, &argv, NULL);
        connection = virConnectOpen("test:///default");
        ADD(a_name_is_taken_without_regard_to_case);
        ADD(a_machine_may_have_its_own_name);
        status = g_test_run();
        (void) virConnectClose(connection);
        return status;
}
