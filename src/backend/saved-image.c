/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt's QEMU driver keeps managed save images as NAME.save in a directory that follows from the
 * connection, and a PID file of each guest in another. The file begins with a header in the byte
 * order of the host: 16 bytes "LibvirtQemudSave" ("LibvirtQemudPart" until the save is complete),
 * then 32-bit numbers: version, length of the definition, whether the guest ran (libvirt's
 * src/qemu/qemu_saveimage.h; unchanged since 2010).
 *
 * While QEMU loads the image, the position of its descriptor is the progress of the restore. Seeing
 * it takes the right to look into QEMU's /proc directory, which a confined service does not have:
 * then there is no progress. */

#include "backend/saved-image.h"

#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC_WHOLE   "LibvirtQemudSave"
#define MAGIC_PARTIAL "LibvirtQemudPart"
#define MAGIC_LENGTH  16

typedef struct ImageHeader {
        char magic[MAGIC_LENGTH];
        uint32_t version;
        uint32_t definition_length;
        uint32_t was_running;
} ImageHeader;

char *saved_image_path(virDomainPtr domain) {
        g_auto(Layout) layout = {0};
        g_autofree char *file = g_strconcat(virDomainGetName(domain), ".save", NULL);
        g_autofree char *path = NULL;

        layout_of_domain(domain, &layout);
        if (!layout.save)
                return NULL;
        path = g_build_filename(layout.save, file, NULL);
        if (access(path, F_OK) < 0 || !g_utf8_validate(path, -1, NULL))
                return NULL;
        return g_steal_pointer(&path);
}

int saved_image_exists(virDomainPtr domain) {
        int known = virDomainHasManagedSaveImage(domain, 0);
        g_autofree char *path = NULL;
        bool running;

        if (known != 0 || virDomainIsActive(domain) != 0)
                return known;
        path = saved_image_path(domain);
        return path && saved_image_inspect(path, &running) == SAVED_IMAGE_WHOLE;
}

char *saved_image_path_by_id(
                const Layout *layout, const char *uuid, const char *id, const char *kind) {
        g_autofree char *name = g_strdup_printf("%s.%s.%s", uuid, id, kind);

        return layout->save ? g_build_filename(layout->save, name, NULL) : NULL;
}

char *saved_image_path_of_snapshot(virDomainPtr domain, const char *id, const char *kind) {
        g_auto(Layout) layout = {0};
        char uuid[VIR_UUID_STRING_BUFLEN];

        layout_of_domain(domain, &layout);
        if (virDomainGetUUIDString(domain, uuid) < 0)
                return NULL;
        return saved_image_path_by_id(&layout, uuid, id, kind);
}

/* The saved state of a machine may be called like the UUID of another. */
static bool is_of_snapshot(const char *name, const char *prefix) {
        g_autofree char *whole = g_strndup(
                        name, strlen(name) - (g_str_has_suffix(name, ".new") ? strlen(".new") : 0));

        return g_str_has_prefix(name, prefix) &&
               (g_str_has_suffix(whole, ".memory") || g_str_has_suffix(whole, ".nvram") ||
                               g_str_has_suffix(whole, ".tpm"));
}

GPtrArray *saved_image_files_of_snapshots(virConnectPtr connection, const char *uuid) {
        GPtrArray *files = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *prefix = g_strconcat(uuid, ".", NULL);
        g_auto(Layout) layout = {0};
        g_autoptr(GDir) directory = NULL;
        const char *name;

        layout_of_connection(connection, &layout);
        directory = layout.save && *uuid ? g_dir_open(layout.save, 0, NULL) : NULL;
        while (directory && (name = g_dir_read_name(directory)))
                if (is_of_snapshot(name, prefix))
                        g_ptr_array_add(files, g_build_filename(layout.save, name, NULL));
        return files;
}

SavedImageState saved_image_inspect(const char *path, bool *ret_running) {
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
        ImageHeader header;
        ssize_t n;

        if (fd < 0)
                return SAVED_IMAGE_UNKNOWN;
        n = read(fd, &header, sizeof(header));
        (void) close(fd);
        if (n < (ssize_t) sizeof(header))
                return n >= 0 ? SAVED_IMAGE_PARTIAL : SAVED_IMAGE_UNKNOWN;
        if (memcmp(header.magic, MAGIC_PARTIAL, MAGIC_LENGTH) == 0)
                return SAVED_IMAGE_PARTIAL;
        if (memcmp(header.magic, MAGIC_WHOLE, MAGIC_LENGTH) != 0)
                return SAVED_IMAGE_UNKNOWN;
        *ret_running = header.was_running != 0;
        return SAVED_IMAGE_WHOLE;
}

static char *process_directory(virDomainPtr domain) {
        uint64_t pid = layout_read_pid(domain);

        return pid > 0 ? g_strdup_printf("/proc/%" PRIu64, pid) : NULL;
}

/* The descriptor of the process that leads to the image, or NULL. */
static char *find_descriptor(const char *process, const char *image) {
        g_autofree char *directory = g_build_filename(process, "fd", NULL);
        g_autoptr(GDir) entries = g_dir_open(directory, 0, NULL);
        const char *name;

        while (entries && (name = g_dir_read_name(entries))) {
                g_autofree char *link = g_build_filename(directory, name, NULL);
                g_autofree char *target = g_file_read_link(link, NULL);

                if (target && g_str_equal(target, image))
                        return g_strdup(name);
        }
        return NULL;
}

bool saved_image_progress(
                virDomainPtr domain, const char *path, uint64_t *ret_done, uint64_t *ret_total) {
        g_autofree char *process = process_directory(domain);
        g_autofree char *image = g_canonicalize_filename(path, NULL);
        g_autofree char *name = NULL, *file = NULL, *text = NULL;
        guint64 position;
        struct stat st;

        if (!process || stat(path, &st) < 0)
                return false;
        name = find_descriptor(process, image);
        if (!name)
                return false;
        file = g_build_filename(process, "fdinfo", name, NULL);
        if (!g_file_get_contents(file, &text, NULL, NULL) || !g_str_has_prefix(text, "pos:"))
                return false;
        position = g_ascii_strtoull(text + strlen("pos:"), NULL, 10);
        *ret_total = (uint64_t) st.st_size;
        *ret_done = MIN(position, *ret_total);
        return true;
}
