/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "import-bases"

#include "export/import-bases.h"

#include <string.h>

#include "disk/image.h"
#include "images.h"
#include "support.h"

#define SIZE (16 * MEBIBYTE)
#define SUM  "3b6a07d0d404fab4e23b6d34bc6696a6a312dd92821332385e5af7c01c421351"

#define BUNDLE                                                                                     \
        "{\"format\": \"virtask-export\", \"version\": 1, \"id\": \"%s\", \"kind\": \"%s\",\n"     \
        "\"point\": %s, \"base\": %s, \"disks\": [%s], \"files\": [%s]}"
#define POINT(machine, id)                                                                         \
        "{\"machine\": \"" machine "\", \"id\": \"" id "\", \"created\": 5, \"more\": 1}"
#define FILE(name) "{\"name\": \"" name "\", \"size\": 5, \"sha256\": \"" SUM "\"}"
#define DISK(images, more)                                                                         \
        "{\"target\": \"vda\", \"format\": \"qcow2\", \"virtual-size\": 16777216, \"images\": "    \
        "[" images "]" more "}"
#define FILES FILE("disks/vda.qcow2") ", " FILE("disks/vda-1.qcow2")
#define TOP   "\"disks/vda.qcow2\""
#define BOTH  TOP ", \"disks/vda-1.qcow2\""

static GError *error;

/* Bundles, the last one is imported. */
typedef struct Text {
        const char *id, *kind, *point, *base, *disk;
} Text;

typedef struct Chain {
        GPtrArray *bases;
        Summary *last;
} Chain;

static Summary *summarize(const Text *text) {
        Summary *summary = g_new0(Summary, 1);

        summary->manifest_text = g_strdup_printf(BUNDLE, text->id, text->kind, text->point ?: "0",
                        text->base ?: "null", text->disk ?: "", FILES);
        summary->texts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        summary->data = 10;
        summary->manifest = manifest_parse(summary->manifest_text, &error);
        g_assert_no_error(error);
        return summary;
}

static void free_summary(void *data) {
        summary_free(data);
}

static void chain_init(Chain *chain, const Text *texts, unsigned count) {
        *chain = (Chain){.bases = g_ptr_array_new_with_free_func(free_summary)};
        for (unsigned i = 0; i + 1 < count; i++)
                g_ptr_array_add(chain->bases, summarize(texts + i));
        chain->last = summarize(texts + count - 1);
}

static void chain_clear(Chain *chain) {
        g_ptr_array_unref(chain->bases);
        summary_free(chain->last);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Chain, chain_clear)

/* Paths */

static void no_directory_is_there_twice(void) {
        char *same[] = {(char *) "/a", (char *) "/b", (char *) "/a", NULL};
        char *itself[] = {(char *) "/a", (char *) "/d", NULL};
        char *bad[] = {(char *) "/a", (char *) "b", NULL};
        char *many[IMPORT_BASES_MAX + 2] = {NULL};
        ImportRequest request = {.directory = (char *) "/d"};

        g_assert_true(import_bases_check_paths(&request, &error));
        request.bases = same;
        g_assert_false(import_bases_check_paths(&request, &error));
        assert_error(error, INVALID_ARGUMENT);
        request.bases = itself;
        g_assert_false(import_bases_check_paths(&request, &error));
        assert_error(error, INVALID_ARGUMENT);
        request.bases = bad;
        g_assert_false(import_bases_check_paths(&request, &error));
        assert_error(error, BAD_PATH);
        for (unsigned i = 0; i <= IMPORT_BASES_MAX; i++)
                many[i] = g_strdup_printf("/%u", i);
        request.bases = many;
        g_assert_false(import_bases_check_paths(&request, &error));
        assert_error(error, LIMITS_EXCEEDED);
        g_clear_pointer(&many[IMPORT_BASES_MAX], g_free);
        g_assert_true(import_bases_check_paths(&request, &error));
        for (unsigned i = 0; i < IMPORT_BASES_MAX; i++)
                g_free(many[i]);
}

/* Which is the base of which */

#define A  POINT("M", "a")
#define B  POINT("M", "b")
#define C  POINT("M", "c")
#define XA POINT("X", "a")

typedef struct Row {
        const char *name;
        Text texts[3];
        const char *word; /* of the error; NULL: it is right */
} Row;

static const Row rows[] = {
                {"a chain",
                                {{"1", "full", A}, {"2", "difference", B, A},
                                                {"3", "difference", C, B}},
                                NULL},
                {"another order",
                                {{"2", "difference", B, A}, {"1", "full", A},
                                                {"3", "difference", C, B}},
                                "Base 1 is a difference itself"},
                {"one is missing",
                                {{"1", "full", A}, {"2", "difference", C, B},
                                                {"3", "difference", C, C}},
                                "Base 1 is not what base 2 is counted from"},
                {"the last is of another line",
                                {{"1", "full", A}, {"2", "difference", B, A},
                                                {"3", "difference", C, A}},
                                "Base 2 is not what the difference is counted from"},
                {"another time",
                                {{"1", "full",
                                                 "{\"machine\": \"M\", \"id\": \"a\", \"created\": "
                                                 "6}"},
                                                {"2", "difference", B, A},
                                                {"3", "difference", C, B}},
                                "Base 1 is not what base 2 is counted from"},
                {"another machine",
                                {{"1", "full", XA}, {"2", "difference", B, A},
                                                {"3", "difference", C, B}},
                                "Base 1 is of another machine than base 2"},
                {"two full ones", {{"1", "full", A}, {"2", "full", B}, {"3", "difference", C, B}},
                                "Base 2 is a full export"},
                {"no difference", {{"1", "full", A}, {"2", "difference", B, A}, {"3", "full", C}},
                                "This is no difference"},
                {"one of the present",
                                {{"1", "full", NULL}, {"2", "difference", B, A},
                                                {"3", "difference", C, B}},
                                "Base 1 is not of one snapshot"},
                {"half a point",
                                {{"1", "full", "{\"machine\": \"M\", \"id\": \"a\"}"},
                                                {"2", "difference", B, A},
                                                {"3", "difference", C, B}},
                                "Base 1 is not of one snapshot"},
                {"no base in the manifest",
                                {{"1", "full", A}, {"2", "difference", B, NULL},
                                                {"3", "difference", C, B}},
                                "of base 2 does not say what"},
                {"one twice",
                                {{"1", "full", A}, {"2", "difference", A, A},
                                                {"2", "difference", A, A}},
                                "Base 2 and the difference are the same export"},
                {"a copy", {{"1", "full", A}, {"1", "full", A}, {"3", "difference", C, A}},
                                "Base 1 and base 2 are the same export"},
};

static void each_is_the_base_of_the_next(void) {
        for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_auto(Chain) chain = {0};
                bool ok;

                chain_init(&chain, rows[i].texts, 3);
                g_test_message("%s", rows[i].name);
                ok = import_bases_check(chain.bases, chain.last, &error);
                g_assert_true(ok == !rows[i].word);
                if (ok)
                        continue;
                g_assert_nonnull(strstr(error->message, rows[i].word));
                if (strstr(rows[i].word, "say"))
                        assert_error(error, INVALID_BUNDLE);
                else
                        assert_error(error, INVALID_ARGUMENT);
        }
}

static void without_bases_nothing_is_wrong(void) {
        static const Text full = {"1", "full"};
        g_auto(Chain) chain = {0};

        chain_init(&chain, &full, 1);
        g_assert_true(import_bases_check(chain.bases, chain.last, &error));
        g_assert_cmpuint(import_bases_data(chain.bases), ==, 0);
        g_assert_cmpuint(import_bases_data(NULL), ==, 0);
}

/* What is taken of them */

static void free_disk(void *data) {
        ImportDisk *disk = data;

        g_free(disk->target);
        g_free(disk->below);
        g_ptr_array_unref(disk->images);
        g_free(disk);
}

static void add_image(ImportPlan *plan, const char *name) {
        import_files_add(plan->files, plan->place, name + strlen(IMAGES_PREFIX), name);
        g_hash_table_insert(plan->import.images, g_strdup(name), NULL);
}

/* Of a machine with one disk, whose images lie in the directory of the test as if they had been
 * copied. */
static ImportPlan *new_plan(const Chain *chain, const char *name) {
        ImportPlan *plan = g_new0(ImportPlan, 1);
        g_autofree char *final = g_build_filename(images_directory ?: "/tmp", "copy", NULL);
        JsonArray *disks = json_object_get_array_member(chain->last->manifest->object, "disks");
        ImportPlace *place;
        const char *format;
        ImportDisk *disk;

        plan->summary = chain->last;
        plan->disks = g_ptr_array_new_with_free_func(free_disk);
        plan->lower_disks = g_ptr_array_new_with_free_func(free_disk);
        plan->snapshots = g_ptr_array_new();
        plan->by_target = g_hash_table_new(g_str_hash, g_str_equal);
        plan->joints = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        plan->files = import_files_new();
        definition_import_init(&plan->import);
        plan->place = place = import_files_add_place(plan->files, final, true);
        if (images_directory) {
                g_free(place->temporary);
                place->temporary = g_strdup(images_directory);
        }
        disk = import_disk_read(json_array_get_element(disks, 0), &format, &error);
        g_assert_no_error(error);
        g_ptr_array_add(plan->disks, disk);
        add_image(plan, disk->images->pdata[0]);
        if (name)
                add_image(plan, name);
        g_assert_true(definition_import_image(
                        &plan->import, disk->images->pdata[0], format, &error));
        return plan;
}

static const Text good[] = {
                {"1", "full", A, NULL, DISK(BOTH, "")},
                {"2", "difference", B, A, DISK(TOP, ", \"differs\": true")},
                {"3", "difference", C, B, DISK(TOP, ", \"differs\": true")},
};

static void images_get_names_of_their_own(void) {
        static const char *const names[] = {"disks/vda.qcow2", "disks/base2-vda.qcow2",
                        "disks/base1-vda.qcow2", "disks/base1-vda-1.qcow2"};
        g_auto(Chain) chain = {0};
        g_autoptr(ImportPlan) plan = NULL;

        chain_init(&chain, good, 3);
        plan = new_plan(&chain, NULL);
        g_assert_true(import_bases_add(plan, chain.bases, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(plan->files->files->len, ==, G_N_ELEMENTS(names));
        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
                g_assert_nonnull(import_files_find(plan->files, names[i]));
        g_assert_cmpstr(import_file_origin(import_files_find(plan->files, names[3])), ==,
                        "disks/vda-1.qcow2");
        g_assert_cmpstr(g_hash_table_lookup(plan->joints, names[0]), ==, names[1]);
        g_assert_cmpstr(g_hash_table_lookup(plan->joints, names[1]), ==, names[2]);
        g_assert_cmpuint(g_hash_table_size(plan->joints), ==, 2);
        g_assert_cmpuint(import_bases_data(chain.bases), ==, 20);
}

static void a_disk_that_is_whole_needs_no_base(void) {
        static const Text texts[] = {{"1", "full", A}, {"2", "difference", B, A, DISK(TOP, "")}};
        g_auto(Chain) chain = {0};
        g_autoptr(ImportPlan) plan = NULL;

        chain_init(&chain, texts, 2);
        plan = new_plan(&chain, NULL);
        g_assert_true(import_bases_add(plan, chain.bases, &error));
        g_assert_cmpuint(plan->files->files->len, ==, 1);
        g_assert_cmpuint(g_hash_table_size(plan->joints), ==, 0);
}

static void a_base_without_the_disk_is_refused(void) {
        static const struct {
                const char *disk;
                const char *name; /* one more in the bundle that is imported */
                VirtaskError code;
                const char *word;
        } cases[] = {
                        {NULL, NULL, VIRTASK_ERROR_INVALID_ARGUMENT, "does not hold the disk"},
                        {DISK(TOP, ", \"differs\": true"), NULL, VIRTASK_ERROR_INVALID_BUNDLE,
                                        "rests on another"},
                        {DISK(TOP, ", \"backing\": \"/x\""), NULL, VIRTASK_ERROR_NOT_SUPPORTED,
                                        "left where it is"},
                        {DISK("\"disks/other\"", ""), NULL, VIRTASK_ERROR_INVALID_BUNDLE,
                                        "not in the bundle"},
                        {DISK("\"machine.xml\"", ""), NULL, VIRTASK_ERROR_INVALID_BUNDLE,
                                        "not in the bundle"},
                        {DISK("5", ""), NULL, VIRTASK_ERROR_INVALID_BUNDLE, "not in the bundle"},
                        {DISK("", ""), NULL, VIRTASK_ERROR_INVALID_BUNDLE, "does not say"},
                        {DISK(TOP, ""), "disks/base1-vda.qcow2", VIRTASK_ERROR_INVALID_BUNDLE,
                                        "has the name"},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
                const Text texts[] = {{"1", "full", A, NULL, cases[i].disk},
                                {"2", "difference", B, A, DISK(TOP, ", \"differs\": true")}};
                g_auto(Chain) chain = {0};
                g_autoptr(ImportPlan) plan = NULL;

                chain_init(&chain, texts, 2);
                plan = new_plan(&chain, cases[i].name);
                g_assert_false(import_bases_add(plan, chain.bases, &error));
                g_assert_nonnull(strstr(error->message, cases[i].word));
                g_assert_true(g_error_matches(error, VIRTASK_ERROR, (int) cases[i].code));
                g_clear_error(&error);
        }
}

static void a_chain_ends_somewhere(void) {
        g_autoptr(GString) list = g_string_new(TOP);
        g_autofree char *disk = NULL;
        g_auto(Chain) chain = {0};
        g_autoptr(ImportPlan) plan = NULL;
        Text texts[] = {good[0], good[1]};

        for (unsigned i = 0; i < 100; i++)
                g_string_append(list, ", \"disks/vda-1.qcow2\"");
        disk = g_strdup_printf(DISK("%s", ""), list->str);
        texts[0].disk = disk;
        chain_init(&chain, texts, 2);
        plan = new_plan(&chain, NULL);
        g_assert_false(import_bases_add(plan, chain.bases, &error));
        assert_error(error, LIMITS_EXCEEDED);
}

/* The images */

static void make_overlay(const char *name, const char *backing, const char *format) {
        g_autofree char *path = images_path(name);
        const char *const arguments[] = {"qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b",
                        backing, "-F", format, path, "16M", NULL};

        images_run(arguments);
}

static ImportPlan *plan_of_good(Chain *chain) {
        ImportPlan *plan;

        chain_init(chain, good, 3);
        g_free(images_make("base1-vda-1.qcow2", "qcow2", "compat=1.1"));
        make_overlay("base1-vda.qcow2", "vda-1.qcow2", "qcow2");
        make_overlay("base2-vda.qcow2", "vda.base", "raw"); /* the base has been converted */
        make_overlay("vda.qcow2", "vda.base", "qcow2");
        plan = new_plan(chain, NULL);
        g_assert_true(import_bases_add(plan, chain->bases, &error));
        return plan;
}

static void images_are_put_on_each_other(void) {
        g_auto(Chain) chain = {0};
        g_autoptr(ImportPlan) plan = plan_of_good(&chain);
        g_autofree char *path = images_path("vda.qcow2"), *lower = images_path("base2-vda.qcow2");
        g_autofree char *base = images_path("base1-vda.qcow2");
        g_autofree char *root = images_path("base1-vda-1.qcow2");
        g_autoptr(ImageInfo) info = NULL;

        /* Within a bundle images find each other by the names there. */
        images_io(root, "qcow2", "write -P 1 0 1M");
        g_assert_true(import_plan_check_images(plan, &error));
        g_assert_no_error(error);
        g_assert_true(import_bases_join(plan, &error));
        g_assert_no_error(error);
        info = image_info_read(path, "qcow2", &error);
        g_assert_cmpstr(info->backing, ==, lower);
        g_assert_cmpstr(info->backing_format, ==, "qcow2");
        image_info_free(g_steal_pointer(&info));
        info = image_info_read(lower, "qcow2", &error);
        g_assert_cmpstr(info->backing, ==, base);
        g_assert_cmpstr(info->backing_format, ==, "qcow2");
}

/* The header has no room for the name: what follows the old one is no end. */
static void an_image_without_room_is_refused(void) {
        g_auto(Chain) chain = {0};
        g_autoptr(ImportPlan) plan = plan_of_good(&chain);
        g_autofree char *path = images_path("vda.qcow2"), *data = NULL;
        size_t length, place = 0;

        g_assert_true(g_file_get_contents(path, &data, &length, NULL));
        while (memcmp(data + place, "vda.base", 8) != 0)
                place++;
        memset(data + place + 8, 'x', 65536 - place - 8);
        images_write(path, data, length);
        g_assert_true(import_plan_check_images(plan, &error));
        g_assert_false(import_bases_join(plan, &error));
        g_assert_nonnull(strstr(error->message, "no room"));
        assert_error(error, INVALID_BUNDLE);
}

/* In its bundle each is called "vda"; a name may not lead to another bundle. */
static void an_image_that_rests_on_something_else_is_refused(void) {
        static const struct {
                const char *name, *backing, *word;
        } cases[] = {
                        {"vda.qcow2", "base2-vda.qcow2", "counted from"},
                        {"vda.qcow2", "/etc/passwd", "not in the bundle"},
                        {"vda.qcow2", "../vda.base", "not in the bundle"},
                        {"base2-vda.qcow2", "base1-vda.qcow2", "counted from"},
                        {"base2-vda.qcow2", "/etc/vda.base", "not in the bundle"},
                        {"base1-vda.qcow2", "base1-vda-1.qcow2", "no image"},
                        {"base1-vda.qcow2", "/etc/passwd", "not in the bundle"},
                        {"base1-vda.qcow2", "vda.base", "no image"},
                        {"base1-vda-1.qcow2", "vda.qcow2", "itself"},
                        {"base1-vda-1.qcow2", "vda.base", "no image"},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_auto(Chain) chain = {0};
                g_autoptr(ImportPlan) plan = plan_of_good(&chain);

                make_overlay(cases[i].name, cases[i].backing, "qcow2");
                g_assert_false(import_plan_check_images(plan, &error));
                g_assert_nonnull(strstr(error->message, cases[i].word));
                assert_error(error, INVALID_BUNDLE);
        }
}

static void an_image_that_rests_on_nothing_is_refused(void) {
        g_auto(Chain) chain = {0};
        g_autoptr(ImportPlan) plan = plan_of_good(&chain);

        g_free(images_make("base2-vda.qcow2", "qcow2", "compat=1.1"));
        g_assert_false(import_plan_check_images(plan, &error));
        g_assert_nonnull(strstr(error->message, "counted from"));
        assert_error(error, INVALID_BUNDLE);
}

/* Each disk has the size that its own manifest says. */
static void a_base_that_is_larger_than_it_says_is_refused(void) {
        g_auto(Chain) chain = {0};
        g_autoptr(ImportPlan) plan = plan_of_good(&chain);
        g_autofree char *path = images_path("base1-vda.qcow2");
        const char *const arguments[] = {"qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b",
                        "vda-1.qcow2", "-F", "qcow2", path, "17M", NULL};

        images_run(arguments);
        g_assert_false(import_plan_check_images(plan, &error));
        g_assert_nonnull(strstr(error->message, "size"));
        assert_error(error, INVALID_BUNDLE);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(no_directory_is_there_twice);
        ADD(each_is_the_base_of_the_next);
        ADD(without_bases_nothing_is_wrong);
        ADD(images_get_names_of_their_own);
        ADD(a_disk_that_is_whole_needs_no_base);
        ADD(a_base_without_the_disk_is_refused);
        ADD(a_chain_ends_somewhere);
        ADD_IMAGE(images_are_put_on_each_other);
        ADD_IMAGE(an_image_without_room_is_refused);
        ADD_IMAGE(an_image_that_rests_on_something_else_is_refused);
        ADD_IMAGE(an_image_that_rests_on_nothing_is_refused);
        ADD_IMAGE(a_base_that_is_larger_than_it_says_is_refused);
        return g_test_run();
}
