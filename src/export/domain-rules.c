/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The elements of libvirt's domain format (9.0) that describe a guest and name nothing of the host
 * but networks, bridges and the kind of a device. What is missing here is refused: host devices,
 * shared directories, sockets, kernels, command lines, and whatever is invented after this was
 * written. What is only about how the host runs the guest (pinning, quotas) is left out and told
 * of. */

#include "export/domain-rules.h"

#define END                                                                                        \
        { .name = NULL }

/* clang-format off */

/* What many devices have */

#define ADDRESS "type=pci|drive|virtio-serial|usb|isa|ccid|virtio-mmio|dimm|unassigned " \
                "domain=number bus=number slot=number function=number multifunction=bool " \
                "controller=number target=number unit=number port=word iobase=number irq=number " \
                "base=number reg=number"
#define COMMON \
        {"address", ADDRESS}, \
        {"alias",   .flags = RULE_DROP}, \
        {"acpi",    "index=number"}, \
        {"boot",    "order=number loadparm=word"}, \
        {"rom",     "bar=bool enabled=bool"}
#define VIRTIO  "iommu=bool ats=bool packed=bool page_per_vq=bool"

static const Rule device[] = {COMMON, END};
static const Rule driver_only[] = {COMMON, {"driver", VIRTIO " name=word"}, END};

/* The machine as such */

static const Rule snapshot_notes[] = {{"notes", .text = "text"}, END};
static const Rule snapshots[] = {
        {"snapshot", "id=word name=text type=size consistency=size collection=-", .children = snapshot_notes, .flags = RULE_MANY},
        END
};
static const Rule images[] = {
        {"hidden", "path=-", .flags = RULE_MANY, .hook = import_noted_image},
        {"made",   "path=-", .flags = RULE_MANY, .hook = import_noted_image},
        END
};
static const Rule libosinfo[] = {{"os", "id=text"}, END};
static const Rule metadata[] = {
        {"snapshots", .children = snapshots, .space = "https://virtask.org/snapshots/1",            .prefix = "virtask"},
        {"images",    .children = images,    .space = "https://virtask.org/images/1",               .prefix = "virtask-images"},
        {"undo",      .flags = RULE_DROP,    .space = "https://virtask.org/undo/1",                 .prefix = "virtask-undo"},
        {"libosinfo", .children = libosinfo, .space = "http://libosinfo.org/xmlns/libvirt/domain/1.0", .prefix = "libosinfo"},
        END
};

static const Rule pages[] = {{"page", "size=size unit=word nodeset=word", .flags = RULE_MANY}, END};
static const Rule memory_backing[] = {
        {"hugepages",    .children = pages},
        {"nosharepages"},
        {"locked",       .flags = RULE_DROP | RULE_TELL},
        {"source",       "type=anonymous|memfd"},
        {"access",       "mode=shared|private"},
        {"allocation",   "mode=immediate|ondemand threads=size"},
        {"discard"},
        END
};
static const Rule vcpus[] = {{"vcpu", "id=size enabled=bool hotpluggable=bool order=size", .flags = RULE_MANY}, END};
static const Rule iothread_ids[] = {{"iothread", "id=size thread_pool_min=size thread_pool_max=size", .flags = RULE_MANY}, END};

static const Rule entries[] = {
        {"entry", "name=word", "text", .flags = RULE_MANY, .hook = import_sysinfo_entry},
        END
};
static const Rule strings[] = {{"entry", NULL, "text", .flags = RULE_MANY}, END};
static const Rule sysinfo[] = {
        {"bios",       .children = entries},
        {"system",     .children = entries},
        {"baseBoard",  .children = entries, .flags = RULE_MANY},
        {"chassis",    .children = entries},
        {"oemStrings", .children = strings},
        END
};

static const Rule firmware[] = {{"feature", "enabled=bool name=word", .flags = RULE_MANY}, END};
static const Rule os[] = {
        {"type",     "arch=word machine=word", "=hvm"},
        {"firmware", .children = firmware},
        {"loader",   .flags = RULE_DROP}, /* the hook looks at it */
        {"nvram",    .flags = RULE_DROP},
        {"boot",     "dev=hd|cdrom|network|fd", .flags = RULE_MANY},
        {"bootmenu", "enable=bool timeout=size"},
        {"smbios",   "mode=emulate|sysinfo"},
        {"bios",     "useserial=bool rebootTimeout=number"},
        END
};

static const Rule tseg[] = {{"tseg", "unit=word", "size"}, END};
static const Rule stimer[] = {{"direct", "state=bool"}, END};
static const Rule hyperv[] = {
        {"relaxed",         "state=bool"},
        {"vapic",           "state=bool"},
        {"spinlocks",       "state=bool retries=size"},
        {"vpindex",         "state=bool"},
        {"runtime",         "state=bool"},
        {"synic",           "state=bool"},
        {"stimer",          "state=bool", .children = stimer},
        {"reset",           "state=bool"},
        {"vendor_id",       "state=bool value=text"},
        {"frequencies",     "state=bool"},
        {"reenlightenment", "state=bool"},
        {"tlbflush",        "state=bool"},
        {"ipi",             "state=bool"},
        {"evmcs",           "state=bool"},
        {"avic",            "state=bool"},
        END
};
static const Rule kvm[] = {
        {"hidden",         "state=bool"},
        {"hint-dedicated", "state=bool"},
        {"poll-control",   "state=bool"},
        {"pv-ipi",         "state=bool"},
        {"dirty-ring",     "state=bool size=size"},
        END
};
static const Rule features[] = {
        {"acpi"},
        {"apic",       "eoi=bool"},
        {"pae"},
        {"hap",        "state=bool"},
        {"viridian"},
        {"privnet"},
        {"vmport",     "state=bool"},
        {"smm",        "state=bool", .children = tseg},
        {"pmu",        "state=bool"},
        {"pvspinlock", "state=bool"},
        {"vmcoreinfo", "state=bool"},
        {"ioapic",     "driver=kvm|qemu"},
        {"gic",        "version=word"},
        {"hyperv",     "mode=custom|passthrough", .children = hyperv},
        {"kvm",        .children = kvm},
        END
};

static const Rule siblings[] = {{"sibling", "id=size value=size", .flags = RULE_MANY}, END};
static const Rule cell[] = {{"distances", .children = siblings}, END};
static const Rule numa[] = {
        {"cell", "id=size cpus=word memory=size unit=word memAccess=shared|private discard=bool", .children = cell, .flags = RULE_MANY},
        END
};
static const Rule cpu[] = {
        {"model",       "fallback=allow|forbid vendor_id=text", "word"},
        {"vendor",      NULL, "word"},
        {"topology",    "sockets=size dies=size cores=size threads=size"},
        {"cache",       "level=size mode=emulate|passthrough|disable"},
        {"maxphysaddr", "mode=emulate|passthrough bits=size limit=size"},
        {"feature",     "policy=force|require|optional|disable|forbid name=word", .flags = RULE_MANY},
        {"numa",        .children = numa},
        END
};
#define CPU {"cpu", "mode=custom|host-model|host-passthrough|maximum match=minimum|exact|strict check=none|partial|full migratable=bool", .children = cpu}

static const Rule catchup[] = {{"catchup", "threshold=size slew=size limit=size"}, END};
static const Rule timers[] = {
        {"timer", "name=word tickpolicy=delay|catchup|merge|discard track=boot|guest|wall|realtime present=bool mode=auto|native|emulate|paravirt|smpsafe "
                  "frequency=size", .children = catchup, .flags = RULE_MANY},
        END
};
static const Rule pm[] = {{"suspend-to-mem", "enabled=bool"}, {"suspend-to-disk", "enabled=bool"}, END};

/* Devices */

static const Rule disk[] = {
        {"driver",       "name==qemu type=raw|qcow2 cache=word io=threads|native|io_uring error_policy=stop|report|ignore|enospace "
                         "rerror_policy=stop|report|ignore ioeventfd=bool event_idx=bool copy_on_read=bool discard=unmap|ignore "
                         "detect_zeroes=off|on|unmap iothread=size queues=size queue_size=size " VIRTIO},
        {"source",       .flags = RULE_DROP}, /* the hook makes it */
        {"backingStore", .flags = RULE_DROP}, /* libvirt reads it from the images */
        {"target",       "dev=word bus=ide|sata|scsi|virtio|usb|fdc|sd tray=open|closed removable=bool rotation_rate=size"},
        {"iotune",       .flags = RULE_DROP | RULE_TELL},
        {"readonly"},
        {"serial",       NULL, "text"},
        {"wwn",          NULL, "word"},
        {"vendor",       NULL, "text"},
        {"product",      NULL, "text"},
        {"geometry",     "cyls=size heads=size secs=size trans=word"},
        {"blockio",      "logical_block_size=size physical_block_size=size discard_granularity=size"},
        COMMON, END
};

static const Rule controller[] = {
        {"model",  "name=word"},
        {"target", "chassisNr=number chassis=number port=number busNr=number index=number hotplug=bool"},
        {"master", "startport=size"},
        {"driver", "queues=size cmd_per_lun=size max_sectors=size ioeventfd=bool iothread=size " VIRTIO},
        {"pcihole64", "unit=word", "size"},
        COMMON, END
};

static const Rule offloads[] = {
        {"host",  "csum=bool gso=bool tso4=bool tso6=bool ecn=bool ufo=bool mrg_rxbuf=bool"},
        {"guest", "csum=bool tso4=bool tso6=bool ecn=bool ufo=bool"},
        END
};
static const Rule interface[] = {
        {"mac",       "address=mac type=word check=-", .hook = import_mac},
        {"source",    "network=word portgroup=word bridge=word portid=- dev=-"}, /* and what the hook says */
        {"target",    .flags = RULE_DROP}, /* libvirt names it anew */
        {"model",     "type=word"},
        {"driver",    "name=qemu|vhost txmode=iothread|timer ioeventfd=bool event_idx=bool queues=size rx_queue_size=size tx_queue_size=size " VIRTIO,
                      .children = offloads},
        {"mtu",       "size=size"},
        {"link",      "state=up|down"},
        {"bandwidth", .flags = RULE_DROP | RULE_TELL},
        COMMON, END
};

/* Serial lines and consoles: who is at the other end is said by the hook. */
static const Rule line_target[] = {{"model", "name=word"}, END};
static const Rule line[] = {
        {"source",   .flags = RULE_DROP},
        {"protocol", .flags = RULE_DROP},
        {"log",      .flags = RULE_DROP | RULE_TELL},
        {"target",   "type=word port=number", .children = line_target},
        COMMON, END
};
static const Rule channel[] = {
        {"source", .flags = RULE_DROP}, /* libvirt chooses the socket */
        {"target", "type==virtio name=word state=-"},
        COMMON, END
};
static const Rule redirection[] = {{"source", .flags = RULE_DROP}, COMMON, END};

static const Rule graphics[] = {
        {"listen",       "type=address|none address=ip"},
        {"image",        "compression=word"},
        {"jpeg",         "compression=word"},
        {"zlib",         "compression=word"},
        {"playback",     "compression=bool"},
        {"streaming",    "mode=filter|all|off"},
        {"clipboard",    "copypaste=bool"},
        {"mouse",        "mode=server|client"},
        {"filetransfer", "enable=bool"},
        {"channel",      "name=word mode=any|secure|insecure", .flags = RULE_MANY},
        {"gl",           "enable==no rendernode=-"},
        COMMON, END
};
static const Rule acceleration[] = {
        {"acceleration", "accel3d=bool accel2d=bool"},
        {"resolution",   "x=size y=size"},
        END
};
static const Rule audio[] = {{"input", .flags = RULE_DROP}, {"output", .flags = RULE_DROP}, END};
static const Rule video[] = {
        {"model",  "type=word ram=size vram=size vram64=size vgamem=size heads=size primary=bool blob=bool", .children = acceleration},
        {"driver", "name==qemu vgaconf=io|on|off " VIRTIO},
        COMMON, END
};
static const Rule sound[] = {
        {"codec", "type=duplex|micro|output", .flags = RULE_MANY},
        {"audio", "id=size"},
        COMMON, END
};
static const Rule input[] = {{"driver", VIRTIO}, COMMON, END};
static const Rule balloon[] = {{"stats", "period=size"}, {"driver", VIRTIO}, COMMON, END};
static const Rule rng[] = {
        {"rate",    "bytes=size period=size"},
        {"backend", "model=random|builtin", "/dev/urandom|/dev/random"},
        {"driver",  VIRTIO},
        COMMON, END
};
static const Rule banks[] = {{"sha1"}, {"sha256"}, {"sha384"}, {"sha512"}, END};
static const Rule tpm_backend[] = {{"active_pcr_banks", .children = banks}, END};
static const Rule tpm[] = {
        {"backend", "type==emulator version=1.2|2.0 persistent_state=bool", .children = tpm_backend},
        COMMON, END
};
static const Rule iommu[] = {{"driver", "intremap=bool caching_mode=bool eim=bool iotlb=bool aw_bits=size"}, COMMON, END};

static const Rule devices[] = {
        {"emulator",   .flags = RULE_DROP}, /* libvirt chooses it */
        {"disk",       "type=word device=disk|cdrom|floppy snapshot=no|internal|external|manual model=word", .children = disk,
                       .flags = RULE_MANY, .hook = import_disk},
        {"controller", "type=ide|fdc|scsi|sata|virtio-serial|ccid|usb|pci index=size model=word ports=size vectors=size", .children = controller,
                       .flags = RULE_MANY},
        {"interface",  "type=network|bridge|user", .children = interface, .flags = RULE_MANY, .hook = import_interface},
        {"serial",     "type=word", .children = line, .flags = RULE_MANY, .hook = import_line},
        {"console",    "type=word tty=-", .children = line, .flags = RULE_MANY, .hook = import_line},
        {"parallel",   "type=word", .children = line, .flags = RULE_MANY, .hook = import_line},
        {"channel",    "type=unix|spicevmc", .children = channel, .flags = RULE_MANY},
        {"redirdev",   "bus==usb type==spicevmc", .children = redirection, .flags = RULE_MANY},
        {"input",      "type=tablet|mouse|keyboard bus=ps2|usb|virtio model=word", .children = input, .flags = RULE_MANY},
        {"graphics",   "type=vnc|spice port=number tlsPort=number websocket=number autoport=bool listen=- keymap=word passwd=! passwdValidTo=- "
                       "connected=word sharePolicy=word powerControl=bool defaultMode=word", .children = graphics, .flags = RULE_MANY,
                       .hook = import_display},
        {"sound",      "model=word", .children = sound, .flags = RULE_MANY},
        {"audio",      "id=size type=word timerPeriod=size", .children = audio, .flags = RULE_MANY, .hook = import_audio},
        {"video",      .children = video, .flags = RULE_MANY},
        {"hub",        "type==usb", .children = device, .flags = RULE_MANY},
        {"watchdog",   "model=word action=reset|shutdown|poweroff|pause|none|inject-nmi", .children = device},
        {"memballoon", "model=word autodeflate=bool freePageReporting=bool", .children = balloon},
        {"rng",        "model=word", .children = rng, .flags = RULE_MANY},
        {"tpm",        "model=word", .children = tpm},
        {"panic",      "model=word", .children = device, .flags = RULE_MANY},
        {"iommu",      "model=word", .children = iommu},
        {"vmcoreinfo", .children = driver_only},
        END
};

#define LEFT_OUT .flags = RULE_DROP | RULE_TELL

static const Rule domain[] = {
        {"name",          NULL, "text", .hook = import_name},
        {"uuid",          NULL, "uuid", .hook = import_uuid},
        {"genid",         NULL, "uuid", .hook = import_genid},
        {"title",         NULL, "text"},
        {"description",   NULL, "text"},
        {"metadata",      .children = metadata},
        {"maxMemory",     "slots=size unit=word", "size"},
        {"memory",        "unit=word dumpCore=bool", "size"},
        {"currentMemory", "unit=word", "size"},
        {"memoryBacking", .children = memory_backing},
        {"vcpu",          "placement=static current=size cpuset=!", "size"},
        {"vcpus",         .children = vcpus},
        {"iothreads",     NULL, "size"},
        {"iothreadids",   .children = iothread_ids},
        {"cputune",       LEFT_OUT},
        {"memtune",       LEFT_OUT},
        {"blkiotune",     LEFT_OUT},
        {"numatune",      LEFT_OUT},
        {"resource",      .flags = RULE_DROP},
        {"seclabel",      .flags = RULE_DROP | RULE_MANY}, /* chosen anew, with the files */
        {"sysinfo",       "type==smbios", .children = sysinfo},
        {"os",            "firmware=efi|bios", .children = os, .hook = import_os},
        {"features",      .children = features},
        CPU,
        {"clock",         "offset=utc|localtime|timezone|variable adjustment=word basis=utc|localtime timezone=text start=number", .children = timers},
        {"on_poweroff",   NULL, "destroy|restart|preserve|rename-restart"},
        {"on_reboot",     NULL, "destroy|restart|preserve|rename-restart"},
        {"on_crash",      NULL, "destroy|restart|preserve|rename-restart"},
        {"on_lockfailure", NULL, "poweroff|restart|pause|ignore"},
        {"pm",            .children = pm},
        {"devices",       .children = devices},
        END
};

#define DOMAIN(element) {element, "type=kvm|qemu id=-", .children = domain, .hook = import_domain}

const Rule domain_rule = DOMAIN("domain");

/* What libvirt notes of a guest beside its definition: the processor that it saw. */

static const Rule cookie[] = {CPU, {"slirpHelper"}, END};

const Rule cookie_rule = {"cookie", .children = cookie};

/* Snapshots */

static const Rule parent[] = {{"name", NULL, "word"}, END};
static const Rule overlay[] = {
        {"driver", "type=raw|qcow2"},
        {"source", .flags = RULE_DROP}, /* the hook makes it */
        END
};
static const Rule overlays[] = {
        {"disk", "name=word snapshot=no|external|internal|manual type==file", .children = overlay, .flags = RULE_MANY, .hook = import_overlay},
        END
};
static const Rule snapshot[] = {
        {"name",           NULL, "word"},
        {"description",    NULL, "text"},
        {"state",          NULL, "running|paused|shutoff|shutdown|blocked|nostate|crashed|pmsuspended|disk-snapshot"},
        {"creationTime",   NULL, "size"},
        {"parent",         .children = parent},
        {"memory",         "snapshot=no|external|internal file=-", .hook = import_memory},
        {"disks",          .children = overlays},
        DOMAIN("domain"),
        DOMAIN("inactiveDomain"),
        {"cookie",         .children = cookie},
        {"active",         .flags = RULE_DROP},
        END
};

const Rule snapshot_rule = {"domainsnapshot", .children = snapshot};
/* clang-format on */
