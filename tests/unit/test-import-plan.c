/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "import-plan"

#include "export/import-plan.h"

#include <string.h>

#include "support.h"

#define UUID "deb7dc1d-7e96-4d0a-9a4f-9f0e2e8ba56b"
#define SUM  "3b6a07d0d404fab4e23b6d34bc6696a6a312dd92821332385e5af7c01c421351"

#define MACHINE                                                                                    \
        "<name>web</name><uuid>" UUID "</uuid><memory>1</memory><os><type>hvm</type></os>"         \
        "<devices><disk type='file'><driver name='qemu' type='qcow2'/>"                            \
        "<source file='/x/disks/vda.qcow2'/><target dev='vda'/></disk></devices>"
#define DEFINITION "<domain type='qemu'>" MACHINE "</domain>"
#define SNAPSHOT                                                                                   \
        "<domainsnapshot><name>s1</name><state>running</state>"                                    \
        "<memory snapshot='external' file='/x/snapshots/1.memory'/>"                               \
        "<domain type='qemu'>" MACHINE "</domain></domainsnapshot>"

#define FILE(name) "{\"name\": \"" name "\", \"size\": 5, \"sha256\": \"" SUM "\"}"

static const char usual[] =
                "{\"format\": \"virtask-export\", \"version\": 1, \"kind\": \"full\",\n"
                "\"machine\": {\"name\": \"web\", \"uuid\": \"" UUID
                "\", \"definition\": \"machine.xml\",\n"
                " \"saved-state\": \"state/saved\", \"nvram\": \"state/nvram\", \"tpm\": "
                "\"state/tpm\", \"current-snapshot\": \"s1\"},\n"
                "\"disks\": [{\"target\": \"vda\", \"format\": \"qcow2\", \"virtual-size\": 4096, "
                "\"images\": [\"disks/vda.qcow2\"]}],\n"
                "\"snapshots\": [{\"id\": \"s1\", \"definition\": \"snapshots/1.xml\", \"memory\": "
                "\"snapshots/1.memory\", \"nvram\": null}],\n"
                "\"files\": [" FILE("machine.xml") ", " FILE("README") ", " FILE("snapshots/1.xml") ", " FILE("snapshots/1.memory") ", " FILE(
                                "state/saved") ", " FILE("state/nvram") ", " FILE("state/tpm") ","
                                                                                               "\n" FILE("disks/vda.qcow2") "]}";

static GError *error;
static ImportRequest request;

static Summary *summarize(const char *manifest, const char *definition) {
        Summary *summary = g_new0(Summary, 1);

        summary->manifest_text = g_strdup(manifest);
        summary->texts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_hash_table_insert(summary->texts, g_strdup("machine.xml"), g_strdup(definition));
        g_hash_table_insert(summary->texts, g_strdup("snapshots/1.xml"), g_strdup(SNAPSHOT));
        summary->manifest = manifest_parse(manifest, &error);
        return summary;
}

static const Layout layout = {.save = (char *) "/lib/save",
                .tpm = (char *) "/lib/swtpm",
                .images = (char *) "/lib/images"};

static ImportPlan *plan_of(const Summary *summary) {
        return import_plan_new(summary, &request, &layout, "/lib/images", &error);
}

static const char *final_of(const ImportPlan *plan, const char *name) {
        const ImportFile *file = import_files_find(plan->files, name);

        g_assert_nonnull(file);
        return file->place->final;
}

static void a_bundle_becomes_a_plan(void) {
        g_autoptr(Summary) summary = summarize(usual, DEFINITION);
        g_autoptr(ImportPlan) plan = plan_of(summary);

        g_assert_no_error(error);
        g_assert_cmpstr(plan->name, ==, "web");
        g_assert_cmpstr(plan->uuid, ==, UUID);
        g_assert_cmpstr(plan->directory, ==, "/lib/images/web");
        g_assert_cmpstr(plan->current, ==, "s1");
        g_assert_cmpstr(final_of(plan, "disks/vda.qcow2"), ==, "/lib/images/web");
        g_assert_cmpstr(final_of(plan, "state/saved"), ==, "/lib/save/web.save");
        g_assert_cmpstr(final_of(plan, "state/nvram"), ==, "/lib/nvram/web_VARS.fd");
        g_assert_cmpstr(final_of(plan, "state/tpm"), ==, "/lib/swtpm/" UUID);
        g_assert_cmpstr(final_of(plan, "snapshots/1.memory"), ==, "/lib/save/" UUID ".s1.memory");
        g_assert_nonnull(strstr(plan->definition, "/lib/images/web/vda.qcow2"));
        g_assert_cmpuint(plan->snapshots->len, ==, 1);
        g_assert_true(import_plan_has_states(plan));
}

static void it_gets_the_name_and_the_identifier_that_are_wanted(void) {
        g_autoptr(Summary) summary = summarize(usual, DEFINITION);
        g_autoptr(ImportPlan) plan = NULL;

        request.name = (char *) "other";
        request.new_identifier = true;
        plan = plan_of(summary);
        request = (ImportRequest){0};
        g_assert_no_error(error);
        g_assert_cmpstr(plan->name, ==, "other");
        g_assert_cmpstr(plan->uuid, !=, UUID);
        g_assert_cmpstr(plan->directory, ==, "/lib/images/other");
        g_assert_null(strstr(plan->definition, UUID));
        g_assert_nonnull(strstr(plan->definition, "<name>other</name>"));
}

/* A directory could not be called so, a machine can. */
static void a_name_that_is_no_directory_is_replaced(void) {
        static const char *const names[] = {"..", ".", ".hidden"};

        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autoptr(Summary) summary = summarize(usual, DEFINITION);
                g_autoptr(ImportPlan) plan = NULL;

                request.name = (char *) names[i];
                plan = plan_of(summary);
                request = (ImportRequest){0};
                g_assert_no_error(error);
                g_assert_cmpstr(plan->directory, ==, "/lib/images/" UUID);
        }
}

static void where_files_are_out_of_reach_they_can_not_be_put(void) {
        static const Layout none = {0};
        g_autoptr(Summary) summary = summarize(usual, DEFINITION);

        g_assert_null(import_plan_new(summary, &request, &none, "/lib/images", &error));
        assert_error(error, NOT_SUPPORTED);
}

/* Manifests */

typedef struct Hostile {
        const char *old, *new, *word;
} Hostile;

/* clang-format off */
static const Hostile hostile[] = {
        {"\"machine\": {", "\"other\": {", "no definition"},
        {"\"definition\": \"machine.xml\"", "\"definition\": \"README\"", "no definition"},
        {"\"definition\": \"machine.xml\"", "\"definition\": 5", "no definition"},
        {"\"definition\": \"machine.xml\"", "\"definition\": [\"machine.xml\"]", "no definition"},
        {"\"name\": \"web\"", "\"name\": null", "name the machine"},
        {"\"name\": \"web\"", "\"name\": {}", "name the machine"},
        {"\"uuid\": \"" UUID "\"", "\"uuid\": \"x\"", "UUID"},
        {"\"uuid\": \"" UUID "\"", "\"uuid\": \"../" UUID "\"", "UUID"},
        {"\"uuid\": \"" UUID "\"", "\"uuid\": 7", "UUID"},
        {"\"saved-state\": \"state/saved\"", "\"saved-state\": \"state/other\"", "state/other"},
        {"\"saved-state\": \"state/saved\"", "\"saved-state\": \"disks/vda.qcow2\"", "disks/vda.qcow2"},
        {"\"saved-state\": \"state/saved\"", "\"saved-state\": \"snapshots/1.memory\"", "snapshots/1.memory"},
        {"\"saved-state\": \"state/saved\"", "\"saved-state\": \"../../etc/shadow\"", "shadow"},
        {"\"saved-state\": \"state/saved\"", "\"saved-state\": null", "state/saved"},
        {"\"nvram\": \"state/nvram\"", "\"nvram\": \"state/saved\"", "state/saved"},
        {"\"nvram\": \"state/nvram\"", "\"nvram\": \"machine.xml\"", "machine.xml"},
        {"\"tpm\": \"state/tpm\"", "\"tpm\": \"state/nvram\"", "state/nvram"},
        {"\"tpm\": \"state/tpm\"", "\"tpm\": \"/etc/shadow\"", "shadow"},
        {"\"target\": \"vda\"", "\"target\": \"vdb\"", "vdb"},
        {"\"target\": \"vda\"", "\"target\": null", "disks"},
        {"\"format\": \"qcow2\"", "\"format\": \"vmdk\"", "disks"},
        {"\"format\": \"qcow2\"", "\"format\": \"raw\"", "raw"},
        {"\"virtual-size\": 4096", "\"virtual-size\": -1", "disks"},
        {"\"virtual-size\": 4096", "\"virtual-size\": 1e300", "disks"},
        {"\"virtual-size\": 4096", "\"virtual-size\": \"4096\"", "disks"},
        {"\"virtual-size\": 4096, ", "", "disks"},
        {"\"images\": [\"disks/vda.qcow2\"]", "\"images\": []", "disks"},
        {"\"images\": [\"disks/vda.qcow2\"]", "\"images\": \"disks/vda.qcow2\"", "disks"},
        {"\"images\": [\"disks/vda.qcow2\"]", "\"images\": [\"/etc/shadow\"]", "not in the bundle"},
        {"\"images\": [\"disks/vda.qcow2\"]", "\"images\": [\"state/saved\"]", "not in the bundle"},
        {"\"images\": [\"disks/vda.qcow2\"]", "\"images\": [\"disks/vda.qcow2\", \"disks/x\"]", "not in the bundle"},
        {"\"images\": [\"disks/vda.qcow2\"]", "\"images\": [null]", "not in the bundle"},
        {"\"disks\": [{", "\"disks\": [5, {", "disks"},
        {"\"disks\": [{", "\"disks\": [{\"target\": \"vda\", \"format\": \"qcow2\", \"virtual-size\": 1, \"images\": [\"disks/vda.qcow2\"]}, {", "twice"},
        {"\"disks\": [{", "\"no\": [{", "does not have"},
        {"\"id\": \"s1\"", "\"id\": \"s2\"", "another name"},
        {"\"id\": \"s1\"", "\"id\": \"../s1\"", "another name"},
        {"\"id\": \"s1\"", "\"id\": null", "snapshots"},
        {"\"definition\": \"snapshots/1.xml\"", "\"definition\": \"machine.xml\"", "machine.xml"},
        {"\"definition\": \"snapshots/1.xml\"", "\"definition\": null", "snapshots"},
        {"\"memory\": \"snapshots/1.memory\"", "\"memory\": \"state/saved\"", "state/saved"},
        {"\"memory\": \"snapshots/1.memory\"", "\"memory\": null", "not for anything"},
        {"\"snapshots\": [{", "\"snapshots\": [[], {", "snapshots"},
        {"\"snapshots\": [{", "\"snapshots\": [{\"id\": \"s1\", \"definition\": \"snapshots/1.xml\"}, {", "twice"},
        {"\"snapshots\": [{", "\"no\": [{", "not for anything"},
        {FILE("README"), FILE("README") ", " FILE("more"), "not for anything"},
        {FILE("README"), FILE("README") ", " FILE("disks/../x"), "disks/../x"},
        {FILE("README"), FILE("README") ", " FILE("/etc/passwd"), "/etc/passwd"},
        {FILE("README"), FILE("README") ", " FILE("README"), "twice"},
        {FILE("README"), FILE(".README"), ".README"},
};
/* clang-format on */

static void a_manifest_that_is_not_right_is_refused(void) {
        for (unsigned i = 0; i < G_N_ELEMENTS(hostile); i++) {
                g_auto(GStrv) parts = g_strsplit(usual, hostile[i].old, 2);
                g_autofree char *text = g_strjoinv(hostile[i].new, parts);
                g_autoptr(Summary) summary = NULL;
                ImportPlan *plan = NULL;

                g_assert_cmpuint(g_strv_length(parts), ==, 2);
                summary = summarize(text, DEFINITION);
                if (summary->manifest)
                        plan = plan_of(summary);
                if (plan || !strstr(error->message, hostile[i].word))
                        g_error("%s: %s", hostile[i].new, plan ? "a plan" : error->message);
                assert_error(error, INVALID_BUNDLE);
        }
}

static void a_name_that_no_machine_can_have_is_refused(void) {
        static const char *const names[] = {"a/b", "", "a|b", "*"};

        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
                g_auto(GStrv) parts = g_strsplit(usual, "\"name\": \"web\"", 2);
                g_autofree char *name = g_strdup_printf("\"name\": \"%s\"", names[i]);
                g_autofree char *text = g_strjoinv(name, parts);
                g_autoptr(Summary) summary = summarize(text, DEFINITION);

                g_assert_null(plan_of(summary));
                g_assert_true(g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_NAME_EMPTY) ||
                                g_error_matches(error, VIRTASK_ERROR,
                                                VIRTASK_ERROR_NAME_INVALID_CHAR));
                g_clear_error(&error);
        }
}

/* What a process of somebody else says of a bundle */

static GBytes *serialize(const char *type, ...) {
        g_autoptr(GVariant) variant = NULL;
        va_list args;

        va_start(args, type);
        variant = g_variant_ref_sink(g_variant_new_va(type, NULL, &args));
        va_end(args);
        return g_variant_get_data_as_bytes(variant);
}

static void a_summary_is_only_believed_its_form(void) {
        g_autoptr(GVariantBuilder) texts = g_variant_builder_new(G_VARIANT_TYPE("a{ss}"));
        g_autofree char *huge = g_strnfill(SUMMARY_TEXT_MAX + 1, 'x');
        g_autoptr(GBytes) good = NULL, none = g_bytes_new_static("", 0), half = NULL, bad = NULL,
                          large = NULL;
        g_autoptr(GVariantBuilder) larger = g_variant_builder_new(G_VARIANT_TYPE("a{ss}"));
        g_autoptr(Summary) summary = NULL;

        g_variant_builder_add(texts, "{ss}", "machine.xml", DEFINITION);
        good = serialize("(sa{ss}t)", usual, texts, (guint64) 7);
        summary = summary_parse(good, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(summary->data, ==, 7);
        g_assert_cmpstr(g_hash_table_lookup(summary->texts, "machine.xml"), ==, DEFINITION);

        g_assert_null(summary_parse(none, &error));
        assert_error(error, INVALID_BUNDLE);
        half = g_bytes_new_from_bytes(good, 0, g_bytes_get_size(good) / 2);
        g_assert_null(summary_parse(half, &error));
        assert_error(error, INVALID_BUNDLE);
        bad = serialize("(sst)", "x", "y", (guint64) 1);
        g_assert_null(summary_parse(bad, &error));
        assert_error(error, INVALID_BUNDLE);
        g_variant_builder_add(larger, "{ss}", "machine.xml", huge);
        large = serialize("(sa{ss}t)", usual, larger, (guint64) 7);
        g_assert_null(summary_parse(large, &error));
        assert_error(error, INVALID_BUNDLE);
}

/* Any byte may be any other. */
static void a_summary_of_noise_is_survived(void) {
        g_autoptr(GVariantBuilder) texts = g_variant_builder_new(G_VARIANT_TYPE("a{ss}"));
        g_autoptr(GBytes) good = NULL;
        g_autofree char *data = NULL;
        gsize length;

        g_variant_builder_add(texts, "{ss}", "machine.xml", DEFINITION);
        good = serialize("(sa{ss}t)", usual, texts, (guint64) 7);
        data = g_memdup2(g_bytes_get_data(good, &length), g_bytes_get_size(good));
        for (unsigned i = 0; i < 3000; i++) {
                g_autoptr(GBytes) bytes = NULL;
                g_autoptr(Summary) summary = NULL;
                unsigned at = (unsigned) g_test_rand_int_range(0, (int) length);
                char old = data[at];

                data[at] = (char) g_test_rand_int_range(0, 256);
                bytes = g_bytes_new(data, length);
                summary = summary_parse(bytes, &error);
                g_clear_error(&error);
                data[at] = old;
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_bundle_becomes_a_plan);
        ADD(it_gets_the_name_and_the_identifier_that_are_wanted);
        ADD(a_name_that_is_no_directory_is_replaced);
        ADD(where_files_are_out_of_reach_they_can_not_be_put);
        ADD(a_manifest_that_is_not_right_is_refused);
        ADD(a_name_that_no_machine_can_have_is_refused);
        ADD(a_summary_is_only_believed_its_form);
        ADD(a_summary_of_noise_is_survived);
        return g_test_run();
}
