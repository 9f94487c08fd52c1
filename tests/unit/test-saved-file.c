/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "saved-file"

#include "export/saved-file.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support.h"

#define UUID "deb7dc1d-7e96-4d0a-9a4f-9f0e2e8ba56b"
#define DEFINITION                                                                                 \
        "<domain type='qemu'><name>web</name><uuid>" UUID "</uuid><memory>1</memory>"              \
        "<os><type>hvm</type></os><devices/></domain>"
#define COOKIE "<cookie><cpu mode='custom'><model>qemu64</model></cpu></cookie>"
#define MEMORY "the memory"

/* As libvirt's. */
typedef struct Header {
        char magic[16];
        uint32_t version, length, ran, compression, cookie, unused[14];
} Header;

G_STATIC_ASSERT(sizeof(Header) == 92);

static GError *error;
static DefinitionImport import;

static Header usual_header(uint32_t room) {
        Header header = {.version = 2, .length = room, .ran = 1, .cookie = sizeof(DEFINITION)};

        memcpy(header.magic, "LibvirtQemudSave", sizeof(header.magic));
        return header;
}

static int make(const Header *header, const char *definition, const char *cookie) {
        int fd = memfd_create("saved", MFD_CLOEXEC);
        size_t end = sizeof(*header) + header->length;

        g_assert_cmpint(ftruncate(fd, (off_t) end), ==, 0);
        g_assert_cmpint(pwrite(fd, header, sizeof(*header), 0), ==, sizeof(*header));
        g_assert_cmpint(pwrite(fd, definition, strlen(definition), sizeof(*header)), ==,
                        (ssize_t) strlen(definition));
        g_assert_cmpint(pwrite(fd, cookie, strlen(cookie),
                                        (off_t) (sizeof(*header) + header->cookie)),
                        ==, (ssize_t) strlen(cookie));
        g_assert_cmpint(pwrite(fd, MEMORY, strlen(MEMORY), (off_t) end), ==,
                        (ssize_t) strlen(MEMORY));
        return fd;
}

static bool run(int fd) {
        bool ok;

        definition_import_init(&import);
        import.name = "copy";
        import.uuid = "11111111-2222-4333-8444-555555555555";
        import.directory = "/images/copy";
        ok = saved_file_import(fd, &import, "state/saved", &error);
        definition_import_clear(&import);
        return ok;
}

static void it_gets_another_definition(void) {
        Header header = usual_header(8192), now;
        int fd = make(&header, DEFINITION, COOKIE);
        char text[8192], memory[32] = "";

        header.unused[3] = 5;
        g_assert_true(run(fd));
        g_assert_no_error(error);
        g_assert_cmpint(pread(fd, &now, sizeof(now), 0), ==, sizeof(now));
        g_assert_cmpuint(now.length, ==, 8192);
        g_assert_cmpuint(now.ran, ==, 1);
        g_assert_cmpint(pread(fd, text, sizeof(text), sizeof(now)), ==, sizeof(text));
        g_assert_nonnull(strstr(text, "<name>copy</name>"));
        g_assert_null(strstr(text, UUID));
        g_assert_cmpuint(now.cookie, ==, strlen(text) + 1);
        g_assert_nonnull(strstr(text + now.cookie, "qemu64"));
        g_assert_cmpint(pread(fd, memory, sizeof(memory), sizeof(now) + 8192), ==, strlen(MEMORY));
        g_assert_cmpstr(memory, ==, MEMORY);
        (void) close(fd);
}

static void it_may_have_nothing_beside_the_definition(void) {
        Header header = usual_header(8192);
        int fd;

        header.cookie = 0;
        fd = make(&header, DEFINITION, "");
        g_assert_true(run(fd));
        (void) close(fd);
}

static void assert_refused(
                Header header, const char *definition, const char *cookie, const char *word) {
        int fd = make(&header, definition, cookie);

        g_assert_false(run(fd));
        if (!strstr(error->message, word))
                g_error("%s: %s", word, error->message);
        assert_error(error, INVALID_BUNDLE);
        (void) close(fd);
}

static void a_header_that_is_not_right_is_refused(void) {
        Header header = usual_header(8192);

        header.magic[12] = 'P';
        assert_refused(header, DEFINITION, COOKIE, "no saved state");
        header = usual_header(8192);
        header.version = 1;
        assert_refused(header, DEFINITION, COOKIE, "version");
        header.version = 0x02000000;
        assert_refused(header, DEFINITION, COOKIE, "byte order");
        header = usual_header(8192);
        header.compression = 99;
        assert_refused(header, DEFINITION, COOKIE, "header");
        header = usual_header(8192);
        header.ran = 2;
        assert_refused(header, DEFINITION, COOKIE, "header");
        header = usual_header(8192);
        header.cookie = 8192;
        assert_refused(header, DEFINITION, COOKIE, "header");
        header.cookie = UINT32_MAX;
        header.length = 4096;
        assert_refused(header, DEFINITION, "", "header");
        header = usual_header(4U << 20);
        assert_refused(header, DEFINITION, COOKIE, "header");
}

static void a_file_that_is_too_short_is_refused(void) {
        Header header = usual_header(8192);
        int fd = make(&header, DEFINITION, COOKIE);

        g_assert_cmpint(ftruncate(fd, 4096), ==, 0);
        g_assert_false(run(fd));
        assert_error(error, INVALID_BUNDLE);
        g_assert_cmpint(ftruncate(fd, 40), ==, 0);
        g_assert_false(run(fd));
        assert_error(error, INVALID_BUNDLE);
        g_assert_cmpint(ftruncate(fd, 0), ==, 0);
        g_assert_false(run(fd));
        assert_error(error, INVALID_BUNDLE);
        (void) close(fd);
}

static void a_definition_without_an_end_is_refused(void) {
        Header header = usual_header(sizeof(DEFINITION) - 1);

        header.cookie = 0;
        assert_refused(header, DEFINITION, "", "no end");
        header = usual_header(sizeof(DEFINITION) + sizeof(COOKIE) - 1);
        assert_refused(header, DEFINITION, COOKIE, "no end");
}

/* What is in it is not less hostile than a definition. */
static void a_hostile_definition_is_refused(void) {
        static const char evil[] = "<domain type='qemu'><devices><hostdev/></devices></domain>";
        Header header = usual_header(8192);

        header.cookie = sizeof(evil);
        assert_refused(header, evil, COOKIE, "hostdev");
        header = usual_header(8192);
        assert_refused(header, DEFINITION, "<cookie><evil/></cookie>", "evil");
        assert_refused(header, DEFINITION, "<!DOCTYPE x><cookie/>", "document type");
        header.cookie = 0;
        assert_refused(header, "\xff\xfe", "", "no text");
}

static void a_definition_that_does_not_fit_is_refused(void) {
        Header header = usual_header(sizeof(DEFINITION) + sizeof(COOKIE));
        int fd = make(&header, DEFINITION, COOKIE);

        g_assert_false(run(fd));
        assert_error(error, INCOMPATIBLE_SAVED_STATE);
        (void) close(fd);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(it_gets_another_definition);
        ADD(it_may_have_nothing_beside_the_definition);
        ADD(a_header_that_is_not_right_is_refused);
        ADD(a_file_that_is_too_short_is_refused);
        ADD(a_definition_without_an_end_is_refused);
        ADD(a_hostile_definition_is_refused);
        ADD(a_definition_that_does_not_fit_is_refused);
        return g_test_run();
}
