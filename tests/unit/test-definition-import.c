/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "definition-import"

#include "export/definition-import.h"

#include <string.h>

#include "support.h"

#define OWN_UUID "11111111-2222-4333-8444-555555555555"
#define UUID     "deb7dc1d-7e96-4d0a-9a4f-9f0e2e8ba56b"

/* What virt-install makes, as libvirt writes it down, with what a snapshot and the daemon add. */
static const char usual[] =
                "<domain type='kvm'>\n"
                "  <name>web</name><uuid>" UUID "</uuid>\n"
                "  <title>A title</title><description>Some &lt;notes&gt;</description>\n"
                "  <metadata>\n"
                "    <l:libosinfo xmlns:l='http://libosinfo.org/xmlns/libvirt/domain/1.0'>"
                "<l:os id='http://debian.org/debian/12'/></l:libosinfo>\n"
                "    <v:snapshots xmlns:v='https://virtask.org/snapshots/1'><v:snapshot id='s1' "
                "name='Before the "
                "update' type='2' consistency='1' collection='" UUID
                "'><v:notes>n</v:notes></v:snapshot></v:snapshots>\n"
                "    <i:images xmlns:i='https://virtask.org/images/1'>"
                "<i:made path='/srv/x/disks/vda.qcow2'/><i:hidden path='/srv/x/gone'/></i:images>\n"
                "  </metadata>\n"
                "  <memory unit='KiB'>2097152</memory><currentMemory "
                "unit='KiB'>2097152</currentMemory>\n"
                "  <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>\n"
                "  <vcpu placement='static' cpuset='0-1'>2</vcpu><iothreads>1</iothreads>\n"
                "  <cputune><vcpupin vcpu='0' cpuset='1'/></cputune>\n"
                "  <resource><partition>/machine</partition></resource>\n"
                "  <sysinfo type='smbios'><system><entry name='manufacturer'>Us</entry><entry "
                "name='uuid'>" UUID "</entry></system></sysinfo>\n"
                "  <os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>"
                "<firmware><feature enabled='yes' name='secure-boot'/></firmware>"
                "<loader secure='yes'/><nvram template='/etc/x'>/var/x</nvram><boot dev='hd'/>"
                "<bootmenu enable='yes' timeout='3000'/><smbios mode='sysinfo'/></os>\n"
                "  <features><acpi/><apic/><pae/><vmport state='off'/><smm state='on'><tseg "
                "unit='MiB'>48</tseg></smm>"
                "<hyperv mode='custom'><relaxed state='on'/><spinlocks state='on' "
                "retries='8191'/></hyperv>"
                "<kvm><hidden state='on'/></kvm></features>\n"
                "  <cpu mode='host-model' check='partial'><topology sockets='1' dies='1' cores='2' "
                "threads='1'/>"
                "<feature policy='disable' name='vmx'/><numa><cell id='0' cpus='0-1' "
                "memory='2097152' unit='KiB'/></numa></cpu>\n"
                "  <clock offset='utc'><timer name='rtc' tickpolicy='catchup'/><timer name='hpet' "
                "present='no'/></clock>\n"
                "  "
                "<on_poweroff>destroy</on_poweroff><on_reboot>restart</"
                "on_reboot><on_crash>destroy</on_crash>\n"
                "  <pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm>\n"
                "  <devices>\n"
                "    <emulator>/tmp/evil</emulator>\n"
                "    <disk type='file' device='disk'><driver name='qemu' type='qcow2' "
                "discard='unmap'/>"
                "<source file='/srv/x/disks/vda.qcow2' index='1'/><backingStore "
                "type='file'><format type='raw'/>"
                "<source file='/etc/shadow'/></backingStore><target dev='vda' "
                "bus='virtio'/><iotune><total_iops_sec>5"
                "</total_iops_sec></iotune><alias name='virtio-disk0'/>"
                "<address type='pci' domain='0x0000' bus='0x04' slot='0x00' "
                "function='0x0'/></disk>\n"
                "    <disk type='block' device='cdrom'><driver name='qemu' type='raw'/><source "
                "dev='/dev/sr0'/>"
                "<target dev='sda' bus='sata'/><readonly/><address type='drive' controller='0' "
                "bus='0' target='0' unit='0'/></disk>\n"
                "    <controller type='usb' index='0' model='qemu-xhci' ports='15'/>\n"
                "    <controller type='pci' index='1' model='pcie-root-port'><model "
                "name='pcie-root-port'/>"
                "<target chassis='1' port='0x10'/></controller>\n"
                "    <interface type='network'><mac address='52:54:00:aa:bb:cc'/>"
                "<source network='default' portid='x y' bridge='virbr0'/><target "
                "dev='vnet0'/><model type='virtio'/>"
                "<bandwidth><inbound average='1'/></bandwidth></interface>\n"
                "    <interface type='bridge'><mac address='52:54:00:aa:bb:cd'/><source "
                "bridge='br0'/></interface>\n"
                "    <serial type='file'><source path='/etc/cron.d/x' append='on'/><log "
                "file='/etc/y'/>"
                "<target type='isa-serial' port='0'><model name='isa-serial'/></target></serial>\n"
                "    <console type='pty' tty='/dev/pts/1'><target type='serial' "
                "port='0'/></console>\n"
                "    <channel type='unix'><source mode='connect' path='/run/docker.sock'/>"
                "<target type='virtio' name='org.qemu.guest_agent.0' "
                "state='connected'/></channel>\n"
                "    <channel type='spicevmc'><target type='virtio' "
                "name='com.redhat.spice.0'/></channel>\n"
                "    <input type='tablet' bus='usb'/>\n"
                "    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>\n"
                "    <graphics type='vnc' port='-1' autoport='yes' listen='0.0.0.0' "
                "passwd='secret'>"
                "<listen type='address' address='0.0.0.0'/></graphics>\n"
                "    <sound model='ich9'/><audio id='1' type='file'/>\n"
                "    <video><model type='qxl' ram='65536' vram='65536' vgamem='16384' heads='1' "
                "primary='yes'/></video>\n"
                "    <redirdev bus='usb' type='spicevmc'/><watchdog model='itco' action='reset'/>\n"
                "    <memballoon model='virtio'><stats period='5'/></memballoon>\n"
                "    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>\n"
                "  </devices>\n"
                "  <seclabel type='none'/>\n"
                "</domain>\n";

static DefinitionImport import;
static GError *error;

static void begin(void) {
        definition_import_init(&import);
        import.name = "copy <&>";
        import.uuid = OWN_UUID;
        import.directory = "/images/copy";
        g_hash_table_insert(import.images, g_strdup("disks/vda.qcow2"), NULL);
        g_hash_table_insert(import.images, g_strdup("disks/vdb.raw"), NULL);
}

static void end(void) {
        definition_import_clear(&import);
        g_clear_error(&error);
}

static char *with(const char *old, const char *new) {
        g_auto(GStrv) parts = g_strsplit(usual, old, 2);

        g_assert_cmpuint(g_strv_length(parts), ==, 2);
        return g_strjoinv(new, parts);
}

static char *take_over(const char *text) {
        char *own = definition_import_domain(&import, text, "machine.xml", &error);

        g_assert_no_error(error);
        return own;
}

#define HAS(text, part)     g_assert_nonnull(strstr(text, part))
#define HAS_NOT(text, part) g_assert_null(strstr(text, part))

static void what_is_usual_is_taken_over(void) {
        static const char *const parts[] = {"<description>Some &lt;notes&gt;</description>",
                        "http://debian.org/debian/12", "name=\"Before the update\"",
                        "<virtask-images:made path=\"/images/copy/vda.qcow2\"/>",
                        "machine=\"pc-q35-7.2\">hvm", "<loader secure=\"yes\"/>", "secure-boot",
                        "<spinlocks state=\"on\" retries=\"8191\"/>", "<cpu mode=\"host-model\"",
                        "<timer name=\"hpet\" present=\"no\"/>",
                        "<source file=\"/images/copy/vda.qcow2\"/>", "discard=\"unmap\"",
                        "slot=\"0x00\"", "port=\"0x10\"", "<source network=\"default\"/>",
                        "<source bridge=\"br0\"/>", "<serial type=\"pty\">",
                        "name=\"org.qemu.guest_agent.0\"/>", "<tpm model=\"tpm-crb\">",
                        "version=\"2.0\"", "vgamem=\"16384\"", "/dev/urandom",
                        "<name>copy &lt;&amp;&gt;</name>", "<access mode=\"shared\"/>"};
        g_autofree char *own = NULL;

        begin();
        own = take_over(usual);
        for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++)
                if (!strstr(own, parts[i]))
                        g_error("no %s in %s", parts[i], own);
        end();
}

/* Whatever names something of the host that it comes from. */
static void what_is_of_another_host_is_left_out(void) {
        static const char *const parts[] = {UUID, "/tmp/evil", "/etc/", "/srv/x", "/run/",
                        "/dev/sr0", "vnet0", "virbr0", "alias", "cputune", "partition", "seclabel",
                        "secret", "0.0.0.0", "/var/", "collection", "backingStore", "iotune",
                        "cpuset", "append", "/dev/pts"};
        g_autofree char *own = NULL;

        begin();
        import.new_identifier = true;
        own = take_over(usual);
        for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++)
                if (strstr(own, parts[i]))
                        g_error("%s in %s", parts[i], own);
        HAS(own, "address=\"127.0.0.1\"");
        HAS(own, "<audio id=\"1\" type=\"none\"/>");
        end();
}

static void who_imports_is_told_what_is_left_out(void) {
        static const char *const paths[] = {"domain/cputune", "domain/devices/disk/iotune",
                        "domain/devices/serial/file", "domain/devices/serial/log",
                        "domain/devices/graphics/passwd", "domain/devices/audio/file",
                        "domain/devices/interface/bandwidth", "domain/devices/disk/source",
                        "domain/vcpu/cpuset"};
        g_autofree char *own = NULL;

        begin();
        own = take_over(usual);
        for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++)
                if (!g_hash_table_contains(import.left_out, paths[i]))
                        g_error("%s", paths[i]);
        g_assert_cmpuint(g_hash_table_size(import.left_out), ==, G_N_ELEMENTS(paths));
        end();
}

static void a_new_identifier_brings_other_addresses(void) {
        g_autofree char *first = NULL, *second = NULL;

        begin();
        first = take_over(usual);
        HAS(first, "52:54:00:aa:bb:cc");
        import.new_identifier = true;
        g_free(first);
        first = take_over(usual);
        second = take_over(usual);
        HAS_NOT(first, "52:54:00:aa:bb:cc");
        HAS_NOT(first, "52:54:00:aa:bb:cd");
        g_assert_cmpstr(first, ==, second); /* all definitions of a machine fit */
        end();
}

static void what_was_taken_over_is_taken_over_again(void) {
        g_autofree char *first = NULL, *second = NULL, *moved = NULL;
        g_auto(GStrv) parts = NULL;

        begin();
        first = take_over(usual);
        parts = g_strsplit(first, "/images/copy/", -1);
        moved = g_strjoinv("/else/disks/", parts);
        second = take_over(moved);
        g_assert_cmpstr(first, ==, second);
        end();
}

/* The same with a device more, or in the place of something. */

typedef struct Hostile {
        const char *name, *old, *new, *word;
} Hostile;

#define DEVICE(name, text, word)                                                                   \
        { name, "<input type='tablet'", text "<input type='tablet'", word }
#define ELEMENT(name, text, word)                                                                  \
        { name, "  <devices>\n", text "<devices>", word }
#define IN_DISK(name, text, word)                                                                  \
        { name, "<target dev='vda'", text "<target dev='vda'", word }

/* clang-format off */
static const Hostile hostile[] = {
        ELEMENT("command line", "<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><q:arg value='-x'/></q:commandline>", "commandline"),
        ELEMENT("command line without a namespace", "<commandline/>", "commandline"),
        {"domain in a namespace", "<domain type='kvm'>", "<domain type='kvm' xmlns='urn:x'>", "domain"},
        {"attribute in a namespace", "<memory unit='KiB'>", "<memory xmlns:x='urn:x' x:unit='KiB'>", "unit"},
        {"kernel", "<boot dev='hd'/>", "<kernel>/etc/shadow</kernel>", "domain/os/kernel"},
        {"initrd", "<boot dev='hd'/>", "<initrd>/etc/shadow</initrd>", "domain/os/initrd"},
        {"device tree", "<boot dev='hd'/>", "<dtb>/etc/shadow</dtb>", "domain/os/dtb"},
        {"ACPI table", "<boot dev='hd'/>", "<acpi><table type='slic'>/etc/shadow</table></acpi>", "domain/os/acpi"},
        {"firmware by path", "<loader secure='yes'/>", "<loader type='rom'>/etc/shadow</loader>", "loader"},
        {"firmware without a type", "<loader secure='yes'/>", "<loader>/etc/shadow</loader>", "loader"},
        {"another kind of guest", ">hvm<", ">exe<", "domain/os/type"},
        {"init of a container", "<boot dev='hd'/>", "<init>/bin/sh</init>", "domain/os/init"},
        {"another hypervisor", "<domain type='kvm'>", "<domain type='lxc'>", "type"},
        {"core dump", "<on_crash>destroy", "<on_crash>coredump-destroy", "on_crash"},
        ELEMENT("launch security", "<launchSecurity type='sev'/>", "launchSecurity"),
        ELEMENT("identity map", "<idmap><uid start='0' target='0' count='1'/></idmap>", "idmap"),
        ELEMENT("file-backed memory", "<memoryBacking><source type='file'/></memoryBacking>", "memoryBacking"),
        {"memory in a file", "<source type='memfd'/>", "<source type='file'/>", "memoryBacking/source/@type"},
        {"fw_cfg file", "<sysinfo type='smbios'>", "<sysinfo type='fwcfg'>", "sysinfo/@type"},
        {"entry of a file", "<entry name='manufacturer'>", "<entry name='x' file='/etc/shadow'>", "file"},
        {"metadata of another", "<metadata>", "<metadata><x xmlns='urn:x'/>", "domain/metadata/x"},
        {"more in our metadata", "<v:notes>", "<v:evil/><v:notes>", "evil"},
        {"placement", "placement='static'", "placement='auto'", "placement"},
        {"memory out of range", "<memory unit='KiB'>2097152", "<memory unit='KiB'>99999999999999999999", "domain/memory"},
        {"negative memory", "<memory unit='KiB'>2097152", "<memory unit='KiB'>-1", "domain/memory"},
        {"memory in hexadecimal", "<memory unit='KiB'>2097152", "<memory unit='KiB'>0x200000", "domain/memory"},
        {"processors that are no number", "cpuset='0-1'>2<", "cpuset='0-1'>two<", "domain/vcpu"},
        {"feature that is not known", "<acpi/>", "<acpi/><evil state='on'/>", "features/evil"},
        {"state that is not known", "<vmport state='off'/>", "<vmport state='maybe'/>", "vmport/@state"},
        {"text where there is none", "<acpi/>", "<acpi/>text", "features"},
        {"name twice", "<name>web</name>", "<name>web</name><name>web</name>", "twice"},
        {"UUID twice", "</uuid>\n", "</uuid><uuid>" UUID "</uuid>", "twice"},
        {"no name", "<name>web</name>", "", "complete"},
        {"UUID that is none", "<uuid>" UUID, "<uuid>x", "domain/uuid"},
        {"control character in a text", "<title>A title", "<title>A&#x85;title", "domain/title"},
        {"instruction", "<acpi/>", "<?xml-stylesheet href='/etc/shadow'?><acpi/>", "instruction"},
        {"inclusion", "<acpi/>", "<x:include xmlns:x='http://www.w3.org/2001/XInclude' href='/etc/shadow' parse='text'/>", "include"},
        {"entity that nobody knows", "<title>A title", "<title>&evil;", "well-formed"},
        DEVICE("host device", "<hostdev mode='subsystem' type='pci'/>", "devices/hostdev"),
        DEVICE("shared directory", "<filesystem type='mount'><source dir='/'/></filesystem>", "devices/filesystem"),
        DEVICE("shared memory", "<shmem name='x'/>", "devices/shmem"),
        DEVICE("smart card", "<smartcard mode='host'/>", "devices/smartcard"),
        DEVICE("socket between hosts", "<vsock model='virtio'><cid auto='yes'/></vsock>", "devices/vsock"),
        DEVICE("lease", "<lease><lockspace>x</lockspace></lease>", "devices/lease"),
        DEVICE("memory in a host file", "<memory model='nvdimm'><source><path>/etc/shadow</path></source></memory>", "devices/memory"),
        DEVICE("host input", "<input type='evdev'><source dev='/dev/input/event1'/></input>", "input/@type"),
        DEVICE("input of the host", "<input type='passthrough' bus='virtio'><source evdev='/dev/input/event1'/></input>", "input"),
        DEVICE("redirected device", "<redirdev bus='usb' type='tcp'><source mode='connect' host='x' service='1'/></redirdev>", "redirdev/@type"),
        DEVICE("channel of a file", "<channel type='file'><source path='/etc/x'/><target type='virtio'/></channel>", "channel/@type"),
        DEVICE("channel to the network", "<channel type='tcp'><target type='virtio'/></channel>", "channel/@type"),
        DEVICE("channel of the user network", "<channel type='unix'><target type='guestfwd' address='10.0.2.1' port='1'/></channel>", "channel/target"),
        DEVICE("display on a socket", "<graphics type='vnc' socket='/etc/x'/>", "graphics/@socket"),
        DEVICE("display that listens on a socket", "<graphics type='spice'><listen type='socket' socket='/etc/x'/></graphics>", "graphics/listen/@type"),
        DEVICE("display of the host", "<graphics type='sdl' display=':0'/>", "graphics/@type"),
        DEVICE("display with a GPU", "<graphics type='spice'><gl enable='yes' rendernode='/dev/dri/x'/></graphics>", "gl/@enable"),
        DEVICE("video with a GPU", "<video><model type='virtio'><acceleration rendernode='/dev/x'/></model></video>", "rendernode"),
        {"another source of randomness", "model='random'>/dev/urandom", "model='random'>/etc/shadow", "rng/backend"},
        {"randomness of a socket", "<backend model='random'>/dev/urandom", "<backend model='egd' type='tcp'>", "rng/backend"},
        {"TPM of the host", "<backend type='emulator' version='2.0'/>", "<backend type='passthrough'/>", "tpm/backend/@type"},
        {"TPM with a device", "<backend type='emulator' version='2.0'/>", "<backend type='emulator'><device path='/dev/tpm0'/></backend>", "tpm/backend/device"},
        {"sound in a file", "<audio id='1' type='file'/>", "<audio id='1' type='file' path='/etc/x'/>", "audio/@path"},
        {"watchdog that dumps", "action='reset'", "action='dump'", "watchdog/@action"},
        {"network of a script", "<interface type='bridge'>", "<interface type='bridge'><script path='/etc/x'/>", "interface/script"},
        {"network of the host", "<interface type='bridge'>", "<interface type='direct'>", "interface/@type"},
        {"network of a socket", "<interface type='bridge'>", "<interface type='vhostuser'>", "interface/@type"},
        {"network of a device", "<interface type='bridge'>", "<interface type='hostdev'>", "interface/@type"},
        {"network without a name", "<source network='default' portid='x y' bridge='virbr0'/>", "", "interface"},
        {"network with a path as its name", "network='default'", "network='../x'", "source/@network"},
        {"bridge with a space", "bridge='br0'", "bridge='br0 x'", "source/@bridge"},
        {"ROM of a network card", "<source bridge='br0'/>", "<source bridge='br0'/><rom file='/etc/shadow'/>", "rom/@file"},
        {"backend of a network", "<source bridge='br0'/>", "<source bridge='br0'/><backend tap='/dev/x'/>", "interface/backend"},
        {"no MAC address", "<mac address='52:54:00:aa:bb:cd'/>", "<mac address='52:54:00:aa:bb'/>", "mac/@address"},
        {"disk of a device", "<disk type='file' device='disk'>", "<disk type='block' device='disk'>", "disk/@type"},
        {"disk of the network", "<disk type='file' device='disk'>", "<disk type='network' device='disk'>", "disk/@type"},
        {"disk of a pool", "<disk type='file' device='disk'>", "<disk type='volume' device='disk'>", "disk/@type"},
        {"disk of a directory", "<disk type='file' device='disk'>", "<disk type='dir' device='disk'>", "disk/@type"},
        {"SCSI device", "device='disk'", "device='lun'", "disk/@device"},
        {"disk with raw commands", "device='disk'>", "device='disk' rawio='yes'>", "disk/@rawio"},
        {"image of the host", "/srv/x/disks/vda.qcow2' index", "/etc/shadow' index", "not in the bundle"},
        {"image that is not there", "/srv/x/disks/vda.qcow2' index", "/srv/x/disks/vdz.qcow2' index", "not in the bundle"},
        {"image beside", "/srv/x/disks/vda.qcow2' index", "/srv/x/disks/../vda.qcow2' index", "not in the bundle"},
        {"image of another format", "type='qcow2' discard", "type='vmdk' discard", "driver/@type"},
        {"another driver", "<driver name='qemu' type='qcow2'", "<driver name='tap' type='qcow2'", "driver/@name"},
        {"image in an image", "<source file='/srv/x/disks/vda.qcow2' index='1'/>", "<source file='/srv/x/disks/vda.qcow2'><slices><slice type='storage' offset='0' "
                              "size='1'/></slices></source>", "slices"},
        {"reservations", "<source file='/srv/x/disks/vda.qcow2' index='1'/>", "<source file='/srv/x/disks/vda.qcow2'><reservations managed='no'/></source>",
                         "reservations"},
        IN_DISK("mirror", "<mirror type='file' file='/etc/x'/>", "disk/mirror"),
        IN_DISK("encryption", "<encryption format='luks'/>", "disk/encryption"),
        IN_DISK("login", "<auth username='x'/>", "disk/auth"),
        IN_DISK("transient", "<transient/>", "disk/transient"),
        IN_DISK("shareable", "<shareable/>", "disk/shareable"),
        {"disk with a path as its target", "<target dev='vda'", "<target dev='../vda'", "target/@dev"},
        {"image for two disks", "<disk type='block' device='cdrom'><driver name='qemu' type='raw'/><source dev='/dev/sr0'/>",
                                "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/y/disks/vda.qcow2'/>", "another disk"},
        {"address that is no number", "slot='0x00'", "slot='0xzz'", "address/@slot"},
        {"controller that is not known", "<controller type='usb'", "<controller type='xenbus'", "controller/@type"},
        {"code of a driver", "model='qemu-xhci'", "model='qemu-xhci,x=y /etc'", "controller/@model"},
};
/* clang-format on */

static void assert_refused(const char *text, const char *name, const char *word) {
        g_autofree char *own = NULL;

        begin();
        own = definition_import_domain(&import, text, "machine.xml", &error);
        if (own || !strstr(error->message, word))
                g_error("%s: %s", name, own ?: error->message);
        assert_error(error, INVALID_BUNDLE);
        end();
}

static void what_is_not_known_is_refused_by_name(void) {
        g_assert_cmpuint(G_N_ELEMENTS(hostile), >=, 60);
        for (unsigned i = 0; i < G_N_ELEMENTS(hostile); i++) {
                g_autofree char *text = with(hostile[i].old, hostile[i].new);

                assert_refused(text, hostile[i].name, hostile[i].word);
        }
}

/* Documents as such */

static void an_entity_bomb_is_refused_before_it_is_parsed(void) {
        static const char bomb[] =
                        "<?xml version='1.0'?><!DOCTYPE domain [<!ENTITY a 'aaaaaaaaaaaaaaaaaaaa'>"
                        "<!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
                        "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'>]>"
                        "<domain type='&c;'><name>&c;</name></domain>";

        assert_refused(bomb, "bomb", "document type");
        assert_refused("<!DOCTYPE domain SYSTEM 'file:///etc/shadow'><domain/>", "outside",
                        "document type");
        assert_refused("<!DOCTYPE x [<!ENTITY % y SYSTEM 'http://192.0.2.1/'> %y;]><domain/>",
                        "parameter", "document type");
}

static void what_is_huge_or_deep_is_refused(void) {
        g_autoptr(GString) deep = g_string_new("<domain type='kvm'>");
        g_autofree char *huge = g_strnfill((2U << 20), ' ');

        for (unsigned i = 0; i < 200; i++)
                g_string_append(deep, "<metadata>");
        for (unsigned i = 0; i < 200; i++)
                g_string_append(deep, "</metadata>");
        g_string_append(deep, "</domain>");
        assert_refused(deep->str, "deep", "too deep");
        g_string_truncate(deep, 0);
        for (unsigned i = 0; i < 200000; i++)
                g_string_append(deep, "<a>");
        assert_refused(deep->str, "deeper", "well-formed");
        assert_refused(huge, "huge", "longer than 1 MiB");
}

static void what_is_no_definition_is_refused(void) {
        assert_refused("", "empty", "well-formed");
        assert_refused("text", "text", "well-formed");
        assert_refused("<domain type='kvm'>", "half", "well-formed");
        assert_refused("<network/>", "network", "network");
        assert_refused("<domain type='kvm'/>", "nothing in it", "complete");
        assert_refused("<domain/><domain/>", "two", "well-formed");
        assert_refused("<domain type='kvm'><name>\xff</name></domain>", "no text", "well-formed");
}

/* Some bytes are others, or are gone: it is refused or taken over, and nothing else happens. */
static void noise_is_survived(void) {
        static const char letters[] = "<>/='\"&;:! x0\n\xff";

        for (unsigned i = 0; i < 3000; i++) {
                g_autofree char *text = g_strdup(usual), *own = NULL;
                unsigned length = (unsigned) strlen(text);
                unsigned at = (unsigned) g_test_rand_int_range(0, (int) length - 100);
                unsigned n = (unsigned) g_test_rand_int_range(0, 50);

                if (i % 2)
                        memmove(text + at, text + at + n, length - at - n + 1);
                else
                        text[at] = letters[g_test_rand_int_range(0, sizeof(letters) - 1)];
                begin();
                own = definition_import_domain(&import, text, "machine.xml", &error);
                g_assert_true(own || g_error_matches(error, VIRTASK_ERROR,
                                                     VIRTASK_ERROR_INVALID_BUNDLE));
                end();
        }
}

static void an_image_has_one_format(void) {
        begin();
        g_assert_true(definition_import_image(&import, "disks/vdb.raw", "raw", &error));
        g_assert_true(definition_import_image(&import, "disks/vdb.raw", "raw", &error));
        g_assert_false(definition_import_image(&import, "disks/vdb.raw", "qcow2", &error));
        assert_error(error, INVALID_BUNDLE);
        g_clear_error(&error);
        g_assert_false(definition_import_image(&import, "disks/vdc.raw", "raw", &error));
        assert_error(error, INVALID_BUNDLE);
        end();
}

/* Saved states name files of the host that they are from. */

static void a_saved_state_has_its_disks_by_target(void) {
        g_autoptr(GHashTable) by_target = g_hash_table_new(g_str_hash, g_str_equal);
        g_autofree char *own = NULL;

        begin();
        import.by_target = by_target;
        g_assert_null(definition_import_domain(&import, usual, "saved", &error));
        g_assert_nonnull(strstr(error->message, "not in the bundle"));
        g_clear_error(&error);
        g_hash_table_insert(by_target, (char *) "vda", (char *) "disks/vda.qcow2");
        own = take_over(usual);
        HAS(own, "<source file=\"/images/copy/vda.qcow2\"/>");
        end();
}

static void a_saved_state_has_firmware_that_is_offered(void) {
        g_autoptr(GHashTable) firmwares = g_hash_table_new(g_str_hash, g_str_equal);
        g_autofree char *text = with("<loader secure='yes'/>",
                        "<loader readonly='yes' secure='yes' type='pflash'>/usr/share/fw</loader>");
        g_autofree char *own = NULL;

        begin();
        own = take_over(text); /* one that boots chooses anew */
        HAS(own, "<os firmware=\"efi\">");
        HAS_NOT(own, "/usr/share/fw");
        g_clear_pointer(&own, g_free);
        import.firmwares = firmwares;
        import.variables = "/lib/copy_VARS.fd";
        g_assert_null(definition_import_domain(&import, text, "saved", &error));
        g_assert_nonnull(strstr(error->message, "firmware"));
        g_clear_error(&error);
        g_hash_table_add(firmwares, (char *) "/usr/share/fw");
        own = take_over(text);
        HAS(own, "<loader readonly=\"yes\" type=\"pflash\" secure=\"yes\">/usr/share/fw</loader>");
        HAS(own, "<nvram>/lib/copy_VARS.fd</nvram>");
        HAS_NOT(own, "firmware=\"efi\"");
        end();
}

/* Snapshots */

#define SNAPSHOT_HEAD                                                                              \
        "<domainsnapshot><name>s1</name><state>running</state><creationTime>5</creationTime>"      \
        "<parent><name>s0</name></parent>"
#define SNAPSHOT_DISKS                                                                             \
        "<memory snapshot='external' file='/srv/x/snapshots/1.memory'/>"                           \
        "<disks><disk name='vda' snapshot='external' type='file'><driver type='qcow2'/>"           \
        "<source file='/srv/x/disks/vda.qcow2'/></disk><disk name='vdb' snapshot='external' "      \
        "type='file'><driver type='qcow2'/><source file='/srv/else/x'/></disk></disks>"
#define MACHINE                                                                                    \
        "<name>web</name><uuid>" UUID "</uuid><memory>1</memory><os><type>hvm</type></os>"         \
        "<devices><disk type='file'><source file='/srv/x/disks/vdb.raw'/><target dev='vda'/>"      \
        "</disk></devices>"
#define SNAPSHOT                                                                                   \
        SNAPSHOT_HEAD SNAPSHOT_DISKS "<domain type='qemu'>" MACHINE                                \
                                     "</domain><inactiveDomain type='qemu'>" MACHINE               \
                                     "</inactiveDomain><cookie><cpu "                              \
                                     "mode='custom'><model>qemu64</model></cpu></cookie>"          \
                                     "</domainsnapshot>"

static void a_snapshot_is_taken_over(void) {
        g_autofree char *own = NULL, *id = NULL;

        begin();
        own = definition_import_snapshot(
                        &import, SNAPSHOT, "1.xml", "/save/x.s1.memory", &id, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(id, ==, "s1");
        HAS(own, "<memory snapshot=\"external\" file=\"/save/x.s1.memory\"/>");
        HAS(own, "<source file=\"/images/copy/vda.qcow2\"/>");
        HAS(own, "<source file=\"/images/copy/vdb.raw\"/>");
        HAS_NOT(own, "/srv/");
        HAS_NOT(own, UUID);
        HAS(own, "<inactiveDomain type=\"qemu\">");
        g_clear_pointer(&own, g_free);
        g_clear_pointer(&id, g_free);
        own = definition_import_snapshot(&import, SNAPSHOT, "1.xml", NULL, &id, &error);
        HAS(own, "<memory snapshot=\"no\"/>");
        end();
}

static void assert_snapshot_refused(const char *old, const char *new, const char *word) {
        g_auto(GStrv) parts = g_strsplit(SNAPSHOT, old, 2);
        g_autofree char *text = g_strjoinv(new, parts), *id = NULL, *own = NULL;

        g_assert_cmpuint(g_strv_length(parts), ==, 2);
        begin();
        own = definition_import_snapshot(&import, text, "1.xml", NULL, &id, &error);
        if (own || !strstr(error->message, word))
                g_error("%s: %s", new, own ?: error->message);
        assert_error(error, INVALID_BUNDLE);
        end();
}

static void a_snapshot_that_is_not_right_is_refused(void) {
        assert_snapshot_refused("<name>s1</name>", "<name>../s1</name>", "name");
        assert_snapshot_refused("<name>s1</name>", "<name>..</name>", "complete");
        assert_snapshot_refused("<name>s1</name>", "", "complete");
        assert_snapshot_refused("<state>running", "<state>flying", "state");
        assert_snapshot_refused("<creationTime>5", "<creationTime>-5", "creationTime");
        assert_snapshot_refused(
                        "<creationTime>5", "<creationTime>99999999999999999999", "creationTime");
        assert_snapshot_refused("<name>s0</name>", "<name>a/b</name>", "parent/name");
        assert_snapshot_refused("snapshot='external' type='file'",
                        "snapshot='external' type='block'", "disk/@type");
        assert_snapshot_refused("<disks>", "<redefine/><disks>", "redefine");
        assert_snapshot_refused("<devices>", "<devices><hostdev/>", "hostdev");
        assert_snapshot_refused("</cookie>", "<evil/></cookie>", "cookie/evil");
        assert_snapshot_refused("<inactiveDomain type='qemu'>", "<inactiveDomain type='xen'>",
                        "inactiveDomain/@type");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(what_is_usual_is_taken_over);
        ADD(what_is_of_another_host_is_left_out);
        ADD(who_imports_is_told_what_is_left_out);
        ADD(a_new_identifier_brings_other_addresses);
        ADD(what_was_taken_over_is_taken_over_again);
        ADD(what_is_not_known_is_refused_by_name);
        ADD(an_entity_bomb_is_refused_before_it_is_parsed);
        ADD(what_is_huge_or_deep_is_refused);
        ADD(what_is_no_definition_is_refused);
        ADD(noise_is_survived);
        ADD(an_image_has_one_format);
        ADD(a_saved_state_has_its_disks_by_target);
        ADD(a_saved_state_has_firmware_that_is_offered);
        ADD(a_snapshot_is_taken_over);
        ADD(a_snapshot_that_is_not_right_is_refused);
        return g_test_run();
}
