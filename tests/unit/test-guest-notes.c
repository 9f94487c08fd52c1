/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* That a real QEMU and libvirt understand each other afterwards, tests/system shows. */

#define MODULE "guest-notes"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/guest-notes.h"
#include "support.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}"
#define EVENT    "{\"event\": \"STOP\", \"timestamp\": {}}"
#define DONE     "{\"return\": {}}"
#define REFUSED  "{\"error\": {\"class\": \"GenericError\"}}"
#define NO_JOBS  "{\"return\": []}"
#define JOB      "{\"return\": [{\"id\": \"commit-vda\", \"type\": \"commit\"}]}"
#define OPEN(node)                                                                                 \
        "{\"return\": [{\"device\": \"cd\"}, {\"device\": \"\", \"inserted\": {\"node-name\": "    \
        "\"" node "\"}}]}"

#define SOURCE(file, index)                                                                        \
        "<source file='/srv/" file "'" index ">"                                                   \
        "<privateData><nodenames><nodename type='storage' name='" file "-storage'/>"               \
        "<nodename type='format' name='" file "-format'/></nodenames></privateData></source>"

/* A house with one guest, and a QEMU that gives these answers. */
typedef struct House {
        char *root, *run, *before;
        char heard[4096];
        GThread *qemu;
        const char *const *answers; /* NULL: it hangs up */
        int listener;
} House;

static void *speak(void *userdata) {
        House *house = userdata;
        int fd = accept(house->listener, NULL, NULL);
        FILE *stream = fd >= 0 ? fdopen(fd, "r+") : NULL;
        char line[512];

        if (!stream)
                return NULL;
        (void) fprintf(stream, "%s\r\n%s\r\n", GREETING, EVENT);
        for (unsigned i = 0; fflush(stream) == 0 && fgets(line, sizeof(line), stream); i++) {
                (void) g_strlcat(house->heard, line, sizeof(house->heard));
                if (!house->answers[i])
                        break;
                (void) fprintf(stream, "%s\r\n%s\r\n", EVENT, house->answers[i]);
        }
        (void) fclose(stream);
        return NULL;
}

static void listen_as_qemu(House *house, const char *path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        (void) g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
        house->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(bind(house->listener, (struct sockaddr *) &address, sizeof(address)), ==,
                        0);
        g_assert_cmpint(listen(house->listener, 1), ==, 0);
        house->qemu = g_thread_new("qemu", speak, house);
}

/* "mirror" and "jobs" are what libvirt has noted. */
static House *house_new(const char *mirror, const char *jobs, const char *const *answers) {
        House *house = g_new0(House, 1);
        g_autofree char *monitor = NULL;

        house->root = test_directory_new();
        house->run = g_build_filename(house->root, "run/qemu", NULL);
        monitor = g_build_filename(house->root, "qmp", NULL);
        g_assert_cmpint(g_mkdir_with_parents(house->run, 0700), ==, 0);
        house->before = g_strdup_printf(
                        "<domstatus state='running' pid='1'><monitor path='%s' type='unix'/>"
                        "<blockjobs active='yes'>%s</blockjobs><domain type='qemu' id='1'>"
                        "<devices><disk type='file' device='disk'><driver name='qemu' "
                        "type='qcow2'/>" SOURCE("top",
                                        " index='2'") "<backingStore type='block' "
                                                      "index='1'><format type='raw'/>" SOURCE("bas"
                                                                                              "e",
                                                                      "") "<backingStore/></"
                                                                          "backingStore>%s<target "
                                                                          "dev='vda'/>"
                                                                          "</disk></devices></"
                                                                          "domain></domstatus>",
                        monitor, jobs, mirror);
        test_write(house->run, "web.xml", house->before);
        house->answers = answers;
        house->listener = -1;
        if (answers)
                listen_as_qemu(house, monitor);
        return house;
}

/* Whoever wants to know first has the daemon start; answers what libvirt would read. */
static char *house_settle(House *house) {
        g_autofree char *uri = g_strdup_printf("qemu:///embed?root=%s", house->root);

        guest_notes_mend(uri);
        return test_read(house->run, "web.xml");
}

static void house_clear(House **place) {
        House *house = *place;

        if (house->qemu) {
                (void) shutdown(house->listener, SHUT_RDWR);
                (void) g_thread_join(house->qemu);
                (void) close(house->listener);
        }
        test_directory_clear(&house->root);
        g_free(house->run);
        g_free(house->before);
        g_free(house);
}

#define auto_house __attribute__((cleanup(house_clear))) House *

#define MIRROR(job) "<mirror type='block' job='" job "'>" SOURCE("base", " index='1'") "</mirror>"
#define COMMIT                                                                                     \
        "<blockjob name='commit-vda' type='active-commit' state='pivoting'><disk dst='vda'/>"      \
        "<base node='base-format'/><top node='top-format'/></blockjob>"

static void assert_is_lowered(const char *text) {
        g_assert_nonnull(strstr(text, "<disk type=\"block\" device=\"disk\"><driver name=\"qemu\" "
                                      "type=\"raw\"/><source file=\"/srv/base\" index=\"1\">"));
        g_assert_nonnull(strstr(text, "<backingStore/><target dev=\"vda\"/>"));
        g_assert_null(strstr(text, "mirror"));
        g_assert_null(strstr(text, "<blockjob "));
        g_assert_null(strstr(text, "/srv/top"));
}

static void a_disk_is_noted_to_be_what_qemu_has_gone_over_to(void) {
        static const char *const answers[] = {
                        DONE, NO_JOBS, OPEN("base-format"), DONE, DONE, DONE, NULL};
        static const char *const mirrors[] = {MIRROR("active-commit"), MIRROR("")};

        for (unsigned i = 0; i < G_N_ELEMENTS(mirrors); i++) {
                auto_house house = house_new(mirrors[i], COMMIT, answers);
                g_autofree char *text = house_settle(house);

                assert_is_lowered(text);
                /* The format is closed before the file below it. */
                g_assert_nonnull(strstr(house->heard, "\"top-format\""));
                g_assert_nonnull(strstr(strstr(house->heard, "\"top-format\""), "\"top-storage\""));
                g_assert_null(strstr(house->heard, "{\"node-name\":\"base-"));
                g_assert_nonnull(strstr(house->heard, "{\"node\":\"base-format\""));
        }
}

static void a_job_that_libvirt_has_dropped_is_none(void) {
        static const char *const answers[] = {
                        DONE, NO_JOBS, OPEN("base-format"), DONE, DONE, DONE, NULL};
        auto_house house = house_new(MIRROR("active-commit"), "", answers);
        g_autofree char *text = house_settle(house);

        assert_is_lowered(text);
}

static void images_that_qemu_has_closed_are_no_error(void) {
        static const char *const answers[] = {
                        DONE, NO_JOBS, OPEN("base-format"), REFUSED, REFUSED, REFUSED, NULL};
        auto_house house = house_new(MIRROR(""), COMMIT, answers);
        g_autofree char *text = house_settle(house);

        assert_is_lowered(text);
}

static void a_disk_that_has_not_gone_over_stays(void) {
        static const char *const answers[] = {DONE, NO_JOBS, OPEN("top-format"), NULL};
        auto_house house = house_new(MIRROR(""), COMMIT, answers);
        g_autofree char *text = house_settle(house);

        g_assert_nonnull(strstr(text, "/srv/top"));
        g_assert_nonnull(strstr(text, "<backingStore type=\"block\" index=\"1\">"));
        g_assert_null(strstr(text, "mirror"));
        g_assert_null(strstr(text, "<blockjob "));
}

static void a_job_that_qemu_has_is_left_to_libvirt(void) {
        static const char *const answers[] = {DONE, JOB, NULL};
        auto_house house = house_new(MIRROR("active-commit"), COMMIT, answers);
        g_autofree char *text = house_settle(house);

        g_assert_cmpstr(text, ==, house->before);
}

static void what_libvirt_could_not_read_it_can(void) {
        static const char *const answers[] = {DONE, JOB, NULL};
        auto_house house = house_new(MIRROR(""), COMMIT, answers);
        g_autofree char *text = house_settle(house);

        g_assert_nonnull(strstr(text, "<mirror type=\"block\" job=\"active-commit\">"));
        g_assert_nonnull(strstr(text, "<blockjob "));
        g_assert_nonnull(strstr(text, "/srv/top"));
}

/* It has begun and is not noted on the disk yet. */
static void a_job_gets_its_mirror(void) {
        static const char *const answers[] = {DONE, JOB, NULL};
        auto_house house = house_new("", COMMIT, answers);
        g_autofree char *text = house_settle(house);

        g_assert_nonnull(strstr(text, "<mirror type=\"block\" job=\"active-commit\">"
                                      "<format type=\"raw\"/>"
                                      "<source file=\"/srv/base\" index=\"1\">"));
        g_assert_nonnull(strstr(text, "<blockjob "));
}

static void a_job_that_never_began_is_none(void) {
        static const char *const answers[] = {DONE, NO_JOBS, NULL};
        auto_house house = house_new("", COMMIT, answers);
        g_autofree char *text = house_settle(house);

        g_assert_nonnull(strstr(text, "/srv/top"));
        g_assert_null(strstr(text, "mirror"));
        g_assert_null(strstr(text, "<blockjob "));
}

/* Whatever QEMU does, libvirt has to know the guest. */
static void what_libvirt_could_not_read_it_can_without_qemu(void) {
        static const char *const hangs_up[] = {NULL};
        const char *const *const all[] = {hangs_up, NULL};

        for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
                auto_house house = house_new(MIRROR(""), COMMIT, all[i]);
                g_autofree char *text = house_settle(house);

                g_assert_nonnull(strstr(text, "<mirror type=\"block\" job=\"active-commit\">"));
                g_assert_nonnull(strstr(text, "<blockjob "));
                g_assert_nonnull(strstr(text, "/srv/top"));
        }
}

/* libvirt had noted the image, and not yet that the job is over. */
static void a_disk_that_is_noted_to_have_gone_over_has_no_job(void) {
        auto_house house = house_new(
                        "<mirror type='file' job=''>" SOURCE("top", " index='2'") "</mirror>", "",
                        NULL);
        g_autofree char *text = house_settle(house);

        g_assert_nonnull(strstr(text, "/srv/top"));
        g_assert_null(strstr(text, "mirror"));
}

#define OVERLAY                                                                                    \
        "{\"return\": [{\"inserted\": {\"node-name\": \"libvirt-7-format\", \"drv\": \"qcow2\","   \
        "\"image\": {\"filename\": \"json:x\", \"backing-filename\": \"/srv/top\"}}}]}"
#define NODES                                                                                      \
        "{\"return\": [{\"node-name\": \"libvirt-7-format\", \"file\": \"json:x\"},"               \
        "{\"node-name\": \"libvirt-7-storage\", \"file\": \"/srv/new\"}]}"
#define TAKING "<job type='none' async='snapshot' phase='none'/><nodename index='6'/>"

static void a_disk_is_noted_to_be_the_overlay_that_qemu_has_gone_over_to(void) {
        static const char *const answers[] = {DONE, OVERLAY, NODES, NULL};
        auto_house house = house_new("", "</blockjobs>" TAKING "<blockjobs>", answers);
        g_autofree char *text = house_settle(house);

        g_assert_nonnull(strstr(text, "<driver name=\"qemu\" type=\"qcow2\"/>"
                                      "<source file=\"/srv/new\" index=\"7\">"));
        g_assert_nonnull(strstr(text, "name=\"libvirt-7-storage\""));
        g_assert_nonnull(strstr(text,
                        "<backingStore type=\"file\" index=\"2\"><format type=\"qcow2\"/>"
                        "<source file=\"/srv/top\"><privateData>"));
        g_assert_nonnull(strstr(strstr(text, "/srv/top"), "<backingStore type=\"block\""));
        g_assert_nonnull(strstr(text, "<nodename index=\"7\"/>"));
}

static void a_disk_without_a_new_overlay_stays(void) {
        static const char *const answers[] = {DONE, OPEN("top-format"), "{\"return\": []}", NULL};
        auto_house house = house_new("", "</blockjobs>" TAKING "<blockjobs>", answers);
        g_autofree char *text = house_settle(house);

        g_assert_cmpstr(text, ==, house->before);
        g_assert_nonnull(strstr(house->heard, "query-named-block-nodes"));
}

static void assert_is_left_alone(const char *mirror, const char *jobs, const char *const *answers) {
        auto_house house = house_new(mirror, jobs, answers);
        g_autofree char *text = house_settle(house);

        g_assert_cmpstr(text, ==, house->before);
}

static void what_qemu_does_not_answer_is_left_alone(void) {
        static const char *const refuses[] = {"{\"error\": {}}", NULL};
        static const char *const hangs_up[] = {NULL};
        static const char *const hangs_up_later[] = {DONE, NO_JOBS, NULL};
        static const char *const other[] = {DONE, NO_JOBS, OPEN("other"), NULL};
        static const char *const nonsense[] = {"{", NULL};

        assert_is_left_alone(MIRROR("active-commit"), COMMIT, refuses);
        assert_is_left_alone(MIRROR("active-commit"), COMMIT, hangs_up);
        assert_is_left_alone(MIRROR("active-commit"), COMMIT, hangs_up_later);
        assert_is_left_alone(MIRROR("active-commit"), COMMIT, other);
        assert_is_left_alone(MIRROR("active-commit"), COMMIT, nonsense);
        assert_is_left_alone(MIRROR("active-commit"), COMMIT, NULL);
}

/* libvirt can deal with a process that has ended. */
static void a_guest_that_never_began_has_ended(void) {
        static const char *const answers[] = {NULL};
        auto_house house = house_new("", "", answers);
        g_auto(GStrv) halves = g_strsplit(house->before, "pid='1'", 2);
        g_autofree char *before = g_strjoinv("pid='0'", halves), *text = NULL;

        test_write(house->run, "web.xml", before);
        text = house_settle(house);
        g_assert_nonnull(strstr(text, "<domstatus state=\"running\" pid=\"2147483647\">"));
        g_assert_nonnull(strstr(text, "/srv/top"));
        g_assert_cmpstr(house->heard, ==, "");
}

static void assert_is_not_asked(const char *mirror, const char *jobs) {
        static const char *const answers[] = {DONE, NO_JOBS, OPEN("base-format"), NULL};
        auto_house house = house_new(mirror, jobs, answers);
        g_autofree char *text = house_settle(house);

        g_assert_cmpstr(text, ==, house->before);
        g_assert_null(strstr(house->heard, "query"));
}

static void jobs_of_another_kind_are_left_alone(void) {
        static const char copy[] = "<mirror type='file' file='/srv/copy' job='copy'>" SOURCE(
                        "base", "") "</mirror>";
        static const char pull[] = "<blockjob name='pull-vda' type='pull'><disk dst='vda'/>"
                                   "<base node='base-format'/></blockjob>";

        assert_is_not_asked(copy, "");
        assert_is_not_asked(copy, COMMIT);
        assert_is_not_asked("", pull);
        assert_is_not_asked("<mirror job=''/>", "");
        assert_is_not_asked("<mirror job=''>" SOURCE("elsewhere", "") "</mirror>", "");
}

static void what_is_no_status_is_left_alone(void) {
        static const char *const texts[] = {"<mirror", "", "<mirror/>",
                        "<domstatus><domain><devices><mirror/></devices></domain></domstatus>"};

        for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
                auto_house house = house_new("", "", NULL);
                g_autofree char *text = NULL;

                test_write(house->run, "web.xml", texts[i]);
                text = house_settle(house);
                g_assert_cmpstr(text, ==, texts[i]);
        }
        guest_notes_mend("qemu:///embed?root=/nowhere");
        guest_notes_mend("qemu:///system");
        guest_notes_mend("test:///default");
}

/* A lock belongs to a process. */
static pid_t hold_lock(const char *path) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
        int ready[2];
        pid_t pid;
        char byte;

        g_assert_cmpint(pipe(ready), ==, 0);
        pid = fork();
        if (pid == 0) {
                int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

                if (fcntl(fd, F_SETLK, &lock) == 0)
                        (void) !write(ready[1], "x", 1);
                (void) close(ready[1]);
                (void) pause();
                _exit(0);
        }
        (void) close(ready[1]);
        g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
        (void) close(ready[0]);
        return pid;
}

static void where_another_process_embeds_qemu_nothing_is_touched(void) {
        static const char *const answers[] = {DONE, NO_JOBS, OPEN("base-format"), NULL};
        auto_house house = house_new(MIRROR(""), COMMIT, answers);
        g_autofree char *file = g_build_filename(house->run, "driver.pid", NULL);
        pid_t holder = hold_lock(file);
        g_autofree char *text = house_settle(house);

        g_assert_cmpstr(text, ==, house->before);
        g_assert_cmpstr(house->heard, ==, "");
        g_assert_cmpint(kill(holder, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(holder, NULL, 0), ==, holder);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_disk_is_noted_to_be_what_qemu_has_gone_over_to);
        ADD(a_job_that_libvirt_has_dropped_is_none);
        ADD(images_that_qemu_has_closed_are_no_error);
        ADD(a_disk_that_has_not_gone_over_stays);
        ADD(a_job_that_qemu_has_is_left_to_libvirt);
        ADD(what_libvirt_could_not_read_it_can);
        ADD(a_job_gets_its_mirror);
        ADD(a_job_that_never_began_is_none);
        ADD(what_libvirt_could_not_read_it_can_without_qemu);
        ADD(a_disk_that_is_noted_to_have_gone_over_has_no_job);
        ADD(a_disk_is_noted_to_be_the_overlay_that_qemu_has_gone_over_to);
        ADD(a_disk_without_a_new_overlay_stays);
        ADD(a_guest_that_never_began_has_ended);
        ADD(what_qemu_does_not_answer_is_left_alone);
        ADD(jobs_of_another_kind_are_left_alone);
        ADD(what_is_no_status_is_left_alone);
        ADD(where_another_process_embeds_qemu_nothing_is_touched);
        return g_test_run();
}
