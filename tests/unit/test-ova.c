/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "ova"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images.h"
#include "ovf/ova.h"
#include "ovf/tar-header.h"
#include "support.h"
#include "util/fd.h"

static GError *error;

/* A package */

static int open_file(const char *name, int flags) {
        g_autofree char *path = images_path(name);
        int fd = open(path, flags | O_CLOEXEC, 0600);

        g_assert_cmpint(fd, >=, 0);
        return fd;
}

/* A disk of 16 MiB with a MiB of this pattern, as others read it. */
static void make_disk(const char *name, const char *pattern) {
        g_autofree char *raw = images_make("raw", "raw", "preallocation=off"),
                        *path = images_path(name);
        g_autofree char *command = g_strdup_printf("write -P %s 3M 1M", pattern);
        const char *const convert[] = {"qemu-img", "convert", "-O", "vmdk", "-o",
                        "subformat=streamOptimized", raw, path, NULL};

        images_io(raw, "raw", command);
        images_run(convert);
}

static void add_disk(OvfMachine *machine, const char *file, unsigned unit) {
        OvfDisk *disk = ovf_machine_add_disk(machine);

        *disk = (OvfDisk){.file = g_strdup(file),
                        .capacity = 16 * MEBIBYTE,
                        .bus = OVF_BUS_SATA,
                        .unit = unit};
}

static OvfMachine *new_machine(void) {
        OvfMachine *machine = ovf_machine_new("web");

        machine->memory = 64 * MEBIBYTE;
        machine->package = g_strdup("0123-4567");
        add_disk(machine, "web-disk1.vmdk", 0);
        add_disk(machine, NULL, 1);
        add_disk(machine, "web-disk3.vmdk", 2);
        return machine;
}

/* As qemu-img would. */
static bool append_disk(
                int target, uint64_t offset, unsigned disk, void *userdata, GError **ret_error) {
        static const char *const files[] = {"web-disk1.vmdk", NULL, "web-disk3.vmdk"};
        g_autofree char *path = images_path(files[disk]), *data = NULL;
        size_t length;

        g_assert_cmpint(lseek(target, 0, SEEK_END), ==, (off_t) offset);
        g_assert_true(g_file_get_contents(path, &data, &length, NULL));
        g_assert_cmpint(pwrite(target, data, length, (off_t) offset), ==, (ssize_t) length);
        return true;
}

static const OvaSource disk_source = {append_disk, NULL};

static bool write_package(const char *file, const OvaHooks *hooks) {
        g_autoptr(OvfMachine) machine = new_machine();
        auto_fd target = open_file(file, O_RDWR | O_CREAT | O_TRUNC);

        return ova_write(target, "web", machine, &disk_source, hooks, &error);
}

static void make_package(void) {
        make_disk("web-disk1.vmdk", "1");
        make_disk("web-disk3.vmdk", "3");
        g_assert_true(write_package("web.ova", NULL));
}

static void add_bytes(uint64_t bytes, void *userdata) {
        *(uint64_t *) userdata += bytes;
}

static void what_is_written_can_be_read(void) {
        auto_fd fd = -1;
        g_autoptr(Ova) ova = NULL;
        uint64_t bytes = 0;
        const OvaHooks hooks = {.copied = add_bytes, .userdata = &bytes};
        static const char *const names[] = {
                        "web.ovf", "web.mf", "web-disk1.vmdk", "web-disk3.vmdk"};

        make_package();
        fd = open_file("web.ova", O_RDONLY);
        ova = ova_open(fd, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(ova->files->len, ==, G_N_ELEMENTS(names));
        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
                g_assert_cmpstr(((OvaFile *) ova->files->pdata[i])->name, ==, names[i]);
        g_assert_cmpstr(ova->descriptor, ==, "web.ovf");
        g_assert_cmpstr(ova->machine->package, ==, "0123-4567");
        g_assert_cmpuint(ova->machine->disks->len, ==, 3);
        g_assert_cmpuint(g_hash_table_size(ova->digests), ==, 3);
        g_assert_true(ova_verify(ova, &hooks, &error));
        g_assert_cmpuint(bytes, >, 0);
        g_assert_cmpuint(bytes, ==, ova_measure(ova));
}

/* What an import does with them: no disk is copied out of the package first. */
static void disks_are_read_where_they_are(void) {
        auto_fd fd = -1;
        g_autoptr(Ova) ova = NULL;

        make_package();
        fd = open_file("web.ova", O_RDONLY);
        ova = ova_open(fd, &error);
        for (unsigned i = 1; i <= 3; i += 2) {
                g_autofree char *name = g_strdup_printf("web-disk%u.vmdk", i);
                g_autofree char *path = images_path("web.ova"), *copy = images_path("copy.qcow2");
                g_autofree char *command = g_strdup_printf("read -P %u 3M 1M", i);
                const OvaFile *file = ova_find(ova, name);
                g_autofree char *source = g_strdup_printf(
                                "json:{\"driver\":\"vmdk\",\"backing\":null,\"file\":{\"driver\":"
                                "\"raw\",\"offset\":%" G_GUINT64_FORMAT
                                ",\"size\":%" G_GUINT64_FORMAT
                                ",\"file\":{\"driver\":\"file\",\"filename\":\"%s\"}}}",
                                file->offset, file->size, path);
                const char *const convert[] = {
                                "qemu-img", "convert", "-O", "qcow2", source, copy, NULL};

                images_run(convert);
                images_io(copy, "qcow2", command);
                images_io(copy, "qcow2", "read -P 0 4M 1M");
        }
}

static void tar_unpacks_it(void) {
        static const char script[] =
                        "cd \"$0\" && mkdir out && tar -C out -xf web.ova && cd out && "
                        "cmp web-disk1.vmdk ../web-disk1.vmdk && "
                        "cmp web-disk3.vmdk ../web-disk3.vmdk && "
                        "sed 's/SHA256(\\(.*\\))= \\(.*\\)/\\2  \\1/' web.mf | "
                        "sha256sum --quiet --strict -c - && "
                        "[ $(tar -tf ../web.ova | tr '\\n' ' ' | wc -w) = 4 ]";
        const char *const unpack[] = {"sh", "-c", script, images_directory, NULL};

        make_package();
        images_run(unpack);
}

static bool at_once(void *userdata) {
        return true;
}

static void one_that_is_stopped_says_so(void) {
        const OvaHooks hooks = {.stop = at_once};
        auto_fd fd = -1;
        g_autoptr(Ova) ova = NULL;

        make_package();
        g_assert_false(write_package("other.ova", &hooks));
        assert_error(error, CANCELLED);
        fd = open_file("web.ova", O_RDONLY);
        ova = ova_open(fd, &error);
        g_assert_false(ova_verify(ova, &hooks, &error));
        assert_error(error, CANCELLED);
        fd_close(&fd);
        fd = open_file("other.ova", O_RDONLY);
        g_assert_null(ova_open(fd, &error));
        assert_error(error, INVALID_BUNDLE);
}

static void names_have_to_fit(void) {
        static const char *const names[] = {"", ".web", "a/b", "-web", "a:b"};
        g_autofree char *longest = g_strnfill(97, 'x');

        for (unsigned i = 0; i <= G_N_ELEMENTS(names); i++) {
                g_autoptr(OvfMachine) machine = ovf_machine_new("web");
                auto_fd target = open_file("name.ova", O_RDWR | O_CREAT | O_TRUNC);

                machine->memory = MEBIBYTE;
                g_assert_false(ova_write(target, i < G_N_ELEMENTS(names) ? names[i] : longest,
                                machine, &disk_source, NULL, &error));
                assert_error(error, NAME_INVALID);
        }
}

/* What somebody did to it */

static void assert_open_fails(const char *file, const char *words) {
        auto_fd fd = open_file(file, O_RDONLY);

        g_assert_null(ova_open(fd, &error));
        if (!strstr(error->message, words))
                g_error("%s: %s", words, error->message);
        assert_error(error, INVALID_BUNDLE);
}

static void each_changed_byte_is_found(void) {
        static const char *const files[] = {"web.ovf", "web-disk1.vmdk", "web-disk3.vmdk"};

        make_package();
        for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
                auto_fd fd = open_file("web.ova", O_RDWR);
                g_autoptr(Ova) ova = ova_open(fd, &error), again = NULL;
                const OvaFile *file = ova_find(ova, files[i]);
                off_t place = (off_t) (file->offset + file->size - 2);
                char byte;

                g_assert_cmpint(pread(fd, &byte, 1, place), ==, 1);
                g_assert_cmpint(pwrite(fd, byte == ' ' ? "\n" : " ", 1, place), ==, 1);
                again = ova_open(fd, &error);
                if (again)
                        g_assert_false(ova_verify(again, NULL, &error));
                assert_error(error, INVALID_BUNDLE);
                g_assert_cmpint(pwrite(fd, &byte, 1, place), ==, 1);
        }
}

static void one_that_ends_early_is_refused(void) {
        g_autofree char *path = images_path("web.ova");
        struct stat st;

        make_package();
        g_assert_cmpint(stat(path, &st), ==, 0);
        for (off_t size = st.st_size - 20 * (off_t) TAR_BLOCK; size > 0; size /= 2) {
                g_assert_cmpint(truncate(path, size), ==, 0);
                assert_open_fails("web.ova", "");
        }
        g_assert_cmpint(truncate(path, 0), ==, 0);
        assert_open_fails("web.ova", "ends early");
}

/* Archives of others. A descriptor that names nothing, and what else there is. */

#define DESCRIPTOR                                                                                 \
        "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" "                              \
        "xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" "                                    \
        "xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"                          \
        "CIM_ResourceAllocationSettingData\"><References>%s</References><DiskSection><Info/>%s"    \
        "</DiskSection><VirtualSystem ovf:id=\"vm\"><VirtualHardwareSection>"                      \
        "<Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType>"       \
        "<rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>"                                    \
        "<Item><rasd:AllocationUnits>MB</rasd:AllocationUnits><rasd:InstanceID>2"                  \
        "</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType>"                               \
        "<rasd:VirtualQuantity>64</rasd:VirtualQuantity></Item>%s"                                 \
        "</VirtualHardwareSection></VirtualSystem></Envelope>"

#define DISK_FILE "<File ovf:href=\"a.vmdk\" ovf:id=\"f\"/>"
#define DISK                                                                                       \
        "<Disk ovf:capacity=\"1048576\" ovf:diskId=\"d\" ovf:fileRef=\"f\" "                       \
        "ovf:format=\"vmdk.html#streamOptimized\"/>"
#define DISK_ITEM                                                                                  \
        "<Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>5</rasd:ResourceType></"     \
        "Item>"                                                                                    \
        "<Item><rasd:HostResource>ovf:/disk/d</rasd:HostResource><rasd:InstanceID>4"               \
        "</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17"                      \
        "</rasd:ResourceType></Item>"

static char *descriptor(bool with_disk) {
        return g_strdup_printf(DESCRIPTOR, with_disk ? DISK_FILE : "", with_disk ? DISK : "",
                        with_disk ? DISK_ITEM : "");
}

typedef struct Archive {
        GByteArray *bytes;
} Archive;

static void add(Archive *archive, char type, const char *name, const char *text, size_t length) {
        static const unsigned char zeros[TAR_BLOCK];
        unsigned char block[TAR_BLOCK];
        unsigned sum = 0;

        if (!archive->bytes)
                archive->bytes = g_byte_array_new();
        tar_header_write(block, name, length, 0);
        block[156] = (unsigned char) type;
        memset(block + 148, ' ', 8);
        for (unsigned i = 0; i < TAR_BLOCK; i++)
                sum += block[i];
        (void) g_snprintf((char *) block + 148, 7, "%06o", sum);
        g_byte_array_append(archive->bytes, block, TAR_BLOCK);
        g_byte_array_append(archive->bytes, (const void *) text, (unsigned) length);
        g_byte_array_append(archive->bytes, zeros,
                        (unsigned) ((TAR_BLOCK - length % TAR_BLOCK) % TAR_BLOCK));
}

static void add_text(Archive *archive, const char *name, const char *text) {
        add(archive, '0', name, text, strlen(text));
}

static void add_descriptor(Archive *archive, bool with_disk) {
        g_autofree char *text = descriptor(with_disk);

        add_text(archive, "a.ovf", text);
}

/* Writes it as "other.ova". */
static void finish(Archive *archive) {
        static const unsigned char zeros[2 * TAR_BLOCK];
        g_autofree char *path = images_path("other.ova");

        g_byte_array_append(archive->bytes, zeros, sizeof(zeros));
        images_write(path, archive->bytes->data, archive->bytes->len);
        g_byte_array_unref(g_steal_pointer(&archive->bytes));
}

static void refuse(Archive *archive, const char *words) {
        finish(archive);
        assert_open_fails("other.ova", words);
}

static void only_plain_files_are_taken(void) {
        static const char types[] = {'1', '2', '3', '4', '5', '6', '7', 'S', 'M', 'V', 'g', 'X'};

        for (unsigned i = 0; i < sizeof(types); i++) {
                Archive archive = {0};

                add_descriptor(&archive, false);
                add(&archive, types[i], "other", "", 0);
                refuse(&archive, "what is no plain file: 'other'");
        }
}

static void only_plain_names_are_taken(void) {
        static const char *const names[] = {"/etc/shadow", "../a", "a/b", "./../a", "..", ".", "",
                        "a\\b", "c:a", ".hidden", "-rf", "a\nb", "\xff", "././a"};

        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
                Archive archive = {0};

                add_descriptor(&archive, false);
                add_text(&archive, names[i], "x");
                refuse(&archive, "whose name is not allowed");
        }
}

static void a_package_has_one_descriptor(void) {
        Archive none = {0}, two = {0}, twice = {0}, manifests = {0}, large = {0};
        g_autofree char *text = g_strnfill((1 << 20) + 1, ' ');

        add_text(&none, "a.txt", "x");
        refuse(&none, "has no descriptor");
        add_descriptor(&two, false);
        add_text(&two, "b.ovf", "x");
        refuse(&two, "has several descriptors");
        add_descriptor(&twice, false);
        add_descriptor(&twice, false);
        refuse(&twice, "has a file twice");
        add_descriptor(&manifests, false);
        add_text(&manifests, "a.mf", "");
        add_text(&manifests, "b.mf", "");
        refuse(&manifests, "has several manifests");
        add_text(&large, "a.ovf", text);
        refuse(&large, "a text that is too long");
}

static void extensions_say_what_they_may(void) {
        static const struct {
                char type;
                const char *text, *words;
        } cases[] = {
                        {'x', "18 GNU.sparse.a=b\n", "no plain file"},
                        {'x', "16 linkpath=abc\n", "no plain file"},
                        {'x', "13 path=../a\n", "whose name is not allowed"},
                        {'x', "11 size=-1\n", "whose size is no number"},
                        {'x', "29 size=99999999999999999999\n", "whose size is no number"},
                        {'x', "17 size=99999999\n", "ends before its last file"},
                        {'x', "99 path=a\n", "extended header that is none"},
                        {'x', "1 path=a\n", "extended header that is none"},
                        {'x', "path=a\n", "extended header that is none"},
                        {'x', "10 path=ab", "extended header that is none"},
                        {'x', "9 pathabc\n", "extended header that is none"},
                        {'x', "0 a=b\n", "extended header that is none"},
                        {'L', "../../etc/shadow", "whose name is not allowed"},
                        {'L', "", "whose name is not allowed"},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
                Archive archive = {0};

                add_descriptor(&archive, false);
                add(&archive, cases[i].type, "extension", cases[i].text,
                                strlen(cases[i].text) + (cases[i].type == 'L'));
                add_text(&archive, "a.txt", "x");
                refuse(&archive, cases[i].words);
        }
}

static void extensions_of_others_are_read(void) {
        g_autofree char *text = descriptor(false);
        Archive archive = {0};
        auto_fd fd = -1;
        g_autoptr(Ova) ova = NULL;

        add(&archive, 'x', "pax", "14 path=a.ovf\n18 mtime=1.500000\n", 32);
        add_text(&archive, "elsewhere/a.ovf", text);
        add(&archive, 'L', "././@LongLink", "a long name.txt", 16);
        add_text(&archive, "a long", "x");
        add_text(&archive, "./b.txt", "x");
        finish(&archive);
        fd = open_file("other.ova", O_RDONLY);
        ova = ova_open(fd, &error);
        g_assert_no_error(error);
        g_assert_nonnull(ova_find(ova, "a long name.txt"));
        g_assert_nonnull(ova_find(ova, "b.txt"));
        g_assert_true(ova_verify(ova, NULL, &error));
}

/* The bytes of a header that are wrong, with a sum that is right unless that is it. */
static void headers_are_checked(void) {
        static const struct {
                unsigned place;
                const char *bytes, *words;
        } cases[] = {
                        {148, "0000000", "the sum of a header is wrong"},
                        {148, "xxxxxxx", "the sum of a header is wrong"},
                        {0, "b", "the sum of a header is wrong"},
                        {257, "other", "another format"},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
                Archive archive = {0};

                add_descriptor(&archive, false);
                memcpy(archive.bytes->data + cases[i].place, cases[i].bytes,
                                strlen(cases[i].bytes));
                refuse(&archive, cases[i].words);
        }
}

static void sizes_are_read_in_both_ways(void) {
        static const uint64_t sizes[] = {0, 1, 511, (UINT64_C(1) << 33) - 1, UINT64_C(1) << 33,
                        UINT64_C(1) << 40, INT64_MAX};

        for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
                unsigned char block[TAR_BLOCK];
                TarHeader header = {0};

                tar_header_write(block, "a.vmdk", sizes[i], 1);
                g_assert_true(tar_header_read(block, &header, &error));
                g_assert_cmpstr(header.name, ==, "a.vmdk");
                g_assert_cmpuint(header.size, ==, sizes[i]);
                g_assert_cmpint(header.type, ==, '0');
        }
}

static void a_size_is_no_other_number(void) {
        static const char *const sizes[] = {"-0000000001", "0000000000x", "           ",
                        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                        "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "0x000000010"};

        for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
                unsigned char block[TAR_BLOCK];
                TarHeader header = {0};
                unsigned sum = 0;

                tar_header_write(block, "a", 0, 0);
                memcpy(block + 124, sizes[i], MIN(strlen(sizes[i]), 12));
                memset(block + 148, ' ', 8);
                for (unsigned k = 0; k < TAR_BLOCK; k++)
                        sum += block[k];
                (void) g_snprintf((char *) block + 148, 7, "%06o", sum);
                g_assert_false(tar_header_read(block, &header, &error));
                assert_error(error, INVALID_BUNDLE);
        }
}

/* Disks */

static void refuse_disk(const void *data, size_t length, const char *words) {
        Archive archive = {0};

        add_descriptor(&archive, true);
        add(&archive, '0', "a.vmdk", data, length);
        refuse(&archive, words);
}

static void a_disk_holds_its_own_data(void) {
        char head[2048] = "KDMV\001";

        refuse_disk("", 0, "can not be read");
        refuse_disk("# Disk DescriptorFile\nRW 1 FLAT \"/etc/shadow\" 0\n", 49, "can not be read");
        memset(head, '\n', sizeof(head));
        memcpy(head, "# Disk DescriptorFile", 21);
        refuse_disk(head, sizeof(head), "no VMDK that holds its own data");
        memset(head, 0, sizeof(head));
        memcpy(head, "COWD", 4);
        refuse_disk(head, sizeof(head), "no VMDK that holds its own data");
        memcpy(head, "KDMV", 4);
        refuse_disk(head, sizeof(head), "names other files");
        head[12] = 1;
        memcpy(head + 600, "parentFileNameHint=\"/etc/shadow\"", 32);
        refuse_disk(head, sizeof(head), "rests on another image");
        head[18] = 1;
        refuse_disk(head, sizeof(head), "is larger than the package says");
}

static void files_are_there_and_have_their_size(void) {
        Archive missing = {0}, size = {0};
        g_autofree char *text = g_strdup_printf(DESCRIPTOR,
                        "<File ovf:href=\"a.vmdk\" ovf:id=\"f\" ovf:size=\"7\"/>", DISK, DISK_ITEM);

        add_descriptor(&missing, true);
        refuse(&missing, "lacks a file: 'a.vmdk'");
        add_text(&size, "a.ovf", text);
        add_text(&size, "a.vmdk", "x");
        refuse(&size, "of another size than it says");
}

/* Manifests */

#define SUM1 "da39a3ee5e6b4b0d3255bfef95601890afd80709"

static void a_manifest_has_all_that_counts(void) {
        g_autofree char *text = descriptor(false);
        Archive missing = {0}, wrong = {0};
        auto_fd fd = -1;
        g_autoptr(Ova) ova = NULL;

        add_text(&missing, "a.ovf", text);
        add_text(&missing, "a.mf", "SHA1(b)= " SUM1);
        refuse(&missing, "not in its manifest: 'a.ovf'");
        add_text(&wrong, "a.ovf", text);
        add_text(&wrong, "a.mf", "SHA1(a.ovf)= " SUM1);
        finish(&wrong);
        fd = open_file("other.ova", O_RDONLY);
        ova = ova_open(fd, &error);
        g_assert_no_error(error);
        g_assert_false(ova_verify(ova, NULL, &error));
        assert_error(error, INVALID_BUNDLE);
}

static void only_a_regular_file_is_a_package(void) {
        auto_fd fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

        g_assert_null(ova_open(fd, &error));
        assert_error(error, INVALID_BUNDLE);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD_IMAGE(what_is_written_can_be_read);
        ADD_IMAGE(disks_are_read_where_they_are);
        ADD_IMAGE(tar_unpacks_it);
        ADD_IMAGE(one_that_is_stopped_says_so);
        ADD_IMAGE(names_have_to_fit);
        ADD_IMAGE(each_changed_byte_is_found);
        ADD_IMAGE(one_that_ends_early_is_refused);
        ADD_IMAGE(only_plain_files_are_taken);
        ADD_IMAGE(only_plain_names_are_taken);
        ADD_IMAGE(a_package_has_one_descriptor);
        ADD_IMAGE(extensions_say_what_they_may);
        ADD_IMAGE(extensions_of_others_are_read);
        ADD_IMAGE(headers_are_checked);
        ADD(sizes_are_read_in_both_ways);
        ADD(a_size_is_no_other_number);
        ADD_IMAGE(a_disk_holds_its_own_data);
        ADD_IMAGE(files_are_there_and_have_their_size);
        ADD_IMAGE(a_manifest_has_all_that_counts);
        ADD(only_a_regular_file_is_a_package);
        return g_test_run();
}
