/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Names are compared without regard to case, as in Virtual PC; libvirt does regard it, so it would
 * let two machines differ in case only. */

#include "backend/machine-name.h"

#include "backend/backend-error.h"
#include "backend/backend.h"
#include "util/error.h"

static bool is_taken_by(virDomainPtr domain, const char *folded, const char *own_uuid) {
        g_autofree char *other = g_utf8_make_valid(virDomainGetName(domain), -1);
        g_autofree char *other_folded = g_utf8_casefold(other, -1);
        char uuid[VIR_UUID_STRING_BUFLEN];

        if (!g_str_equal(other_folded, folded))
                return false;
        return !own_uuid || virDomainGetUUIDString(domain, uuid) < 0 ||
               !g_str_equal(uuid, own_uuid);
}

bool machine_name_is_free(
                virConnectPtr connection, const char *name, const char *own_uuid, GError **error) {
        g_autofree char *folded = g_utf8_casefold(name, -1);
        virDomainPtr *domains = NULL;
        bool taken = false;
        int n = virConnectListAllDomains(connection, &domains, 0);

        if (n < 0) {
                backend_error_set(error, "Failed to compare the name with those of other machines");
                return false;
        }
        for (int i = 0; i < n; i++) {
                taken = taken || is_taken_by(domains[i], folded, own_uuid);
                (void) virDomainFree(domains[i]);
        }
        free(domains);
        if (taken)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_DUPLICATE_NAME,
                                "There is a virtual machine named '%s' already", name);
        return !taken;
}

bool machine_uuid_is_free(virConnectPtr connection, const char *uuid, GError **error) {
        g_autoptr(virDomain) other = virDomainLookupByUUIDString(connection, uuid);

        if (!other)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_DUPLICATE_NAME,
                        "The virtual machine '%s' has this UUID already", virDomainGetName(other));
        return false;
}

virDomainPtr machine_define_new(virConnectPtr connection,
                const char *name,
                const char *uuid,
                const char *definition,
                GError **error) {
        static GMutex one_at_a_time;
        g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&one_at_a_time);
        virDomainPtr domain;

        if (!machine_name_is_free(connection, name, NULL, error) ||
                        (uuid && !machine_uuid_is_free(connection, uuid, error)))
                return NULL;
        domain = virDomainDefineXMLFlags(connection, definition, VIR_DOMAIN_DEFINE_VALIDATE);
        if (!domain)
                backend_error_set(error, "Failed to register '%s'", name);
        return domain;
}
