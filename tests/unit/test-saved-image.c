/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "saved-image"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/backend.h"
#include "backend/saved-image.h"
#include "support.h"

/* As libvirt's src/qemu/qemu_saveimage.h. */
typedef struct Header {
        char magic[16];
        uint32_t version, definition_length, was_running, compressed, unused[15];
} Header;

static SavedImageState inspect(const void *bytes, size_t length, bool *ret_running) {
        auto_directory directory = test_directory_new();
        g_autofree char *path = g_build_filename(directory, "image", NULL);

        g_assert_true(g_file_set_contents(path, bytes, (gssize) length, NULL));
        return saved_image_inspect(path, ret_running);
}

static Header header(const char *magic, uint32_t was_running) {
        Header made = {.version = 2, .definition_length = 100, .was_running = was_running};

        memcpy(made.magic, magic, sizeof(made.magic));
        return made;
}

static void a_whole_image_says_whether_the_guest_ran(void) {
        Header running = header("LibvirtQemudSave", 1), stopped = header("LibvirtQemudSave", 0);
        bool ran = false;

        g_assert_cmpint(inspect(&running, sizeof(running), &ran), ==, SAVED_IMAGE_WHOLE);
        g_assert_true(ran);
        g_assert_cmpint(inspect(&stopped, sizeof(stopped), &ran), ==, SAVED_IMAGE_WHOLE);
        g_assert_false(ran);
}

static void an_interrupted_save_is_partial(void) {
        Header part = header("LibvirtQemudPart", 1);
        bool ran = false;

        g_assert_cmpint(inspect(&part, sizeof(part), &ran), ==, SAVED_IMAGE_PARTIAL);
        g_assert_false(ran);
}

static void a_file_without_a_whole_header_is_partial(void) {
        Header whole = header("LibvirtQemudSave", 1);
        bool ran = false;

        g_assert_cmpint(inspect("", 0, &ran), ==, SAVED_IMAGE_PARTIAL);
        g_assert_cmpint(inspect(&whole, 20, &ran), ==, SAVED_IMAGE_PARTIAL);
        g_assert_false(ran);
}

static void another_file_is_unknown(void) {
        char text[100] = "LibvirtQemudOdd!";
        bool ran = false;

        g_assert_cmpint(inspect(text, sizeof(text), &ran), ==, SAVED_IMAGE_UNKNOWN);
        g_assert_false(ran);
}

static void what_can_not_be_read_is_unknown(void) {
        auto_directory directory = test_directory_new();
        g_autofree char *link = g_build_filename(directory, "link", NULL);
        g_autofree char *fifo = g_build_filename(directory, "fifo", NULL);
        Header whole = header("LibvirtQemudSave", 1);
        g_autofree char *image = g_build_filename(directory, "image", NULL);
        bool ran = false;

        g_assert_true(g_file_set_contents(image, (const char *) &whole, sizeof(whole), NULL));
        g_assert_cmpint(symlink("image", link), ==, 0);
        g_assert_cmpint(saved_image_inspect(link, &ran), ==, SAVED_IMAGE_UNKNOWN);
        g_assert_cmpint(saved_image_inspect(directory, &ran), ==, SAVED_IMAGE_UNKNOWN);
        g_assert_cmpint(saved_image_inspect("/nonexistent/image", &ran), ==, SAVED_IMAGE_UNKNOWN);
        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
        (void) saved_image_inspect(fifo, &ran); /* does not wait for a writer */
        g_assert_false(ran);
}

static void another_hypervisor_has_no_image_of_ours(void) {
        g_autoptr(virConnect) connection = virConnectOpen("test:///default");
        g_autoptr(virDomain) domain = virDomainLookupByName(connection, "test");
        uint64_t done, total;

        g_assert_null(saved_image_path(domain));
        g_assert_false(saved_image_progress(domain, "/etc/hostname", &done, &total));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_whole_image_says_whether_the_guest_ran);
        ADD(an_interrupted_save_is_partial);
        ADD(a_file_without_a_whole_header_is_partial);
        ADD(another_file_is_unknown);
        ADD(what_can_not_be_read_is_unknown);
        ADD(another_hypervisor_has_no_image_of_ours);
        return g_test_run();
}
