/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Descriptors, put together from pieces, one of which a test leaves out or changes. */

#define NAMESPACES                                                                                 \
        "xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" "                                        \
        "xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" "                                    \
        "xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"                          \
        "CIM_ResourceAllocationSettingData\" "                                                     \
        "xmlns:vssd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"                          \
        "CIM_VirtualSystemSettingData\" "                                                          \
        "xmlns:vbox=\"http://www.virtualbox.org/ovf/machine\" "                                    \
        "xmlns:vmw=\"http://www.vmware.com/schema/ovf\""
#define FORMAT "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"

#define FIELD(name, value) "<rasd:" name ">" value "</rasd:" name ">"
#define ITEM(id, type, more)                                                                       \
        "<Item>" FIELD("InstanceID", id) FIELD("ResourceType", type) more "</Item>"
#define CPUS                       ITEM("1", "3", FIELD("VirtualQuantity", "2"))
#define UNITS                      FIELD("AllocationUnits", "byte * 2^20")
#define MEMORY                     ITEM("2", "4", UNITS FIELD("VirtualQuantity", "512"))
#define IDE                        ITEM("3", "5", "")
#define ON(parent, unit)           FIELD("Parent", parent) FIELD("AddressOnParent", unit)
#define DISK_ITEM(id, host, place) ITEM(id, "17", FIELD("HostResource", host) place)
#define ROOT_DISK                  DISK_ITEM("4", "ovf:/disk/d1", ON("3", "0"))
#define NIC                        ITEM("5", "10", FIELD("Connection", "net"))

#define FILES "<File ovf:href=\"a.vmdk\" ovf:id=\"f1\" ovf:size=\"1000\"/>"
#define DISK(more)                                                                                 \
        "<Disk ovf:capacity=\"8\" ovf:capacityAllocationUnits=\"byte * 2^30\" "                    \
        "ovf:diskId=\"d1\" ovf:fileRef=\"f1\" ovf:format=\"" FORMAT "\"" more "/>"
#define REFERENCES(files)     "<References>" files "</References>"
#define DISKS(disks)          "<DiskSection><Info/>" disks "</DiskSection>"
#define NETWORKS              "<NetworkSection><Info/><Network ovf:name=\"net\"/></NetworkSection>"
#define PACKAGE               REFERENCES(FILES) DISKS(DISK("")) NETWORKS
#define HARDWARE(items)       "<VirtualHardwareSection><Info/>" items "</VirtualHardwareSection>"
#define SYSTEM(sections)      "<VirtualSystem ovf:id=\"vm\"><Info/>" sections "</VirtualSystem>"
#define ENVELOPE(content)     "<Envelope " NAMESPACES ">" content "</Envelope>"
#define WITH_ITEMS(items)     ENVELOPE(PACKAGE SYSTEM(HARDWARE(items)))
#define ALL                   CPUS MEMORY IDE ROOT_DISK NIC
#define WITH_PACKAGE(package) ENVELOPE(package NETWORKS SYSTEM(HARDWARE(ALL)))
#define WITH_FILES(files)     WITH_PACKAGE(REFERENCES(files) DISKS(DISK("")))
#define WITH_DISKS(disks)     WITH_PACKAGE(REFERENCES(FILES) DISKS(disks))
