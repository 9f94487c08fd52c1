/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* qemu-img compresses each disk into the package itself: nothing is written twice. */

#include "bundle/package-writer.h"

#include "bundle/image-make.h"
#include "bundle/package-json.h"
#include "bundle/place.h"
#include "ovf/ova.h"

typedef struct Writer {
        JsonObject *plan;
        const WriterHooks *hooks;
        OvfMachine *machine;
        JsonArray *disks;
        uint64_t done;   /* of the disks before this one, */
        uint64_t weight; /* which is about so much */
} Writer;

static const char *text_of(const Writer *w, const char *member) {
        return json_object_get_string_member(w->plan, member);
}

static uint64_t weight_of(const Writer *w, unsigned disk) {
        return (uint64_t) json_object_get_int_member(
                        json_array_get_object_element(w->disks, disk), "size");
}

static void on_percent(double percent, void *userdata) {
        const Writer *w = userdata;

        w->hooks->done(w->done + (uint64_t) (percent / 100 * (double) w->weight),
                        w->hooks->userdata);
}

static bool on_stop(void *userdata) {
        const Writer *w = userdata;

        return w->hooks->stop(w->hooks->userdata);
}

static bool write_disk(
                int target, uint64_t offset, unsigned number, void *userdata, GError **error) {
        Writer *w = userdata;
        const OvfDisk *disk = w->machine->disks->pdata[number];
        JsonObject *object = json_array_get_object_element(w->disks, number);
        const ImageMakeHooks hooks = {on_stop, on_percent, w};

        w->weight = weight_of(w, number);
        w->hooks->file(disk->file, w->hooks->userdata);
        if (!image_make_vmdk(target, offset, disk->capacity,
                            (int) json_object_get_int_member(object, "descriptor"),
                            json_object_get_string_member(object, "export"), &hooks, error))
                return false;
        w->done += w->weight;
        w->hooks->done(w->done, w->hooks->userdata);
        return true;
}

static bool fill(Writer *w, const Place *place, GError **error) {
        const OvaSource source = {write_disk, w};
        const OvaHooks hooks = {.stop = on_stop, .userdata = w};
        uint64_t total = 0;

        for (unsigned i = 0; i < json_array_get_length(w->disks); i++)
                total += weight_of(w, i);
        if (!place_check_room(place, total, error))
                return false;
        w->hooks->total(total, w->hooks->userdata);
        return ova_write(place->made, text_of(w, "package"), w->machine, &source, &hooks, error);
}

bool package_write(JsonObject *plan, const WriterHooks *hooks, char **ret_path, GError **error) {
        g_autoptr(OvfMachine) machine = package_machine_from_json(
                        json_object_get_object_member(plan, "machine"), error);
        Writer w = {
                        .plan = plan,
                        .hooks = hooks,
                        .machine = machine,
                        .disks = json_object_get_array_member(plan, "disks"),
        };
        g_auto(Place) place = {.parent = -1, .made = -1};

        if (!machine || !place_make_file(text_of(&w, "directory"), text_of(&w, "name"),
                                        text_of(&w, "partial"), PLACE_FOLLOWS_LINKS, &place, error))
                return false;
        if (!fill(&w, &place, error) || !place_publish(&place, false, error)) {
                place_discard(&place);
                return false;
        }
        *ret_path = g_strdup(place.path);
        return true;
}
