/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A descriptor can come from anybody. It is parsed without network, without a DTD (and therefore
 * without entities), as UTF-8 whatever it says of itself, and is small; libxml2 has limits of its
 * own for its depth. */

#include "ovf/ovf-xml.h"

#include <libxml/parser.h>
#include <stdarg.h>
#include <string.h>

#include "util/error.h"
#include "util/number.h"

#define TEXT_MAX       (UINT64_C(1) << 20)
#define NAME_MAX_BYTES 255U

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlParserCtxt, xmlFreeParserCtxt)

static xmlDoc *fail_parse(const char *why, GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE, "The OVF descriptor %s",
                        why);
        return NULL;
}

xmlDoc *ovf_xml_parse(const char *text, size_t length, GError **error) {
        g_autoptr(xmlParserCtxt) context = NULL;
        g_autoptr(xmlDoc) document = NULL;

        if (length > TEXT_MAX)
                return fail_parse("is larger than 1 MiB", error);
        if (!g_utf8_validate_len(text, length, NULL) || memchr(text, 0, length))
                return fail_parse("is not UTF-8", error);
        /* Before its entities are read. */
        if (g_strstr_len(text, (gssize) length, "<!DOCTYPE"))
                return fail_parse("has a DTD", error);
        context = xmlNewParserCtxt();
        document = xmlCtxtReadMemory(context, text, (int) length, "descriptor.ovf", "UTF-8",
                        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                        XML_PARSE_NOCDATA);
        if (!document || !xmlDocGetRootElement(document))
                return fail_parse("is not well-formed", error);
        if (document->intSubset || document->extSubset)
                return fail_parse("has a DTD", error);
        return g_steal_pointer(&document);
}

bool ovf_xml_fail(const xmlNode *node, GError **error, const char *format, ...) {
        g_autofree char *why = NULL;
        va_list arguments;

        va_start(arguments, format);
        why = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                        "The OVF descriptor is not right: line %ld, %.64s: %s",
                        xmlGetLineNo((xmlNode *) node), (const char *) node->name, why);
        return false;
}

bool ovf_xml_unsupported(const xmlNode *node, GError **error, const char *what) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                        "The OVF descriptor has what can not be imported: line %ld, %.64s: %s",
                        xmlGetLineNo((xmlNode *) node), (const char *) node->name, what);
        return false;
}

bool ovf_xml_is(const xmlNode *node, const char *namespace, const char *name) {
        return node->type == XML_ELEMENT_NODE && node->ns &&
               xmlStrEqual(node->ns->href, (const xmlChar *) namespace) &&
               xmlStrEqual(node->name, (const xmlChar *) name);
}

xmlNode *ovf_xml_child(const xmlNode *parent, const char *namespace, const char *name) {
        for (xmlNode *node = parent ? parent->children : NULL; node; node = node->next)
                if (ovf_xml_is(node, namespace, name))
                        return node;
        return NULL;
}

static char *take(xmlChar *text) {
        char *copy = g_strdup((const char *) text);

        xmlFree(text);
        return copy;
}

char *ovf_xml_attribute(const xmlNode *node, const char *namespace, const char *name) {
        return take(xmlGetNsProp(node, (const xmlChar *) name, (const xmlChar *) namespace));
}

char *ovf_xml_text(const xmlNode *parent, const char *namespace, const char *name) {
        xmlNode *node = ovf_xml_child(parent, namespace, name);
        char *text = node ? g_strstrip(take(xmlNodeGetContent(node))) : NULL;

        if (text && !*text)
                g_clear_pointer(&text, g_free);
        return text;
}

bool ovf_xml_name_is_valid(const char *text) {
        if (!*text || strlen(text) > NAME_MAX_BYTES)
                return false;
        for (const char *p = text; *p; p = g_utf8_next_char(p))
                if (g_unichar_iscntrl(g_utf8_get_char(p)))
                        return false;
        return true;
}

char *ovf_xml_name(const xmlNode *node, const char *attribute, GError **error) {
        g_autofree char *text = ovf_xml_attribute(node, OVF_NAMESPACE, attribute);

        if (text && ovf_xml_name_is_valid(text))
                return g_steal_pointer(&text);
        ovf_xml_fail(node, error, "its attribute '%s' %s", attribute,
                        text ? "is no name" : "is missing");
        return NULL;
}

bool ovf_xml_is_optional(const xmlNode *node) {
        g_autofree char *required = ovf_xml_attribute(node, OVF_NAMESPACE, "required");

        return required && (g_str_equal(required, "false") || g_str_equal(required, "0"));
}

/* "2^20" and "10^6" of "byte * 2^20". */
static bool read_power(const char *text, uint64_t *ret) {
        const char *power = strchr(text, '^');
        g_autofree char *base = power ? g_strstrip(g_strndup(text, (gsize) (power - text))) : NULL;
        uint64_t exponent = 0, factor = 0;

        if (!base || !number_parse(base, 2, 10, &factor) || (factor != 2 && factor != 10) ||
                        !number_parse(power + 1, 0, factor == 2 ? 50 : 15, &exponent))
                return false;
        for (*ret = 1; exponent > 0; exponent--)
                *ret *= factor;
        return true;
}

bool ovf_xml_unit(const char *text, uint64_t *ret) {
        /* What older products write. */
        static const struct {
                const char *name;
                uint64_t bytes;
        } names[] = {
                        {"byte", 1},
                        {"bytes", 1},
                        {"KB", UINT64_C(1) << 10},
                        {"KiloBytes", UINT64_C(1) << 10},
                        {"MB", UINT64_C(1) << 20},
                        {"MegaBytes", UINT64_C(1) << 20},
                        {"GB", UINT64_C(1) << 30},
                        {"GigaBytes", UINT64_C(1) << 30},
        };
        g_auto(GStrv) parts = g_strsplit(text ? text : "byte", "*", 2);

        g_strstrip(parts[0]);
        if (parts[1])
                return g_str_equal(parts[0], "byte") && read_power(g_strstrip(parts[1]), ret);
        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
                if (g_ascii_strcasecmp(names[i].name, parts[0]) == 0) {
                        *ret = names[i].bytes;
                        return true;
                }
        return false;
}
