/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "package-reader"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bundle/image-make.h"
#include "bundle/package-reader.h"
#include "disk/image-server.h"
#include "disk/image.h"
#include "images.h"
#include "ovf/ova.h"
#include "support.h"
#include "util/fd.h"

static GError *error;

/* A package with a disk that has something in its second MiB, and one that is new. */

static bool append_disk(
                int target, uint64_t offset, unsigned disk, void *userdata, GError **ret_error) {
        g_autofree char *raw = images_make("raw", "raw", "preallocation=off"),
                        *path = images_path("disk.vmdk"), *data = NULL;
        const char *const convert[] = {"qemu-img", "convert", "-O", "vmdk", "-o",
                        "subformat=streamOptimized", raw, path, NULL};
        size_t length;

        images_io(raw, "raw", "write -P 7 1M 1M");
        images_run(convert);
        g_assert_true(g_file_get_contents(path, &data, &length, NULL));
        g_assert_cmpint(pwrite(target, data, length, (off_t) offset), ==, (ssize_t) length);
        return true;
}

static char *make_package(void) {
        const OvaSource source = {append_disk, NULL};
        g_autoptr(OvfMachine) machine = ovf_machine_new("web");
        g_autofree char *path = images_path("web.ova");
        auto_fd target = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        machine->memory = MEBIBYTE;
        for (unsigned i = 0; i < 2; i++)
                *ovf_machine_add_disk(machine) = (OvfDisk){
                                .file = i == 0 ? g_strdup("disk.vmdk") : NULL,
                                .capacity = 16 * MEBIBYTE,
                                .bus = OVF_BUS_SATA,
                                .unit = i,
                };
        g_assert_true(ova_write(target, "web", machine, &source, NULL, &error));
        return g_steal_pointer(&path);
}

/* The second disk is not copied. */
static JsonObject *make_plan(const char *description, int connection) {
        JsonObject *plan = json_object_new(), *disk = json_object_new();
        JsonArray *disks = json_array_new();

        json_object_set_int_member(disk, "descriptor", connection);
        json_object_set_string_member(disk, "export", "sda");
        json_array_add_object_element(disks, disk);
        json_array_add_null_element(disks);
        json_object_set_string_member(plan, "description", description);
        json_object_set_array_member(plan, "disks", disks);
        return plan;
}

static ImageServer *serve(const char *path) {
        const ServedImage image = {"sda", path, "qcow2", true};
        auto_fd fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ImageServer *server;

        g_assert_true(image_make_empty(fd, 16 * MEBIBYTE, &error));
        server = image_server_start(&image, 1, &error);
        g_assert_no_error(error);
        return server;
}

/* What is told meanwhile */

typedef struct Telling {
        const char *path; /* of a package that is changed when its first disk is read, */
        char *disk;       /* or where that disk is mapped, to be changed so that nobody sees it */
        const char *text; /* to this */
        bool stop;
        uint64_t total, done;
} Telling;

static bool on_stop(void *userdata) {
        return ((Telling *) userdata)->stop;
}

static void on_total(uint64_t bytes, void *userdata) {
        ((Telling *) userdata)->total = bytes;
}

/* Nothing is another one afterwards. */
static void on_file(const char *name, void *userdata) {
        const Telling *telling = userdata;
        auto_fd fd = telling->path ? open(telling->path, O_RDWR | O_CLOEXEC) : -1;
        char byte;

        g_assert_cmpstr(name, ==, "disk.vmdk");
        if (telling->disk)
                memcpy(telling->disk, telling->text, strlen(telling->text) + 1);
        if (fd < 0)
                return;
        g_assert_cmpint(pread(fd, &byte, 1, 0), ==, 1);
        g_assert_cmpint(pwrite(fd, &byte, 1, 0), ==, 1);
}

static void on_done(uint64_t bytes, void *userdata) {
        ((Telling *) userdata)->done = bytes;
}

static bool convert(const char *path, const char *description, Telling *telling) {
        const WriterHooks hooks = {on_stop, on_total, on_file, on_done, telling};
        g_autofree char *image = images_path("image.qcow2");
        ImageServer *server = serve(image);
        auto_fd connection = image_server_connect(server, &error);
        g_autoptr(JsonObject) plan = make_plan(description, connection);
        bool ok = package_convert(path, plan, &hooks, &error);

        fd_close(&connection);
        /* One that nobody has used may not even have begun. */
        g_assert_true(image_server_stop(server) || !ok);
        return ok;
}

static void a_disk_becomes_an_image(void) {
        g_autofree char *path = make_package(), *description = package_describe(path, &error);
        g_autofree char *image = images_path("image.qcow2");
        Telling telling = {0};

        g_assert_no_error(error);
        g_assert_nonnull(strstr(description, "\"capacity\":16777216"));
        g_assert_true(convert(path, description, &telling));
        g_assert_cmpuint(telling.total, >, 0);
        g_assert_cmpuint(telling.done, ==, telling.total);
        g_assert_true(image_check(image, "qcow2", &error));
        images_io(image, "qcow2", "read -P 7 1M 1M");
        images_io(image, "qcow2", "read -P 0 2M 14M");
}

static void it_can_only_be_verified(void) {
        g_autofree char *path = make_package(), *description = package_describe(path, &error);
        g_autoptr(JsonObject) plan = json_object_new();
        Telling telling = {0};
        const WriterHooks hooks = {on_stop, on_total, on_file, on_done, &telling};

        json_object_set_string_member(plan, "description", description);
        g_assert_true(package_convert(path, plan, &hooks, &error));
        g_assert_cmpuint(telling.done, ==, telling.total);
}

static void another_package_is_none(void) {
        g_autofree char *path = make_package();
        Telling telling = {0};

        g_assert_false(convert(path, "{}", &telling));
        assert_error(error, INVALID_BUNDLE);
}

static void one_that_is_changed_meanwhile_is_none(void) {
        g_autofree char *path = make_package(), *description = package_describe(path, &error);
        Telling telling = {.path = path};

        g_assert_false(convert(path, description, &telling));
        assert_error(error, INVALID_BUNDLE);
}

/* What is written to a mapping need not change the times of a file. QEMU would open the other file,
 * if it read then what the disk says of itself. */
static void a_change_that_nobody_sees_opens_no_other_file(void) {
        g_autofree char *path = make_package(), *description = package_describe(path, &error);
        g_autofree char *image = images_path("image.qcow2");
        g_autofree char *secret = images_make("secret", "raw", "preallocation=off");
        g_autofree char *text = g_strdup_printf(
                        "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n"
                        "createType=\"monolithicFlat\"\nRW 32768 FLAT \"%s\" 0\n",
                        secret);
        auto_fd fd = open(path, O_RDWR | O_CLOEXEC);
        g_autoptr(Ova) ova = ova_open(fd, &error);
        uint64_t offset = ova_find(ova, "disk.vmdk")->offset;
        char *mapped = mmap(NULL, offset + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        Telling telling = {.disk = mapped + offset, .text = text};

        g_assert_true(mapped != MAP_FAILED);
        images_io(secret, "raw", "write -P 9 0 16M");
        mapped[offset] = 'K'; /* as it is: the page is one that was written to */
        if (!convert(path, description, &telling))
                g_clear_error(&error);
        (void) munmap(mapped, offset + 4096);
        images_io(image, "qcow2", "read -P 0 0 1M");
        images_io(image, "qcow2", "read -P 7 1M 1M");
}

static void one_that_is_stopped_says_so(void) {
        g_autofree char *path = make_package(), *description = package_describe(path, &error);
        Telling telling = {.stop = true};

        g_assert_false(convert(path, description, &telling));
        assert_error(error, CANCELLED);
}

static void a_missing_one_is_an_error(void) {
        g_autofree char *path = images_path("missing.ova");

        g_assert_null(package_describe(path, &error));
        assert_error(error, PATH_NOT_FOUND);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD_IMAGE(a_disk_becomes_an_image);
        ADD_IMAGE(it_can_only_be_verified);
        ADD_IMAGE(another_package_is_none);
        ADD_IMAGE(one_that_is_changed_meanwhile_is_none);
        ADD_IMAGE(a_change_that_nobody_sees_opens_no_other_file);
        ADD_IMAGE(one_that_is_stopped_says_so);
        ADD_IMAGE(a_missing_one_is_an_error);
        return g_test_run();
}
