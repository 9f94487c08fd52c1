/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The XML of OVF: its namespaces, and reading it as somebody has written it whom we do not trust.
 */

#include <glib.h>
#include <libxml/tree.h>
#include <stdbool.h>
#include <stdint.h>

#define OVF_NAMESPACE     "http://schemas.dmtf.org/ovf/envelope/1"
#define OVF_CIM_NAMESPACE "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
#define OVF_RASD          OVF_CIM_NAMESPACE "CIM_ResourceAllocationSettingData"
#define OVF_VSSD          OVF_CIM_NAMESPACE "CIM_VirtualSystemSettingData"
#define OVF_VMWARE        "http://www.vmware.com/schema/ovf"
#define OVF_OURS          "https://virtask.org/ovf/1"

/* "ovf:/disk/ID" in an Item is the Disk of that ID, whose format is this. */
#define OVF_DISK_PREFIX "ovf:/disk/"
#define OVF_VMDK_FORMAT "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

/* INVALID_BUNDLE if it is not UTF-8, not well-formed, has a DTD, or is too large. */
xmlDoc *ovf_xml_parse(const char *text, size_t length, GError **error);

/* Sets INVALID_BUNDLE, with the line and the name of the element. Always false. */
bool ovf_xml_fail(const xmlNode *node, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The same with NOT_SUPPORTED: it may be right, but is nothing that we can make use of. */
bool ovf_xml_unsupported(const xmlNode *node, GError **error, const char *what);

/* Elements and attributes, by their name in a namespace; NULL without. */
bool ovf_xml_is(const xmlNode *node, const char *namespace, const char *name);
xmlNode *ovf_xml_child(const xmlNode *parent, const char *namespace, const char *name);
char *ovf_xml_attribute(const xmlNode *node, const char *namespace, const char *name);

/* The text of a child element, without blanks around; NULL without, and if there is no text. */
char *ovf_xml_text(const xmlNode *parent, const char *namespace, const char *name);

/* An attribute of OVF that names something: 1 to 255 bytes without control characters. NULL and
 * "error" if it is missing or not so. */
char *ovf_xml_name(const xmlNode *node, const char *attribute, GError **error);
bool ovf_xml_name_is_valid(const char *text);

/* Whether whoever does not know the element may pass it over. */
bool ovf_xml_is_optional(const xmlNode *node);

/* "byte * 2^20", "MegaBytes": how many bytes that is. NULL is "byte". */
bool ovf_xml_unit(const char *text, uint64_t *ret);
