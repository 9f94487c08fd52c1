/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ImportSystemDefinition: Msvm_VirtualSystemManagementService::ImportSystemDefinition and what
 * belongs to it (RealizePlannedSystem), in one step; and ImportPackage, the same of what other
 * products have written (docs/decisions/0013-ova.md).
 *
 *     read       a process of the caller tells what is in the bundle, and in those below it
 *     plan       of that, definitions of this host
 *     extract    a process of the caller copies the files, under names that nobody has, or makes
 *                images of the disks of a package there
 *     check      what is in them, when nobody else can write to them any more
 *     publish    the files get their names
 *     define     the machine, then its snapshots
 *
 * Until the machine is there with all its snapshots, an interruption takes everything back. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "backend/backend-error.h"
#include "backend/machine-name.h"
#include "bus/bus-path.h"
#include "disk/image-directories.h"
#include "disk/image.h"
#include "export/bundle-child.h"
#include "export/firmware.h"
#include "export/import-bases.h"
#include "export/import-package.h"
#include "export/operations.h"
#include "export/package-images.h"
#include "export/saved-file.h"
#include "jobs/job.h"
#include "snapshot/libvirt-files.h"
#include "util/directory.h"
#include "util/fd.h"

#define MEMORY_UUID      "Uuid"
#define MEMORY_NAME      "Name"
#define MEMORY_DIRECTORY "Directory"
#define MEMORY_DEFINING  "Defining" /* libvirt may have been told of the machine */
#define MEMORY_DONE      "Done"     /* the machine is there, with all it has */

#define SPARE_PERCENT 5U                    /* of room that has to be left */
#define HEAD_BYTES    (UINT64_C(4) << 20)   /* of a file, when nothing is to be made */
#define HEADS_MAX     (UINT64_C(256) << 20) /* of all: they are in memory */

G_STATIC_ASSERT(HEAD_BYTES >= SAVED_FILE_HEAD_MAX);

typedef struct Importer {
        Job *job;
        const ImportRequest *request;
        virConnectPtr connection;
        const Layout *layout;
        ImportPlan *plan;

        /* What it is made of: one of the two is NULL. */
        Summary *summary;
        GPtrArray *bases; /* of Summary: below a difference */
        OvfMachine *machine;
        char *description; /* of that, for the process of the caller */
} Importer;

static bool is_to_stop(const Importer *i, GError **error) {
        if (!job_is_cancelled(i->job))
                return false;
        g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED, "Importing was stopped");
        return true;
}

/* Whether there is a place for the machine. */

static bool check_name(const Importer *i, GError **error) {
        if (machine_name_is_free(i->connection, i->plan->name, NULL, error))
                return true;
        g_prefix_error(error, "The machine needs another name (option Name): ");
        return false;
}

static bool check_uuid(const Importer *i, GError **error) {
        if (machine_uuid_is_free(i->connection, i->plan->uuid, error))
                return true;
        g_prefix_error(error, "The machine needs another identifier (option "
                              "GenerateNewSystemIdentifier): ");
        return false;
}

static bool check_room(const Importer *i, const char *storage, GError **error) {
        auto_fd fd = open(storage, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return error_fail(VIRTASK_ERROR_FAILED, error, "Failed to look at '%s': %s",
                                storage, g_strerror(errno));
        return directory_check_room(fd, storage, i->plan->data, error);
}

/* libvirt would take what lies there for snapshots of the machine. */
static bool check_snapshots(const Importer *i, GError **error) {
        g_autofree char *path = i->layout->snapshots ? g_build_filename(i->layout->snapshots,
                                                                       i->plan->name, NULL)
                                                     : NULL;
        g_autoptr(GDir) directory = path ? g_dir_open(path, 0, NULL) : NULL;

        if (!directory || !g_dir_read_name(directory))
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FILE_EXISTS,
                        "There are snapshots of another machine in '%s'", path);
        return false;
}

static bool check_places(const Importer *i, const char *storage, GError **error) {
        return check_uuid(i, error) && check_name(i, error) && check_snapshots(i, error) &&
               import_files_check(i->plan->files, error) && check_room(i, storage, error);
}

/* What is not taken over */
static void tell_left_out(const Importer *i) {
        GHashTableIter iter;
        void *text;

        g_hash_table_iter_init(&iter, i->plan->import.left_out);
        while (g_hash_table_iter_next(&iter, &text, NULL))
                job_log(i->job, LOG_NOTICE, "not taken over: %s", (const char *) text);
}

/* The files */

static bool convert_states(const Importer *i, GError **error) {
        g_autoptr(GHashTable) firmwares = NULL;

        if (!import_plan_has_states(i->plan))
                return true;
        firmwares = firmware_offered(i->connection, i->plan->definition, error);
        return firmwares && import_plan_convert_states(i->plan, firmwares, error);
}

static bool remember(const Importer *i, GError **error) {
        return job_remember(i->job, MEMORY_UUID, i->plan->uuid, error) &&
               job_remember(i->job, MEMORY_NAME, i->plan->name, error) &&
               job_remember(i->job, MEMORY_DIRECTORY, i->plan->directory, error);
}

static bool extract(const Importer *i, GError **error) {
        const char *path = i->request->directory;

        return i->machine ? package_images_make(i->job, i->plan, i->machine, path, i->description,
                                            error)
                          : import_bases_extract(i->job, i->request, i->plan, error);
}

/* Whether a process of somebody with less rights than ours had our files open. */
static bool is_foreign(const Importer *i) {
        return !i->machine && i->job->caller != 0 && i->job->caller != geteuid();
}

/* There are no images of a package before they are made. */
static bool validate_package(const Importer *i, GError **error) {
        return bundle_child_convert(i->job, i->request->directory, i->description, NULL, error) &&
               !is_to_stop(i, error);
}

/* Where there are many files each has less; definitions and headers hardly ever need as much. */
static uint64_t head_of_each(const Importer *i) {
        return MIN(HEAD_BYTES, HEADS_MAX / MAX(i->plan->files->files->len, 1));
}

static bool fetch(const Importer *i, GError **error) {
        bool validate = i->request->validate_only;
        ImportPlan *plan = i->plan;

        if (validate && i->machine)
                return validate_package(i, error);
        if (!validate && !remember(i, error))
                return false;
        return import_files_create(plan->files, i->job, validate ? head_of_each(i) : 0, error) &&
               extract(i, error) && !is_to_stop(i, error) &&
               (validate || import_files_seal(plan->files, is_foreign(i), error)) &&
               import_plan_check_sizes(plan, error) && import_plan_check_images(plan, error) &&
               import_bases_join(plan, error) && convert_states(i, error);
}

/* The machine */

static bool define_snapshot(
                virDomainPtr domain, const ImportSnapshot *snapshot, bool current, GError **error) {
        unsigned flags = VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE |
                         (current ? VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT : 0);
        g_autoptr(virDomainSnapshot) made =
                        virDomainSnapshotCreateXML(domain, snapshot->definition, flags);

        if (!made)
                backend_error_set(error, "Failed to make the snapshot '%s'", snapshot->id);
        return made;
}

static bool define_snapshots(const Importer *i, virDomainPtr domain, GError **error) {
        const ImportPlan *plan = i->plan;

        for (unsigned n = 0; n < plan->snapshots->len; n++) {
                const ImportSnapshot *snapshot = plan->snapshots->pdata[n];

                if (!define_snapshot(domain, snapshot, g_strcmp0(snapshot->id, plan->current) == 0,
                                    error))
                        return false;
        }
        return true;
}

static void undefine(Job *job, virDomainPtr domain) {
        libvirt_files_tidy(domain);
        if (virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                                                           VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
                                                           VIR_DOMAIN_UNDEFINE_NVRAM |
                                                           VIR_DOMAIN_UNDEFINE_TPM) < 0)
                job_log(job, LOG_WARNING, "What is left of the machine '%s' stays",
                                virDomainGetName(domain));
}

static bool define(const Importer *i, GError **error) {
        g_autoptr(virDomain) domain = machine_define_new(
                        i->connection, i->plan->name, i->plan->uuid, i->plan->definition, error);

        if (!domain)
                return false;
        if (!define_snapshots(i, domain, error) || !libvirt_files_sync(domain, error) ||
                        !job_remember(i->job, MEMORY_DONE, "yes", error)) {
                undefine(i->job, domain);
                return false;
        }
        (void) g_strlcpy(i->job->uuid, i->plan->uuid, sizeof(i->job->uuid));
        i->job->result_object = bus_path_machine(i->plan->uuid);
        return true;
}

static bool import(Importer *i, GError **error) {
        if (!fetch(i, error))
                return false;
        tell_left_out(i);
        if (i->request->validate_only)
                return true;
        return job_commit(i->job) && job_remember(i->job, MEMORY_DEFINING, "yes", error) &&
               import_files_publish(i->plan->files, i->job, error) && define(i, error);
}

static void take_back(Job *job) {
        g_autoptr(GError) error = NULL;

        if (!import_files_remove(job, &error))
                job_log(job, LOG_WARNING, "What is left of the import stays: %s", error->message);
}

static ImportPlan *make_plan(const Importer *i, const char *storage, GError **error) {
        g_autoptr(ImportPlan) plan = NULL;

        if (i->machine)
                return import_plan_new_package(
                                i->machine, i->request, storage, i->connection, error);
        plan = import_plan_new(i->summary, i->request, i->layout, storage, error);
        return plan && import_bases_add(plan, i->bases, error) ? g_steal_pointer(&plan) : NULL;
}

static bool plan_and_import(Importer *i, GError **error) {
        g_auto(Layout) layout = {0};
        g_autofree char *storage = NULL;
        g_autoptr(ImportPlan) plan = NULL;
        bool ok;

        layout_of_connection(i->connection, &layout);
        i->layout = &layout;
        storage = image_directories_choose(&layout, i->request->storage, i->job->caller, error);
        plan = storage ? make_plan(i, storage, error) : NULL;
        if (!plan)
                return false;
        i->plan = plan;
        ok = check_places(i, storage, error) && import(i, error);
        if (!ok && !i->request->validate_only)
                take_back(i->job);
        return ok;
}

/* A bundle, and those below it. */
static bool read_bundles(Importer *i, GError **error) {
        i->summary = bundle_child_read(i->job, i->request->directory, error);
        i->bases = i->summary ? import_bases_read(i->job, i->request, error) : NULL;
        return i->bases && import_bases_check(i->bases, i->summary, error);
}

static bool read_source(Importer *i, GError **error) {
        if (!i->request->package)
                return read_bundles(i, error);
        i->machine = bundle_child_read_package(
                        i->job, i->request->directory, &i->description, error);
        return i->machine;
}

static bool import_run(Job *job, GError **error) {
        g_autoptr(virConnect) connection = backend_lend(job->backend, BACKEND_LONG, error);
        Importer importer = {.job = job, .request = job->request, .connection = connection};
        bool ok;

        if (!connection)
                return false;
        ok = read_source(&importer, error) && !is_to_stop(&importer, error) &&
             plan_and_import(&importer, error);
        summary_free(importer.summary);
        g_clear_pointer(&importer.bases, g_ptr_array_unref);
        ovf_machine_free(importer.machine);
        g_free(importer.description);
        return ok;
}

/* After an interruption */

/* The machine that the job has defined. One with its identifier and another name is another one, or
 * has been renamed since; then it has its images. */
static bool is_ours(Job *job, virDomainPtr domain) {
        const char *name = job_recall(job, MEMORY_NAME);
        const char *directory = job_recall(job, MEMORY_DIRECTORY);
        char *definition = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
        bool ours = g_strcmp0(virDomainGetName(domain), name) == 0 ||
                    (definition && directory && strstr(definition, directory));

        free(definition);
        return ours;
}

/* False if it can not be taken back, because somebody uses it. */
static bool undefine_ours(Job *job, virDomainPtr domain) {
        if (!domain || !is_ours(job, domain))
                return true;
        if (virDomainIsActive(domain) != 0) {
                job_log(job, LOG_WARNING, "The machine '%s' runs already, and stays as it is",
                                virDomainGetName(domain));
                return false;
        }
        undefine(job, domain);
        return true;
}

/* Of a machine that libvirt does not know: what it was writing when it died, or has written and did
 * not sync the name of. There was nothing there before. */
static void remove_leavings(Job *job, virConnectPtr connection) {
        const char *name = job_recall(job, MEMORY_NAME);
        g_autoptr(virDomain) other = name ? virDomainLookupByName(connection, name) : NULL;
        g_auto(Layout) layout = {0};
        g_autofree char *definition = NULL, *snapshots = NULL;
        g_autoptr(GDir) directory = NULL;
        const char *file;

        layout_of_connection(connection, &layout);
        if (!job_recall(job, MEMORY_DEFINING) || other || !layout.definitions)
                return;
        definition = g_strdup_printf("%s/%s.xml.new", layout.definitions, name);
        (void) image_remove(definition, NULL);
        snapshots = g_build_filename(layout.snapshots, name, NULL);
        directory = g_dir_open(snapshots, 0, NULL);
        while (directory && (file = g_dir_read_name(directory))) {
                g_autofree char *path = g_build_filename(snapshots, file, NULL);

                (void) image_remove(path, NULL);
        }
        (void) rmdir(snapshots);
}

static bool import_settle(Job *job, GError **error) {
        g_autoptr(virConnect) connection = backend_lend(job->backend, BACKEND_LONG, error);
        const char *uuid = job_recall(job, MEMORY_UUID);
        g_autoptr(virDomain) domain = NULL;

        if (!connection)
                return false;
        domain = uuid ? virDomainLookupByUUIDString(connection, uuid) : NULL;
        if (domain && job_recall(job, MEMORY_DONE)) {
                (void) g_strlcpy(job->uuid, uuid, sizeof(job->uuid));
                job->result_object = bus_path_machine(uuid);
                return true;
        }
        if (undefine_ours(job, domain)) {
                remove_leavings(job, connection);
                take_back(job);
        }
        g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                        "The service was interrupted while it imported the machine");
        return false;
}

/* clang-format off */
#define IMPORT_COMMON                                                           \
                .interface = "Manager",                                         \
                .signature = "sa{sv}",                                          \
                .action = "org.virtask1.import",                                \
                .gerund = "Importing a virtual machine",                        \
                .job_type = 61,                                                 \
                .flags = OPERATION_CANCELLABLE | OPERATION_DURABLE | OPERATION_INHIBITS | OPERATION_ENDS_WITH_US | \
                         OPERATION_ANSWERS_OBJECT | OPERATION_SHARED,           \
                .lane = LANE_DISK,                                              \
                .request_size = sizeof(ImportRequest),                          \
                .request_clear = import_request_clear,                          \
                .run = import_run,                                              \
                .settle = import_settle,                                        \
                .progress = job_counted
/* clang-format on */

const Operation operation_import_machine = {
                .name = "system-import",
                .member = "ImportSystemDefinition",
                .argument_names = "import_directory\0options\0task\0",
                .parse = import_request_parse,
                IMPORT_COMMON,
};

const Operation operation_import_package = {
                .name = "system-import-package",
                .member = "ImportPackage",
                .argument_names = "file\0options\0task\0",
                .parse = import_request_parse_for_package,
                IMPORT_COMMON,
};
