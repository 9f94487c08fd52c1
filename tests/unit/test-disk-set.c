/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "disk-set"

#include <string.h>

#include "disk/disk-set.h"
#include "support.h"

static const char definition[] =
                "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' type='kvm'>\n"
                "  <name>Büro &amp; Lager</name>\n"
                "  <metadata><disk><target dev='vda'/></disk></metadata>\n"
                "  <os><type>hvm</type></os>\n"
                "  <devices>\n"
                "    <!-- the first -->\n"
                "    <disk type='file' device='disk'>\n"
                "      <driver name='qemu' type='qcow2' cache='none'/>\n"
                "      <source file='/srv/a &amp; b.qcow2' index='1'/>\n"
                "      <backingStore type='file'>\n"
                "        <format type='raw'/>\n"
                "        <source file='/srv/base.img'/>\n"
                "        <backingStore/>\n"
                "      </backingStore>\n"
                "      <mirror type='file' job='copy'><source file='/srv/m'/></mirror>\n"
                "      <target dev='vda' bus='virtio'/>\n"
                "    </disk>\n"
                "    <disk type='file' device='cdrom'>\n"
                "      <target dev='sda' bus='sata'/>\n"
                "      <readonly/>\n"
                "    </disk>\n"
                "    <disk type='block' device='disk'>\n"
                "      <driver name='qemu' type='raw'/>\n"
                "      <source dev='/dev/vg/lv'/>\n"
                "      <target dev='vdb' bus='virtio'/>\n"
                "    </disk>\n"
                "    <disk>\n"
                "      <source file='/srv/bare.img'/>\n"
                "      <backingStore/>\n"
                "      <target dev='vdc'/>\n"
                "    </disk>\n"
                "    <interface type='network'><target dev='vdd'/></interface>\n"
                "  </devices>\n"
                "  <qemu:commandline><qemu:arg value='-x'/></qemu:commandline>\n"
                "</domain>\n";

static GError *error;

static DiskSet *parse(const char *text) {
        DiskSet *set = disk_set_parse(text, &error);

        g_assert_no_error(error);
        g_assert_nonnull(set);
        return set;
}

static DiskSet *parse_parts(const char *os, const char *devices) {
        g_autofree char *text = g_strdup_printf("<domain><name>a</name><os>%s</os>"
                                                "<devices>%s</devices></domain>",
                        os, devices);

        return parse(text);
}

/* The only disk of a machine, writable and qcow2, with something more in it. */
static bool is_snapshottable(const char *attributes, const char *driver, const char *more) {
        g_autofree char *text =
                        g_strdup_printf("<disk %s><driver name='qemu' %s/><source file='/srv/a'/>"
                                        "<target dev='vda'/>%s</disk>",
                                        attributes, driver, more);
        g_autoptr(DiskSet) set = parse_parts("", text);

        g_assert_cmpuint(set->disks->len, ==, 1);
        return disk_is_snapshottable(g_ptr_array_index(set->disks, 0));
}

/* Reading */

static void the_disks_are_read_in_their_order(void) {
        g_autoptr(DiskSet) set = parse(definition);
        const char *const targets[] = {"vda", "sda", "vdb", "vdc"};

        g_assert_cmpuint(set->disks->len, ==, G_N_ELEMENTS(targets));
        for (unsigned i = 0; i < G_N_ELEMENTS(targets); i++) {
                Disk *disk = g_ptr_array_index(set->disks, i);

                g_assert_cmpstr(disk->target, ==, targets[i]);
                g_assert_true(disk_set_find(set, targets[i]) == disk);
        }
}

static void a_disk_is_a_file_with_a_format(void) {
        g_autoptr(DiskSet) set = parse(definition);
        const Disk *disk = disk_set_find(set, "vda");

        g_assert_cmpstr(disk->path, ==, "/srv/a & b.qcow2");
        g_assert_cmpstr(disk->format, ==, "qcow2");
        g_assert_true(disk->is_file && disk->is_disk);
        g_assert_false(disk->readonly || disk->shareable || disk->transient || disk->is_special);
}

static void an_empty_drive_has_no_path(void) {
        g_autoptr(DiskSet) set = parse(definition);
        const Disk *disk = disk_set_find(set, "sda");

        g_assert_null(disk->path);
        g_assert_null(disk->format);
        g_assert_true(disk->is_file && disk->readonly);
        g_assert_false(disk->is_disk);
}

static void a_block_device_is_no_file(void) {
        g_autoptr(DiskSet) set = parse(definition);
        const Disk *disk = disk_set_find(set, "vdb");

        g_assert_null(disk->path);
        g_assert_false(disk->is_file);
        g_assert_true(disk->is_disk);
}

static void a_disk_without_words_is_a_file_of_unknown_format(void) {
        g_autoptr(DiskSet) set = parse(definition);
        const Disk *disk = disk_set_find(set, "vdc");

        g_assert_cmpstr(disk->path, ==, "/srv/bare.img");
        g_assert_null(disk->format);
        g_assert_true(disk->is_file && disk->is_disk);
        g_assert_false(disk_is_snapshottable(disk));
}

static void what_is_no_disk_is_not_found(void) {
        g_autoptr(DiskSet) set = parse(definition);

        g_assert_null(disk_set_find(set, "vdd"));
        g_assert_null(disk_set_find(set, ""));
}

static void a_machine_may_have_no_disks(void) {
        g_autoptr(DiskSet) set = parse("<domain/>");

        g_assert_cmpuint(set->disks->len, ==, 0);
        g_assert_null(set->nvram);
        g_assert_null(set->tpm_state);
        g_assert_false(set->has_uefi || set->has_tpm);
}

static void a_path_that_is_not_absolute_is_none(void) {
        g_autoptr(DiskSet) set = parse_parts("<nvram>vars.fd</nvram>",
                        "<disk type='file'><source file='json:{}'/><target dev='vda'/></disk>");

        g_assert_null(disk_set_find(set, "vda")->path);
        g_assert_null(set->nvram);
        g_assert_true(set->has_uefi);
}

static void a_plain_writable_file_is_snapshottable(void) {
        g_assert_true(is_snapshottable("", "type='qcow2'", ""));
        g_assert_true(is_snapshottable("type='file' device='disk'", "type='raw'", ""));
}

static void other_disks_are_not_snapshottable(void) {
        g_assert_false(is_snapshottable("type='block'", "type='qcow2'", ""));
        g_assert_false(is_snapshottable("type='network'", "type='qcow2'", ""));
        g_assert_false(is_snapshottable("device='cdrom'", "type='raw'", ""));
        g_assert_false(is_snapshottable("device='floppy'", "type='raw'", ""));
        g_assert_false(is_snapshottable("device='lun'", "type='raw'", ""));
        g_assert_false(is_snapshottable("", "", ""));
        g_assert_false(is_snapshottable("", "type='vmdk'", ""));
        g_assert_false(is_snapshottable("", "type='qcow2'", "<readonly/>"));
        g_assert_false(is_snapshottable("", "type='qcow2'", "<shareable/>"));
        g_assert_false(is_snapshottable("", "type='qcow2'", "<transient/>"));
        g_assert_false(is_snapshottable("", "type='qcow2'", "<encryption format='luks'/>"));
}

static void a_source_that_is_more_than_a_file_is_not_snapshottable(void) {
        const char *const parts[] = {"<encryption format='luks'/>",
                        "<slices><slice type='storage' offset='0' size='512'/></slices>"};

        for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++) {
                g_autofree char *text = g_strdup_printf(
                                "<disk><driver type='qcow2'/><source file='/srv/a'>%s</source>"
                                "<target dev='vda'/></disk>",
                                parts[i]);
                g_autoptr(DiskSet) set = parse_parts("", text);

                g_assert_true(disk_set_find(set, "vda")->is_special);
                g_assert_false(disk_is_snapshottable(disk_set_find(set, "vda")));
        }
}

static void firmware_variables_are_found_in_both_forms(void) {
        g_autoptr(DiskSet) plain = parse_parts("<nvram template='/usr/t.fd'>/var/v.fd</nvram>", "");
        g_autoptr(DiskSet) source =
                        parse_parts("<nvram type='file'><source file='/var/w.fd'/></nvram>", "");

        g_assert_cmpstr(plain->nvram, ==, "/var/v.fd");
        g_assert_cmpstr(source->nvram, ==, "/var/w.fd");
        g_assert_true(plain->has_uefi && source->has_uefi);
}

static void uefi_may_come_without_a_file(void) {
        g_autoptr(DiskSet) automatic =
                        parse("<domain><os firmware='efi'><type>hvm</type></os></domain>");
        g_autoptr(DiskSet) loader = parse_parts("<loader type='pflash'>/usr/l.fd</loader>", "");
        g_autoptr(DiskSet) bios = parse_parts("<loader type='rom'>/usr/b.bin</loader>", "");

        g_assert_true(automatic->has_uefi && loader->has_uefi);
        g_assert_null(automatic->nvram);
        g_assert_false(bios->has_uefi);
}

static void an_emulated_tpm_has_a_state(void) {
        g_autoptr(DiskSet) silent =
                        parse_parts("", "<tpm><backend type='emulator' version='2.0'/></tpm>");
        g_autoptr(DiskSet) told = parse_parts("", "<tpm><backend type='emulator'/></tpm>");
        g_autoptr(DiskSet) real = parse_parts("",
                        "<tpm><backend type='passthrough'><device path='/dev/tpm0'/></backend>"
                        "</tpm>");

        g_assert_true(silent->has_tpm && told->has_tpm);
        g_assert_false(real->has_tpm);
}

static void what_is_no_definition_is_refused(void) {
        const char *const texts[] = {"", "x", "<domain>", "<network/>",
                        "<domainsnapshot><domain/></domainsnapshot>",
                        "<!DOCTYPE domain SYSTEM 'file:///etc/hostname'><domain/>"};

        for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_assert_null(disk_set_parse(texts[i], &error));
                assert_error(error, FAILED);
        }
}

static void a_mirror_is_that_of_its_own_disk(void) {
        g_autoptr(DiskSet) set = parse_parts("",
                        "<disk type='file'><target dev='vda'/><mirror job='copy'/></disk>"
                        "<disk type='file'><target dev='vdb'/><mirror ready='yes'/></disk>"
                        "<disk type='file'><target dev='vdc'/><mirror ready='abort'/></disk>");

        g_assert_false(disk_set_find(set, "vda")->mirror_ready);
        g_assert_true(disk_set_find(set, "vdb")->mirror_ready);
        g_assert_false(disk_set_find(set, "vdc")->mirror_ready);
}

/* Writing */

static char *with_source(const char *text, const char *target, const char *path) {
        g_autoptr(GHashTable) paths = g_hash_table_new(g_str_hash, g_str_equal);

        g_hash_table_insert(paths, (void *) target, (void *) path);
        return domain_xml_with_sources(text, paths, "qcow2", &error);
}

/* Takes a piece out of the text, which has it. */
static void expect_piece(GString *text, const char *piece) {
        char *found = strstr(text->str, piece);

        g_assert_nonnull(found);
        g_string_erase(text, found - text->str, (gssize) strlen(piece));
}

static void only_the_source_of_the_disk_changes(void) {
        g_autofree char *changed = with_source(definition, "vda", "/srv/n <&'\"> ü.qcow2");
        g_autoptr(GString) before = g_string_new(definition);
        g_autoptr(GString) after = g_string_new(changed);

        g_assert_no_error(error);
        expect_piece(before, "/srv/a &amp; b.qcow2");
        expect_piece(before, "<backingStore type='file'>\n"
                             "        <format type='raw'/>\n"
                             "        <source file='/srv/base.img'/>\n"
                             "        <backingStore/>\n"
                             "      </backingStore>");
        expect_piece(before, "<mirror type='file' job='copy'><source file='/srv/m'/></mirror>");
        expect_piece(after, "/srv/n &lt;&amp;'&quot;&gt; ü.qcow2");
        g_strdelimit(before->str, "'", '"');
        g_assert_cmpstr(g_strchomp(before->str), ==, g_strchomp(after->str));
}

static void several_disks_change_at_once(void) {
        g_autoptr(GHashTable) paths = g_hash_table_new(g_str_hash, g_str_equal);
        g_autofree char *changed = NULL;
        g_autoptr(DiskSet) set = NULL;

        g_hash_table_insert(paths, (void *) "vda", (void *) "/new/a");
        g_hash_table_insert(paths, (void *) "vdc", (void *) "/new/c");
        changed = domain_xml_with_sources(definition, paths, "qcow2", &error);
        g_assert_no_error(error);
        set = parse(changed);
        g_assert_cmpstr(disk_set_find(set, "vda")->path, ==, "/new/a");
        g_assert_cmpstr(disk_set_find(set, "vdc")->path, ==, "/new/c");
        g_assert_cmpstr(disk_set_find(set, "vdc")->format, ==, "qcow2");
        g_assert_true(disk_is_snapshottable(disk_set_find(set, "vdc")));
        g_assert_null(strstr(changed, "backingStore"));
}

static void no_change_leaves_everything(void) {
        g_autoptr(GHashTable) paths = g_hash_table_new(g_str_hash, g_str_equal);
        g_autofree char *changed = domain_xml_with_sources(definition, paths, "qcow2", &error);
        g_autofree char *expected = g_strdelimit(g_strdup(definition), "'", '"');

        g_assert_cmpstr(g_strchomp(changed), ==, g_strchomp(expected));
}

static void an_empty_drive_gets_a_source(void) {
        g_autofree char *changed = with_source(definition, "sda", "/new/cd");
        g_autoptr(DiskSet) set = parse(changed);

        g_assert_cmpstr(disk_set_find(set, "sda")->path, ==, "/new/cd");
        g_assert_cmpstr(disk_set_find(set, "sda")->format, ==, "qcow2");
}

static void a_disk_that_is_missing_can_not_change(void) {
        g_assert_null(with_source(definition, "vdz", "/new/z"));
        assert_error(error, FAILED);
}

static void a_block_device_can_not_change(void) {
        g_assert_null(with_source(definition, "vdb", "/new/b"));
        assert_error(error, NOT_SUPPORTED);
}

static void what_is_no_definition_can_not_change(void) {
        g_assert_null(with_source("<domainsnapshot/>", "vda", "/new/a"));
        assert_error(error, FAILED);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(the_disks_are_read_in_their_order);
        ADD(a_disk_is_a_file_with_a_format);
        ADD(an_empty_drive_has_no_path);
        ADD(a_mirror_is_that_of_its_own_disk);
        ADD(a_block_device_is_no_file);
        ADD(a_disk_without_words_is_a_file_of_unknown_format);
        ADD(what_is_no_disk_is_not_found);
        ADD(a_machine_may_have_no_disks);
        ADD(a_path_that_is_not_absolute_is_none);
        ADD(a_plain_writable_file_is_snapshottable);
        ADD(other_disks_are_not_snapshottable);
        ADD(a_source_that_is_more_than_a_file_is_not_snapshottable);
        ADD(firmware_variables_are_found_in_both_forms);
        ADD(uefi_may_come_without_a_file);
        ADD(an_emulated_tpm_has_a_state);
        ADD(what_is_no_definition_is_refused);
        ADD(only_the_source_of_the_disk_changes);
        ADD(several_disks_change_at_once);
        ADD(no_change_leaves_everything);
        ADD(an_empty_drive_gets_a_source);
        ADD(a_disk_that_is_missing_can_not_change);
        ADD(a_block_device_can_not_change);
        ADD(what_is_no_definition_can_not_change);
        return g_test_run();
}
