/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "ovf-refused"

#include <string.h>

#include "ovf-texts.h"
#include "ovf/ovf-reader.h"
#include "support.h"

static GError *error;

typedef struct Case {
        const char *text, *words;
} Case;

static void assert_refused(const Case *cases, unsigned count) {
        for (unsigned i = 0; i < count; i++) {
                if (ovf_read(cases[i].text, strlen(cases[i].text), &error))
                        g_error("taken: %s", cases[i].text);
                if (!strstr(error->message, cases[i].words))
                        g_error("%s: %s", cases[i].text, error->message);
                assert_error(error, INVALID_BUNDLE);
        }
}

#define ASSERT_REFUSED(cases) assert_refused(cases, G_N_ELEMENTS(cases))

static void what_is_no_envelope_is_refused(void) {
        static const Case cases[] = {
                        {"", "not well-formed"},
                        {"<", "not well-formed"},
                        {"<Envelope/>x", "not well-formed"},
                        {"\xff\xfe<", "not UTF-8"},
                        {"<a/>", "a: it is no Envelope"},
                        {"<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "has a DTD"},
                        {"<!DOCTYPE a SYSTEM \"http://x/\"><a/>", "has a DTD"},
                        {"<a>&b;</a>", "not well-formed"},
                        {ENVELOPE(""), "Envelope: it"},
                        {ENVELOPE(REFERENCES("")), "Envelope: its VirtualSystem is missing"},
                        {ENVELOPE(SYSTEM("")), "Envelope: its References is missing"},
                        {ENVELOPE(PACKAGE SYSTEM("") SYSTEM("")), "it is there twice"},
                        {ENVELOPE(PACKAGE REFERENCES("") SYSTEM("")),
                                        "References: it is there twice"},
                        {ENVELOPE(PACKAGE "<NewSection/>" SYSTEM("")),
                                        "NewSection: it is not known"},
                        {ENVELOPE(PACKAGE "<vbox:Section/>" SYSTEM("")),
                                        "Section: it is not known"},
        };

        ASSERT_REFUSED(cases);
}

static void files_stay_in_the_package(void) {
        static const Case cases[] = {
                        {WITH_FILES("<File ovf:id=\"f1\"/>"),
                                        "File: its attribute 'href' is missing"},
                        {WITH_FILES("<File ovf:href=\"a\"/>"),
                                        "File: its attribute 'id' is missing"},
                        {WITH_FILES("<File ovf:id=\"f1\" ovf:href=\"../a\"/>"), "no file of the"},
                        {WITH_FILES("<File ovf:id=\"f1\" ovf:href=\"/etc/shadow\"/>"),
                                        "no file of"},
                        {WITH_FILES("<File ovf:id=\"f1\" ovf:href=\"a/b.vmdk\"/>"), "no file of"},
                        {WITH_FILES("<File ovf:id=\"f1\" ovf:href=\"a\\b.vmdk\"/>"), "no file of"},
                        {WITH_FILES("<File ovf:id=\"f1\" ovf:href=\"http://x/a\"/>"), "no file of"},
                        {WITH_FILES("<File ovf:id=\"f1\" ovf:href=\"file:a\"/>"), "no file of"},
                        {WITH_FILES("<File ovf:id=\"f1\" ovf:href=\"json:{}\"/>"), "no file of"},
                        {WITH_FILES("<File ovf:id=\"f1\" ovf:href=\".a\"/>"), "no file of"},
                        {WITH_FILES("<File ovf:id=\"f1\" ovf:href=\"-a\"/>"), "no file of"},
                        {WITH_FILES("<File ovf:id=\"f1\" ovf:href=\"\"/>"), "'href' is no name"},
                        {WITH_FILES("<File ovf:id=\"f1\" ovf:href=\"a&#10;b\"/>"),
                                        "'href' is no name"},
                        {WITH_FILES("<File ovf:id=\"f1\" ovf:href=\"a&#x85;b\"/>"), "'href' is no"},
                        {WITH_FILES(FILES "<File ovf:id=\"f1\" ovf:href=\"b\"/>"), "there twice"},
                        {WITH_FILES(FILES "<File ovf:id=\"f2\" ovf:href=\"a.vmdk\"/>"),
                                        "there twice"},
                        {WITH_FILES("<File ovf:id=\"f1\" ovf:href=\"a\" ovf:size=\"-1\"/>"),
                                        "'size'"},
                        {WITH_FILES("<File ovf:id=\"f1\" ovf:href=\"a\" "
                                    "ovf:size=\"9223372036854775808\"/>"),
                                        "'size' is no number"},
        };

        ASSERT_REFUSED(cases);
}

#define DISK_OF(attributes) "<Disk ovf:diskId=\"d1\" ovf:format=\"" FORMAT "\" " attributes "/>"

static void disks_are_what_they_can_be(void) {
        static const Case cases[] = {
                        {WITH_DISKS(""), "Item: its disk is not in the DiskSection"},
                        {WITH_DISKS(DISK("") DISK("")), "Disk: 'd1' is there twice"},
                        {WITH_DISKS(DISK_OF("ovf:capacity=\"1\" ovf:fileRef=\"x\"")), "References"},
                        {WITH_DISKS(DISK_OF("")), "capacity is missing or out of range"},
                        {WITH_DISKS(DISK_OF("ovf:capacity=\"0\"")), "missing or out of range"},
                        {WITH_DISKS(DISK_OF("ovf:capacity=\"1e9\"")), "'capacity' is no number"},
                        {WITH_DISKS(DISK_OF("ovf:capacity=\"${size}\"")),
                                        "'capacity' is no number"},
                        {WITH_DISKS(DISK_OF("ovf:capacity=\"-8\"")), "'capacity' is no number"},
                        {WITH_DISKS(DISK_OF("ovf:capacity=\"2\" "
                                            "ovf:capacityAllocationUnits=\"byte * 2^50\"")),
                                        "out of range"},
                        {WITH_DISKS(DISK_OF("ovf:capacity=\"1125899906842624\" "
                                            "ovf:capacityAllocationUnits=\"byte * 2^50\"")),
                                        "out of range"},
                        {WITH_DISKS(DISK_OF(
                                         "ovf:capacity=\"8\" ovf:capacityAllocationUnits=\"x\"")),
                                        "its unit is not known"},
                        {WITH_DISKS(DISK_OF("ovf:capacity=\"8\" "
                                            "ovf:capacityAllocationUnits=\"byte * 2^99\"")),
                                        "its unit is not known"},
        };

        ASSERT_REFUSED(cases);
}

static void hardware_is_what_it_can_be(void) {
        static const Case cases[] = {
                        {ENVELOPE(PACKAGE SYSTEM("")), "VirtualSystem: it has no hardware"},
                        {WITH_ITEMS(""), "it has no processors"},
                        {WITH_ITEMS(CPUS), "it has no memory"},
                        {WITH_ITEMS(CPUS CPUS MEMORY), "its InstanceID is that of another one"},
                        {WITH_ITEMS(CPUS MEMORY ITEM("9", "3", FIELD("VirtualQuantity", "1"))),
                                        "there are processors already"},
                        {WITH_ITEMS(CPUS MEMORY ITEM(
                                         "9", "4", FIELD("VirtualQuantity", "1048576"))),
                                        "there is memory already"},
                        {WITH_ITEMS(ITEM("1", "3", "")), "VirtualQuantity is missing"},
                        {WITH_ITEMS(ITEM("1", "3", FIELD("VirtualQuantity", "0"))),
                                        "no number in range"},
                        {WITH_ITEMS(ITEM("1", "3", FIELD("VirtualQuantity", "1025"))), "in range"},
                        {WITH_ITEMS(ITEM("1", "4", FIELD("VirtualQuantity", "1"))), "out of range"},
                        {WITH_ITEMS(ITEM("1", "4", UNITS FIELD("VirtualQuantity", "67108865"))),
                                        "out of range"},
                        {WITH_ITEMS(ITEM("1", "4",
                                         UNITS FIELD("VirtualQuantity", "18446744073709551616"))),
                                        "no number in range"},
                        {WITH_ITEMS(ITEM("1", "4",
                                         FIELD("AllocationUnits", "furlong")
                                                         FIELD("VirtualQuantity", "1"))),
                                        "its unit is not known"},
                        {WITH_ITEMS(CPUS MEMORY ITEM("9", "99", "")), "hardware of the type 99"},
                        {WITH_ITEMS(CPUS MEMORY ITEM("9", "x", "")), "ResourceType is no number"},
                        {WITH_ITEMS(CPUS MEMORY "<Item/>"), "ResourceType is missing"},
                        {WITH_ITEMS(CPUS MEMORY "<Item>" FIELD("ResourceType", "5") "</Item>"),
                                        "InstanceID is missing"},
                        {WITH_ITEMS(CPUS MEMORY "<StorageItem/>"), "StorageItem: it is not known"},
                        {WITH_ITEMS(CPUS MEMORY ITEM("9", "20", "")), "controller is not known"},
                        {WITH_ITEMS(CPUS MEMORY ROOT_DISK), "its Parent is no controller"},
                        {WITH_ITEMS(CPUS MEMORY DISK_ITEM("4", "ovf:/disk/d1", ON("1", "0"))),
                                        "its Parent is no controller"},
                        {WITH_ITEMS(CPUS MEMORY DISK_ITEM("4", "ovf:/disk/d1", ON("4", "0"))),
                                        "its Parent is no controller"},
                        {WITH_ITEMS(CPUS MEMORY IDE DISK_ITEM("4", "ovf:/disk/d1", ON("3", "256"))),
                                        "AddressOnParent is out of range"},
                        {WITH_ITEMS(CPUS MEMORY IDE DISK_ITEM("4", "ovf:/disk/d2", ON("3", "0"))),
                                        "not in the DiskSection"},
                        {WITH_ITEMS(CPUS MEMORY IDE DISK_ITEM("4", "ovf:/file/f1", ON("3", "0"))),
                                        "its HostResource is no disk"},
                        {WITH_ITEMS(CPUS MEMORY IDE DISK_ITEM("4", "/dev/sda", ON("3", "0"))),
                                        "its HostResource is no disk"},
                        {WITH_ITEMS(CPUS MEMORY IDE ITEM("4", "17", ON("3", "0"))), "is no disk"},
                        {WITH_ITEMS(ALL DISK_ITEM("9", "ovf:/disk/d1", ON("3", "1"))),
                                        "that of another one"},
                        {WITH_ITEMS(CPUS MEMORY ITEM("5", "10", FIELD("Connection", "x"))),
                                        "not in the NetworkSection"},
                        {WITH_ITEMS(CPUS MEMORY ITEM(
                                         "5", "10", FIELD("Address", "01:00:00:00:00:00"))),
                                        "its Address is none"},
                        {WITH_ITEMS(CPUS MEMORY ITEM(
                                         "5", "10", FIELD("Address", "52:54:00:12:34"))),
                                        "its Address is none"},
                        {ENVELOPE(PACKAGE SYSTEM("<Name>a&#10;b</Name>" HARDWARE(ALL))), "no name"},
        };

        ASSERT_REFUSED(cases);
}

static void two_disks_have_two_places(void) {
        static const Case cases[] = {{
                        ENVELOPE(REFERENCES("") DISKS(
                                        "<Disk ovf:capacity=\"512\" "
                                        "ovf:diskId=\"d1\"/>"
                                        "<Disk ovf:capacity=\"512\" "
                                        "ovf:diskId=\"d2\"/>") SYSTEM(HARDWARE(CPUS MEMORY IDE
                                                        ROOT_DISK DISK_ITEM("9", "ovf:/disk/d2",
                                                                        ON("3", "0"))))),
                        "its place on the controller is taken",
        }};

        ASSERT_REFUSED(cases);
}

static void what_can_not_be_imported_is_told_apart(void) {
        static const Case cases[] = {
                        {"<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/2\"/>", "version"},
                        {ENVELOPE(PACKAGE "<VirtualSystemCollection/>"), "several machines"},
                        {WITH_FILES("<File ovf:id=\"f1\" ovf:href=\"a\" "
                                    "ovf:compression=\"gzip\"/>"),
                                        "compressed"},
                        {WITH_FILES("<File ovf:id=\"f1\" ovf:href=\"a\" ovf:chunkSize=\"7\"/>"),
                                        "pieces"},
                        {WITH_DISKS(DISK(" ovf:parentRef=\"d0\"")), "rests on another"},
                        {WITH_DISKS("<Disk ovf:capacity=\"1\" ovf:diskId=\"d1\" ovf:fileRef=\"f1\" "
                                    "ovf:format=\"http://x/vhd\"/>"),
                                        "not VMDK"},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_assert_null(ovf_read(cases[i].text, strlen(cases[i].text), &error));
                g_assert_nonnull(strstr(error->message, cases[i].words));
                assert_error(error, NOT_SUPPORTED);
        }
}

static void repeat(GString *text, const char *part, unsigned count) {
        while (count-- > 0)
                g_string_append(text, part);
}

static void assert_text_refused(GString *text, const char *words) {
        const Case one = {text->str, words};

        assert_refused(&one, 1);
        (void) g_string_free(text, TRUE);
}

static void there_are_limits(void) {
        GString *text = g_string_new("<Envelope " NAMESPACES ">");

        repeat(text, "<!-- much -->", 100000);
        assert_text_refused(text, "larger than 1 MiB");

        text = g_string_new("");
        repeat(text, "<a>", 10000);
        assert_text_refused(text, "not well-formed");

        text = g_string_new("<Envelope " NAMESPACES "><References>");
        for (unsigned i = 0; i < 300; i++)
                g_string_append_printf(text, "<File ovf:id=\"%u\" ovf:href=\"%u\"/>", i, i);
        g_string_append(text, "</References></Envelope>");
        assert_text_refused(text, "more than 256");

        text = g_string_new("<Envelope " NAMESPACES ">" PACKAGE
                            "<VirtualSystem ovf:id=\"vm\"><VirtualHardwareSection>");
        for (unsigned i = 0; i < 600; i++)
                g_string_append_printf(text, ITEM("%u", "5", ""), i);
        g_string_append(text, "</VirtualHardwareSection></VirtualSystem></Envelope>");
        assert_text_refused(text, "more than 512");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(what_is_no_envelope_is_refused);
        ADD(files_stay_in_the_package);
        ADD(disks_are_what_they_can_be);
        ADD(hardware_is_what_it_can_be);
        ADD(two_disks_have_two_places);
        ADD(what_can_not_be_imported_is_told_apart);
        ADD(there_are_limits);
        return g_test_run();
}
