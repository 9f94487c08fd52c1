/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "undo/parent-users.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/backend-error.h"
#include "disk/disk-set.h"
#include "disk/image.h"

/* Files, not names: there are links. */
static bool is_file(const char *path, const struct stat *file) {
        struct stat st;

        return stat(path, &st) == 0 && st.st_dev == file->st_dev && st.st_ino == file->st_ino;
}

static bool rests_on(const Disk *disk, const struct stat *file) {
        g_autoptr(GPtrArray) chain = NULL;
        g_autoptr(GError) problem = NULL;

        if (!disk->path)
                return false;
        if (is_file(disk->path, file))
                return true;
        chain = image_chain_read_part(disk->path, disk->format ?: "raw", &problem);
        for (unsigned i = 0; chain && i < chain->len; i++)
                if (is_file(((const ImageInfo *) chain->pdata[i])->path, file))
                        return true;
        return false;
}

/* In another disk than "except". */
static bool definition_uses(
                virDomainPtr domain, unsigned flags, const char *except, const struct stat *file) {
        char *text = virDomainGetXMLDesc(domain, flags);
        g_autoptr(DiskSet) set = text ? disk_set_parse(text, NULL) : NULL;

        free(text);
        for (unsigned i = 0; set && i < set->disks->len; i++) {
                const Disk *disk = set->disks->pdata[i];

                if ((!except || g_strcmp0(disk->target, except) != 0) && rests_on(disk, file))
                        return true;
        }
        return false;
}

static bool uses(virDomainPtr domain, const char *except, const struct stat *file) {
        return definition_uses(domain, 0, except, file) ||
               (virDomainIsActive(domain) == 1 && virDomainIsPersistent(domain) == 1 &&
                               definition_uses(domain, VIR_DOMAIN_XML_INACTIVE, except, file));
}

static bool is_same(virDomainPtr domain, const char *uuid) {
        char other[VIR_UUID_STRING_BUFLEN] = "";

        return virDomainGetUUIDString(domain, other) == 0 && strcmp(uuid, other) == 0;
}

bool parent_users_find(virDomainPtr domain,
                const char *target,
                const char *path,
                char **ret,
                GError **error) {
        virDomainPtr *all = NULL;
        char uuid[VIR_UUID_STRING_BUFLEN] = "";
        struct stat file;
        int n = virConnectListAllDomains(virDomainGetConnect(domain), &all, 0);

        *ret = NULL;
        if (n < 0 || virDomainGetUUIDString(domain, uuid) < 0) {
                backend_error_set(error, "Failed to look for other users of a disk of '%s'",
                                virDomainGetName(domain));
                return false;
        }
        for (int i = 0; i < n; i++) {
                if (!*ret && stat(path, &file) == 0 &&
                                uses(all[i], is_same(all[i], uuid) ? target : NULL, &file))
                        *ret = g_strdup(virDomainGetName(all[i]));
                (void) virDomainFree(all[i]);
        }
        free(all);
        return true;
}
