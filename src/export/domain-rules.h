/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What an import takes over of the definition of a machine. */

#include "export/whitelist.h"

/* The hooks of rules that are more than a table can say: export/definition-import.c. */
bool import_domain(Whitelist *list, xmlNode *from, xmlNode *to, GError **error);
bool import_name(Whitelist *list, xmlNode *from, xmlNode *to, GError **error);
bool import_uuid(Whitelist *list, xmlNode *from, xmlNode *to, GError **error);
bool import_genid(Whitelist *list, xmlNode *from, xmlNode *to, GError **error);
bool import_sysinfo_entry(Whitelist *list, xmlNode *from, xmlNode *to, GError **error);
bool import_noted_image(Whitelist *list, xmlNode *from, xmlNode *to, GError **error);
bool import_os(Whitelist *list, xmlNode *from, xmlNode *to, GError **error);
bool import_disk(Whitelist *list, xmlNode *from, xmlNode *to, GError **error);
bool import_interface(Whitelist *list, xmlNode *from, xmlNode *to, GError **error);
bool import_mac(Whitelist *list, xmlNode *from, xmlNode *to, GError **error);
bool import_display(Whitelist *list, xmlNode *from, xmlNode *to, GError **error);
bool import_line(Whitelist *list, xmlNode *from, xmlNode *to, GError **error);
bool import_audio(Whitelist *list, xmlNode *from, xmlNode *to, GError **error);
bool import_overlay(Whitelist *list, xmlNode *from, xmlNode *to, GError **error);
bool import_memory(Whitelist *list, xmlNode *from, xmlNode *to, GError **error);

extern const Rule domain_rule;   /* <domain> */
extern const Rule cookie_rule;   /* <cookie>, of a saved state */
extern const Rule snapshot_rule; /* <domainsnapshot> */
