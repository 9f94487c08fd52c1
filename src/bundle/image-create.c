/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An image is made beside its final place and gets its name when it is whole. If directories are
 * missing, the first of them is what is made beside its place, with all that is in it:
 *
 *     there/.virtask-partial-ID                  becomes  there/disk.qcow2
 *     there/.virtask-partial-ID/new/disk.qcow2   becomes  there/missing/new/disk.qcow2
 *
 * So there is one name that may be left, and whoever looks for it goes up from the image. */

#include "bundle/image-create.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "bundle/image-make.h"
#include "bundle/manifest.h"
#include "bundle/place.h"
#include "image/image-facts.h"
#include "util/child.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/io.h"

#define ROOM            (UINT64_C(8) << 20)   /* that the documents want to be free for any image */
#define STEP            (UINT64_C(256) << 20) /* of an allocation, between two looks at the hooks */
#define ZEROS           (UINT64_C(1) << 20)
#define LOCAL           "/proc/self/fd/3"
#define DIRECTORIES_MAX 12U /* that are made for one image; place.c removes more */
#define MODE_SHARED                                                                                \
        0711 /* of directories of the service: QEMU, which is another user, passes through */

/* Which file the parent was, so that a change behind the back of its child can be found: size,
 * mtime in nanoseconds, device and inode, in decimal. */
#define PARENT_NOTE "user.virtask.parent"

/* What the image was called before it was whole: whoever has lost sight of its making finds it. */
#define PARTIAL_NOTE "user.virtask.partial"
#define NOTE_MAX     128

typedef struct Creation {
        JsonObject *plan;
        const WriterHooks *hooks;
        const char *path;
        char **beneath; /* NULL: anywhere */
        ImageFormat format;
        uint64_t size;
        bool fixed;
        GPtrArray *parents; /* chain that it rests on, or NULL */
        GPtrArray *sources; /* chain that is copied, or NULL */
        uint64_t copied;    /* bytes, before the allocation */

        Place place;
        char *existing; /* the directory that is there */
        char **missing; /* the components of the path below it: the last is the image */
        int fd;         /* of the image */
} Creation;

static bool fail(int reason, const char *verb, const char *path, GError **error) {
        return error_fail(reason == EACCES || reason == EPERM ? VIRTASK_ERROR_ACCESS_DENIED
                                                              : error_of_errno(reason),
                        error, "Failed to %s '%s': %s", verb, path, g_strerror(reason));
}

static const char *text_of(JsonObject *plan, const char *key) {
        return json_object_has_member(plan, key) ? json_object_get_string_member(plan, key) : NULL;
}

static char **beneath_of(JsonObject *plan) {
        JsonArray *array = json_object_has_member(plan, "beneath")
                                           ? json_object_get_array_member(plan, "beneath")
                                           : NULL;
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

        for (unsigned i = 0; array && i < json_array_get_length(array); i++)
                g_strv_builder_add(builder, json_array_get_string_element(array, i));
        return array ? g_strv_builder_end(builder) : NULL;
}

/* Places */

/* The directory of the path that is there; the components below it. What can't be looked at counts
 * as there: whoever makes something in it is told why. */
static char *find_existing(const char *path, char ***ret_missing) {
        g_autofree char *directory = g_path_get_dirname(path);
        g_autoptr(GPtrArray) missing = g_ptr_array_new();
        struct stat st;

        g_ptr_array_add(missing, NULL);
        g_ptr_array_insert(missing, 0, g_path_get_basename(path));
        while (lstat(directory, &st) < 0 && errno == ENOENT) {
                char *parent = g_path_get_dirname(directory);

                g_ptr_array_insert(missing, 0, g_path_get_basename(directory));
                g_free(directory);
                directory = parent;
        }
        *ret_missing = (char **) g_ptr_array_steal(missing, NULL);
        return g_steal_pointer(&directory);
}

static bool make_directories(Creation *c, int *directory, GError **error) {
        mode_t mode = c->beneath ? MODE_SHARED : 0700;

        if (fchmod(*directory, mode) < 0)
                return fail(errno, "make the directory of", c->path, error);
        for (char **name = c->missing + 1; name[1]; name++) {
                int inner = -1;

                if (mkdirat(*directory, *name, 0700) == 0)
                        inner = openat(*directory, *name,
                                        O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
                if (inner < 0 || fchmod(inner, mode) < 0 ||
                                (fsync(*directory) < 0 && errno != EINVAL)) {
                        fail(errno, "make the directory of", c->path, error);
                        fd_close(&inner);
                        return false;
                }
                fd_close(directory);
                *directory = inner;
        }
        return true;
}

/* The image in new directories. */
static bool make_file_below(Creation *c, GError **error) {
        auto_fd directory = fcntl(c->place.made, F_DUPFD_CLOEXEC, 0);
        const char *name = c->missing[g_strv_length(c->missing) - 1];

        if (!make_directories(c, &directory, error))
                return false;
        c->fd = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (c->fd < 0 || (fsync(directory) < 0 && errno != EINVAL))
                return fail(errno, "make", c->path, error);
        return true;
}

static bool make_place(Creation *c, GError **error) {
        const char *partial = text_of(c->plan, "partial");
        PlaceLinks links = c->beneath ? PLACE_REFUSES_LINKS : PLACE_FOLLOWS_LINKS;

        c->existing = find_existing(c->path, &c->missing);
        if (g_strv_length(c->missing) > DIRECTORIES_MAX)
                return error_fail(VIRTASK_ERROR_PATH_NOT_FOUND, error,
                                "Too many directories of the path are missing");
        if (c->missing[1])
                return place_make(c->existing, c->missing[0], partial, false, links, &c->place,
                                       error) &&
                       make_file_below(c, error);
        if (!place_make_file(c->existing, c->missing[0], partial, links, &c->place, error))
                return false;
        c->fd = fcntl(c->place.made, F_DUPFD_CLOEXEC, 0);
        return c->fd >= 0 || fail(errno, "make", c->path, error);
}

/* The file system may not have such large files; nobody shall wait an hour for that. */
static bool check_room(const Creation *c, GError **error) {
        bool as_large = c->fixed || c->format == IMAGE_RAW;

        if (!place_check_room(&c->place, ROOM + (c->fixed ? c->size : 0), error))
                return false;
        if (as_large && (ftruncate(c->fd, (off_t) c->size) < 0 || ftruncate(c->fd, 0) < 0))
                return fail(errno, "make", c->path, error);
        return true;
}

/* Content */

static const char *make_options(const Creation *c) {
        switch (c->format) {
        case IMAGE_QCOW2:
                return c->fixed ? "preallocation=metadata" : "preallocation=off";
        case IMAGE_VPC:
                return c->fixed ? "subformat=fixed,force_size=on"
                                : "subformat=dynamic,force_size=on";
        case IMAGE_VHDX:
                return c->fixed ? "subformat=fixed" : "subformat=dynamic";
        case IMAGE_RAW:
        case IMAGE_FORMAT_COUNT:
                break;
        }
        return NULL;
}

static bool make_formatted(const Creation *c, GError **error) {
        g_autofree char *text = g_strdup_printf("%" PRIu64, c->size);
        const char *arguments[] = {"qemu-img", "create", "-q", "-f", image_format_name(c->format),
                        "-o", make_options(c), LOCAL, text, NULL};
        const ChildHooks hooks = {.stop = c->hooks->stop,
                        .userdata = c->hooks->userdata,
                        .descriptors = &c->fd,
                        .n_descriptors = 1};

        return child_run(arguments, &hooks, NULL, error);
}

/* The directory that the image is going to be in, without links. */
static char *final_directory(const Creation *c) {
        char *directory = g_path_get_dirname(c->place.path);

        for (char **name = c->missing; name[1]; name++) {
                char *inner = g_build_filename(directory, *name, NULL);

                g_free(directory);
                directory = inner;
        }
        return directory;
}

/* A relative name was resolved by its letters, and links in the path may lead QEMU elsewhere. */
static bool check_backing(const Creation *c, const char *backing, GError **error) {
        const ImageFacts *parent = c->parents->pdata[0];
        g_autofree char *directory = final_directory(c);
        g_autofree char *path = g_canonicalize_filename(backing, directory);
        struct stat st;

        return (stat(path, &st) == 0 && st.st_dev == parent->device &&
                               st.st_ino == parent->inode) ||
               error_fail(VIRTASK_ERROR_PARENT_NOT_FOUND, error,
                               "The name of the parent leads elsewhere from '%s'", directory);
}

/* Not every file system keeps notes. */
static bool write_note(const Creation *c, const char *name, const char *note, GError **error) {
        return fsetxattr(c->fd, name, note, strlen(note), 0) == 0 || errno == ENOTSUP ||
               fail(errno, "write a note to", c->path, error);
}

/* QEMU takes what stands before a colon for a protocol. */
static bool make_overlay(const Creation *c, GError **error) {
        const ImageFacts *parent = c->parents->pdata[0];
        const char *backing = text_of(c->plan, "backing") ?: parent->path;
        g_autofree char *name = g_path_is_absolute(backing) ? g_strdup(backing)
                                                            : g_strconcat("./", backing, NULL);
        g_autofree char *note = g_strdup_printf("%" PRIu64 " %" PRId64 " %" PRIu64 " %" PRIu64,
                        parent->size, parent->mtime, parent->device, parent->inode);

        return check_backing(c, backing, error) &&
               image_make_overlay(c->fd, name, parent->format, c->size, error) &&
               write_note(c, PARENT_NOTE, note, error);
}

static void on_percent(double percent, void *userdata) {
        const Creation *c = userdata;

        c->hooks->done((uint64_t) ((double) c->size * percent / 100), c->hooks->userdata);
}

static bool on_stop(void *userdata) {
        const Creation *c = userdata;

        return c->hooks->stop(c->hooks->userdata);
}

static bool make_copy(Creation *c, GError **error) {
        const ImageMakeHooks hooks = {on_stop, on_percent, c};

        c->hooks->total(c->fixed ? 2 * c->size : c->size, c->hooks->userdata);
        if (!image_make_converted(c->fd, image_format_name(c->format), make_options(c), c->sources,
                            (const char *const *) c->beneath, &hooks, error))
                return false;
        c->copied = c->size;
        return true;
}

static bool make_content(Creation *c, GError **error) {
        if (c->sources)
                return make_copy(c, error);
        if (c->parents)
                return make_overlay(c, error);
        if (c->format != IMAGE_RAW)
                return make_formatted(c, error);
        return ftruncate(c->fd, (off_t) c->size) == 0 || fail(errno, "make", c->path, error);
}

/* Allocation */

/* Writes zeros where the file has nothing between the two, and nothing elsewhere. */
static bool fill(const Creation *c, uint64_t begin, uint64_t end, GError **error) {
        g_autofree void *zeros = g_malloc0(ZEROS);

        while (begin < end) {
                off_t hole = lseek(c->fd, (off_t) begin, SEEK_HOLE);
                off_t data = hole < 0 ? hole : lseek(c->fd, hole, SEEK_DATA);
                uint64_t stop = MIN(end, data < 0 ? end : (uint64_t) data);

                if (hole < 0 || (uint64_t) hole >= end)
                        return true;
                for (begin = (uint64_t) hole; begin < stop; begin += MIN(ZEROS, stop - begin)) {
                        if (c->hooks->stop(c->hooks->userdata))
                                return error_fail(VIRTASK_ERROR_CANCELLED, error,
                                                "The work was stopped");
                        if (!io_write(c->fd, zeros, MIN(ZEROS, stop - begin), begin))
                                return fail(errno, "write", c->path, error);
                        c->hooks->done(c->copied + begin, c->hooks->userdata);
                }
        }
        return true;
}

static bool allocate_step(const Creation *c, uint64_t begin, uint64_t end, GError **error) {
        int r;

        do
                r = fallocate(c->fd, 0, (off_t) begin, (off_t) (end - begin));
        while (r < 0 && errno == EINTR && !c->hooks->stop(c->hooks->userdata));
        if (r < 0 && errno == EOPNOTSUPP)
                return fill(c, begin, end, error);
        return r == 0 || fail(errno, "allocate", c->path, error);
}

/* Every byte of the file gets its place on the disk; what is in it stays as it is. */
static bool allocate(const Creation *c, GError **error) {
        struct stat st;

        if (fstat(c->fd, &st) < 0)
                return fail(errno, "look at", c->path, error);
        c->hooks->total(c->copied + (uint64_t) st.st_size, c->hooks->userdata);
        for (uint64_t begin = 0, end; begin < (uint64_t) st.st_size; begin = end) {
                end = MIN(begin + STEP, (uint64_t) st.st_size);
                if (c->hooks->stop(c->hooks->userdata))
                        return error_fail(VIRTASK_ERROR_CANCELLED, error, "The work was stopped");
                if (!allocate_step(c, begin, end, error))
                        return false;
                c->hooks->done(c->copied + end, c->hooks->userdata);
        }
        return true;
}

/* The parent */

static bool fail_on_parent(GError *cause, GError **error) {
        if (g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_FILE_NOT_FOUND) ||
                        g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_PATH_NOT_FOUND))
                cause->code = VIRTASK_ERROR_PARENT_NOT_FOUND;
        g_propagate_error(error, cause);
        return false;
}

/* A differencing VHD does not show its content without what it rests on, which we do not read. */
static bool check_chain(const GPtrArray *chain, GError **error) {
        const ImageFacts *last = chain->pdata[chain->len - 1];

        return last->type != IMAGE_DIFFERENCING ||
               error_fail(VIRTASK_ERROR_WRONG_DISK_TYPE, error,
                               "The image '%s' rests on another one, which is not known",
                               last->path);
}

static bool read_parents(Creation *c, GError **error) {
        const char *parent = text_of(c->plan, "parent");
        const ImageFacts *facts;
        GError *cause = NULL;

        if (!parent)
                return true;
        c->parents = image_facts_read_chain(parent, text_of(c->plan, "parent_format"),
                        (const char *const *) c->beneath, &cause, &cause);
        if (cause)
                return fail_on_parent(cause, error);
        if (!check_chain(c->parents, error))
                return false;
        if (c->parents->len >= IMAGE_CHAIN_MAX)
                return error_fail(VIRTASK_ERROR_WRONG_DISK_TYPE, error,
                                "The image '%s' rests on too many others", parent);
        facts = c->parents->pdata[0];
        c->size = (facts->virtual_size + IMAGE_SECTOR - 1) / IMAGE_SECTOR * IMAGE_SECTOR;
        return true;
}

/* The image that is copied */

static bool read_sources(Creation *c, GError **error) {
        const char *source = text_of(c->plan, "source");
        bool merges = json_object_get_boolean_member_with_default(c->plan, "merges", false);
        g_autoptr(GError) problem = NULL;
        const ImageFacts *facts;

        if (!source)
                return true;
        c->sources = image_facts_read_chain(source, text_of(c->plan, "source_format"),
                        (const char *const *) c->beneath, &problem, error);
        if (!c->sources)
                return false;
        if (problem)
                return fail_on_parent(g_steal_pointer(&problem), error);
        facts = c->sources->pdata[0];
        if (merges && facts->type != IMAGE_DIFFERENCING)
                return error_fail(VIRTASK_ERROR_WRONG_DISK_TYPE, error,
                                "The image '%s' rests on no other one", facts->path);
        c->size = (facts->virtual_size + IMAGE_SECTOR - 1) / IMAGE_SECTOR * IMAGE_SECTOR;
        return check_chain(c->sources, error) &&
               image_format_check_size(c->format, MAX(c->size, IMAGE_SIZE_MIN), error);
}

/* All of it */

static bool create(Creation *c, GError **error) {
        bool ok = read_parents(c, error) && read_sources(c, error) && make_place(c, error) &&
                  check_room(c, error) && make_content(c, error) &&
                  (!c->fixed || allocate(c, error)) &&
                  write_note(c, PARTIAL_NOTE, text_of(c->plan, "partial"), error);

        if (!ok)
                return false;
        if (c->hooks->stop(c->hooks->userdata))
                return error_fail(VIRTASK_ERROR_CANCELLED, error, "The work was stopped");
        if (fsync(c->fd) < 0)
                return fail(errno, "write", c->path, error);
        return place_publish(&c->place, false, error);
}

GPtrArray *image_create(JsonObject *plan, const WriterHooks *hooks, GError **error) {
        g_auto(GStrv) beneath = beneath_of(plan);
        Creation c = {.plan = plan,
                        .hooks = hooks,
                        .path = text_of(plan, "path"),
                        .beneath = beneath,
                        .size = (uint64_t) json_object_get_int_member_with_default(plan, "size", 0),
                        .fixed = json_object_get_boolean_member_with_default(plan, "fixed", false),
                        .place = {.parent = -1, .made = -1},
                        .fd = -1};
        GPtrArray *chain = NULL;

        if (!image_format_find(text_of(plan, "format"), &c.format))
                (void) error_fail(VIRTASK_ERROR_NOT_SUPPORTED, error, "The format is not known");
        else if (create(&c, error))
                chain = image_facts_read_chain(c.path, text_of(plan, "format"),
                                (const char *const *) beneath, NULL, error);
        fd_close(&c.fd);
        place_discard(&c.place); /* nothing any more if it was published */
        place_clear(&c.place);
        g_clear_pointer(&c.parents, g_ptr_array_unref);
        g_clear_pointer(&c.sources, g_ptr_array_unref);
        g_strfreev(c.missing);
        g_free(c.existing);
        return chain;
}

static bool was_called(JsonObject *plan, const char *const *beneath, GError **error) {
        const char *partial = text_of(plan, "partial");
        char note[NOTE_MAX] = {0};
        g_autofree char *path = NULL, *directory = NULL;
        auto_fd parent = -1;
        struct stat st;
        auto_fd fd = partial ? image_open(text_of(plan, "path"), beneath, &path, &st, error) : -1;

        if (!partial)
                return true;
        if (fd < 0)
                return false;
        if (fgetxattr(fd, PARTIAL_NOTE, note, sizeof(note) - 1) <= 0 || !g_str_equal(note, partial))
                return error_fail(VIRTASK_ERROR_FILE_NOT_FOUND, error, "That is another image");
        /* Its maker has perhaps not come as far as this. */
        directory = g_path_get_dirname(path);
        parent = open(directory, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        return (parent >= 0 && (fsync(parent) == 0 || errno == EINVAL)) ||
               fail(errno, "sync the directory of", path, error);
}

GPtrArray *image_look_at(JsonObject *plan, GError **error) {
        g_auto(GStrv) beneath = beneath_of(plan);

        if (!was_called(plan, (const char *const *) beneath, error))
                return NULL;
        return image_facts_read_chain(text_of(plan, "path"), text_of(plan, "format"),
                        (const char *const *) beneath, NULL, error);
}

/* Directories may have come and gone since. */
bool image_remove_partial(JsonObject *plan, GError **error) {
        const char *partial = text_of(plan, "partial");
        g_autofree char *directory = g_path_get_dirname(text_of(plan, "path"));
        bool last = false;

        if (!g_str_has_prefix(partial, IMAGE_PARTIAL))
                return error_fail(VIRTASK_ERROR_FAILED, error, "That is no name of ours");
        while (!last) {
                g_autofree char *path = g_build_filename(directory, partial, NULL);
                struct stat st;
                char *parent;

                if (lstat(path, &st) == 0)
                        return place_remove(directory, partial, error);
                last = g_str_equal(directory, "/");
                parent = g_path_get_dirname(directory);
                g_free(directory);
                directory = parent;
        }
        return true;
}
