/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "backend-error"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <string.h>

#include "backend/backend-error.h"
#include "backend/backend.h"
#include "support.h"

static virConnectPtr connection;
static GError *error;

/* The row for an error that libvirt might report. */
static int row_of(int domain, int code, const char *message) {
        virErrorPtr made = g_new0(virError, 1);

        made->code = code;
        made->domain = domain;
        made->message = g_strdup(message);
        g_clear_error(&error);
        backend_error_take(&error, made, "Failed to test '%s'", "web");
        g_assert_true(g_str_has_prefix(error->message, "Failed to test 'web': "));
        return error->code;
}

static void each_number_that_says_something_has_its_row(void) {
        static const struct {
                int code;
                VirtaskError row;
        } rows[] = {
                        {VIR_ERR_NO_DOMAIN, VIRTASK_ERROR_NO_SUCH_VIRTUAL_MACHINE},
                        {VIR_ERR_NO_DOMAIN_SNAPSHOT, VIRTASK_ERROR_NO_SUCH_SNAPSHOT},
                        {VIR_ERR_NO_SUPPORT, VIRTASK_ERROR_NOT_SUPPORTED},
                        {VIR_ERR_OPERATION_UNSUPPORTED, VIRTASK_ERROR_NOT_SUPPORTED},
                        {VIR_ERR_CONFIG_UNSUPPORTED, VIRTASK_ERROR_NOT_SUPPORTED},
                        {VIR_ERR_NO_MEMORY, VIRTASK_ERROR_OUT_OF_MEMORY},
                        {VIR_ERR_OPERATION_INVALID, VIRTASK_ERROR_INVALID_STATE},
                        {VIR_ERR_OPERATION_TIMEOUT, VIRTASK_ERROR_TIMED_OUT},
                        {VIR_ERR_AGENT_UNRESPONSIVE, VIRTASK_ERROR_GUEST_AGENT_NOT_AVAILABLE},
                        {VIR_ERR_DOM_EXIST, VIRTASK_ERROR_DUPLICATE_NAME},
                        {VIR_ERR_INVALID_ARG, VIRTASK_ERROR_INVALID_ARGUMENT},
                        {VIR_ERR_XML_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT},
                        {VIR_ERR_NO_CONNECT, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                g_assert_cmpint(row_of(VIR_FROM_QEMU, rows[i].code, "why"), ==, rows[i].row);
}

/* Whether a client cancelled is known to the job and not to libvirt. */
static void what_others_abort_is_not_cancelled(void) {
        g_assert_cmpint(row_of(VIR_FROM_QEMU, VIR_ERR_OPERATION_ABORTED, "aborted"), ==,
                        VIRTASK_ERROR_BACKEND);
}

static void what_the_rpc_layer_reports_is_a_lost_connection(void) {
        g_assert_cmpint(row_of(VIR_FROM_RPC, VIR_ERR_INTERNAL_ERROR, "client socket is closed"), ==,
                        VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE);
        g_assert_cmpint(row_of(VIR_FROM_REMOTE, VIR_ERR_SYSTEM_ERROR, "refused"), ==,
                        VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE);
}

static void a_message_that_is_too_large_is_no_lost_connection(void) {
        g_assert_cmpint(row_of(VIR_FROM_RPC, VIR_ERR_RPC, "Unable to encode message payload"), ==,
                        VIRTASK_ERROR_BACKEND);
        g_assert_cmpint(row_of(VIR_FROM_REMOTE, VIR_ERR_RPC, "too many remote domains: 9 > 8"), ==,
                        VIRTASK_ERROR_BACKEND);
        /* What follows can't be found in the stream. */
        g_assert_cmpint(row_of(VIR_FROM_RPC, VIR_ERR_RPC,
                                        "packet 9 bytes received from server too large, want 8"),
                        ==, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE);
}

static void a_full_disk_is_found_in_the_text(void) {
        g_assert_cmpint(row_of(VIR_FROM_QEMU, VIR_ERR_OPERATION_FAILED,
                                        "Unable to write: No space left on device"),
                        ==, VIRTASK_ERROR_DISK_FULL);
}

static void a_locked_file_is_found_in_the_text(void) {
        g_assert_cmpint(row_of(VIR_FROM_QEMU, VIR_ERR_INTERNAL_ERROR,
                                        "Failed to get shared \"write\" lock"),
                        ==, VIRTASK_ERROR_FILE_IN_USE);
}

static void any_other_number_is_in_the_text(void) {
        g_assert_cmpint(row_of(VIR_FROM_QEMU, VIR_ERR_INTERNAL_ERROR, "odd"), ==,
                        VIRTASK_ERROR_BACKEND);
        g_assert_cmpstr(error->message, ==, "Failed to test 'web': odd (libvirt error 1)");
}

static void a_text_that_is_not_utf8_is_made_valid(void) {
        (void) row_of(VIR_FROM_QEMU, VIR_ERR_INTERNAL_ERROR, "odd \xff");
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
}

static void without_an_error_of_libvirt_it_is_unknown(void) {
        virResetLastError();
        g_clear_error(&error);
        backend_error_set(&error, "Failed");
        g_assert_cmpint(error->code, ==, VIRTASK_ERROR_BACKEND);
        g_assert_cmpstr(error->message, ==, "Failed: unknown error (libvirt error 0)");
}

static void an_error_survives_what_the_text_asks_libvirt_for(void) {
        g_autoptr(virDomain) domain = virDomainLookupByName(connection, "test");

        g_assert_null(virDomainLookupByName(connection, "nobody"));
        g_clear_error(&error);
        backend_error_set(&error, "Failed beside '%s'", virDomainGetName(domain));
        g_assert_true(g_str_has_prefix(error->message, "Failed beside 'test': "));
        assert_error(error, NO_SUCH_VIRTUAL_MACHINE);
}

static void a_missing_domain_is_no_such_machine(void) {
        g_assert_null(virDomainLookupByName(connection, "nobody"));
        g_clear_error(&error);
        backend_error_set(&error, "Failed");
        assert_error(error, NO_SUCH_VIRTUAL_MACHINE);
}

static void turning_off_what_is_off_is_an_invalid_state(void) {
        const char *definition = "<domain type='test'><name>off</name>"
                                 "<memory>1024</memory><os><type>hvm</type></os></domain>";
        g_autoptr(virDomain) domain = virDomainDefineXML(connection, definition);

        g_assert_cmpint(virDomainDestroy(domain), <, 0);
        g_clear_error(&error);
        backend_error_set(&error, "Failed");
        assert_error(error, INVALID_STATE);
        g_assert_cmpint(virDomainUndefine(domain), ==, 0);
}

static void a_hypervisor_that_is_not_there_is_unavailable(void) {
        g_assert_null(virConnectOpen("qemu+unix:///system?socket=/nonexistent/socket"));
        g_clear_error(&error);
        backend_error_set(&error, "Failed");
        assert_error(error, HYPERVISOR_UNAVAILABLE);
}

static void ignore_error(void *userdata, virErrorPtr reported) {
}

int main(int argc, char **argv) {
        int status;

        g_test_init(&argc, &argv, NULL);
        virSetErrorFunc(NULL, ignore_error);
        connection = virConnectOpen("test:///default");
        ADD(each_number_that_says_something_has_its_row);
        ADD(what_others_abort_is_not_cancelled);
        ADD(what_the_rpc_layer_reports_is_a_lost_connection);
        ADD(a_message_that_is_too_large_is_no_lost_connection);
        ADD(a_full_disk_is_found_in_the_text);
        ADD(a_locked_file_is_found_in_the_text);
        ADD(any_other_number_is_in_the_text);
        ADD(a_text_that_is_not_utf8_is_made_valid);
        ADD(an_error_survives_what_the_text_asks_libvirt_for);
        ADD(without_an_error_of_libvirt_it_is_unknown);
        ADD(a_missing_domain_is_no_such_machine);
        ADD(turning_off_what_is_off_is_an_invalid_state);
        ADD(a_hypervisor_that_is_not_there_is_unavailable);
        status = g_test_run();
        g_clear_error(&error);
        (void) virConnectClose(connection);
        return status;
}
