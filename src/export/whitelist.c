/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "export/whitelist.h"

#include <libxml/parser.h>
#include <string.h>

#include "backend/xml.h"
#include "util/error.h"
#include "util/number.h"

#define UTF8(text) ((const xmlChar *) (text))

#define WORD_MAX  128U
#define TEXT_MAX  4096U
#define SHOWN_MAX 80 /* of a foreign text in an error */

bool whitelist_refuse(Whitelist *list, const char *what, const char *why, GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE, "%s%s%.*s: %s",
                        list->path->str, what ? "/@" : "", SHOWN_MAX, what ?: "", why);
        return false;
}

void whitelist_tell(Whitelist *list, const char *what) {
        g_autofree char *path = what ? g_strdup_printf("%s/%s", list->path->str, what)
                                     : g_strdup(list->path->str);

        if (list->tell)
                list->tell(path, list->userdata);
}

/* Parsing */

static bool fail(GError **error, const char *what, const char *why) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE, "%s: %s", what, why);
        return false;
}

/* Without recursion: this is what makes recursion safe. */
static bool is_too_deep(const xmlNode *root) {
        const xmlNode *node = root;
        unsigned depth = 1;

        while (node && depth <= WHITELIST_DEPTH_MAX) {
                if (node->type == XML_ELEMENT_NODE && node->children) {
                        node = node->children;
                        depth++;
                        continue;
                }
                while (node != root && !node->next) {
                        node = node->parent;
                        depth--;
                }
                node = node == root ? NULL : node->next;
        }
        return depth > WHITELIST_DEPTH_MAX;
}

xmlDoc *whitelist_parse(const char *text, const char *what, GError **error) {
        g_autoptr(xmlDoc) document = NULL;

        if (strlen(text) > WHITELIST_TEXT_MAX)
                return fail(error, what, "It is longer than 1 MiB"), NULL;
        /* Before the parser sees it: attributes are given with their entities resolved. */
        if (strstr(text, "<!DOCTYPE") || strstr(text, "<!ENTITY"))
                return fail(error, what, "It has a document type"), NULL;
        document = xml_parse(text);
        if (!document || !xmlDocGetRootElement(document))
                return fail(error, what, "It is not well-formed XML"), NULL;
        if (xmlGetIntSubset(document))
                return fail(error, what, "It has a document type"), NULL;
        if (is_too_deep(xmlDocGetRootElement(document)))
                return fail(error, what, "It is too deep"), NULL;
        return g_steal_pointer(&document);
}

/* Kinds of values */

static bool is_word(const char *value) {
        size_t length = strlen(value);

        return length > 0 && length <= WORD_MAX && *value != '-' &&
               strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                             "0123456789._+:@,-") == length;
}

static bool is_number(const char *value) {
        size_t length = strlen(value);

        if (g_str_has_prefix(value, "0x"))
                return length > 2 && length <= 18 &&
                       strspn(value + 2, "0123456789abcdefABCDEF") == length - 2;
        if (*value == '-')
                length--, value++;
        return length > 0 && length <= 19 && strspn(value, "0123456789") == length;
}

static bool is_size(const char *value) {
        uint64_t number;

        return number_parse(value, 0, UINT64_C(1) << 53, &number);
}

static bool is_text(const char *value) {
        if (strlen(value) > TEXT_MAX)
                return false;
        for (const char *p = value; *p; p = g_utf8_next_char(p))
                if (g_unichar_iscntrl(g_utf8_get_char(p)) && *p != '\n' && *p != '\t')
                        return false;
        return true;
}

static bool is_ip(const char *value) {
        return g_hostname_is_ip_address(value);
}

static bool is_mac(const char *value) {
        if (strlen(value) != 17)
                return false;
        for (unsigned i = 0; i < 17; i++)
                if (i % 3 == 2 ? value[i] != ':' : !g_ascii_isxdigit(value[i]))
                        return false;
        return true;
}

static bool is_bool(const char *value) {
        static const char *const words[] = {"yes", "no", "on", "off", NULL};

        return g_strv_contains(words, value);
}

static bool is_uuid(const char *value) {
        return g_uuid_string_is_valid(value);
}

static bool is_one_of(const char *kind, const char *value) {
        g_auto(GStrv) words = g_strsplit(*kind == '=' ? kind + 1 : kind, "|", -1);

        return g_strv_contains((const char *const *) words, value);
}

static bool is_of_kind(const char *kind, const char *value) {
        static const struct {
                const char *name;
                bool (*check)(const char *value);
        } kinds[] = {
                        {"word", is_word},
                        {"number", is_number},
                        {"size", is_size},
                        {"text", is_text},
                        {"bool", is_bool},
                        {"uuid", is_uuid},
                        {"mac", is_mac},
                        {"ip", is_ip},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (g_str_equal(kinds[i].name, kind))
                        return kinds[i].check(value);
        return is_one_of(kind, value);
}

/* Attributes */

/* NULL: there is no such attribute in the rule. */
static char *kind_of(const Rule *rule, const char *name) {
        g_auto(GStrv) all = g_strsplit(rule->attributes ?: "", " ", -1);

        for (unsigned i = 0; all[i]; i++) {
                const char *equals = strchr(all[i], '=');

                if (equals && strlen(name) == (size_t) (equals - all[i]) &&
                                g_str_has_prefix(all[i], name))
                        return g_strdup(equals + 1);
        }
        return NULL;
}

static bool copy_attribute(Whitelist *list,
                const Rule *rule,
                const xmlNode *from,
                const xmlAttr *attribute,
                xmlNode *to,
                GError **error) {
        const char *name = (const char *) attribute->name;
        g_autofree char *kind = kind_of(rule, name), *value = NULL;

        if (attribute->ns || !kind)
                return whitelist_refuse(list, name, "This is not taken over", error);
        if (g_str_equal(kind, "!"))
                whitelist_tell(list, name);
        if (g_str_equal(kind, "!") || g_str_equal(kind, "-"))
                return true;
        value = xml_attribute(from, name);
        if (!value || !is_of_kind(kind, value))
                return whitelist_refuse(list, name, "Its value is not allowed", error);
        xmlNewProp(to, attribute->name, UTF8(value));
        return true;
}

/* Elements */

static const Rule *find_rule(const Rule *rules, const xmlNode *node, const char *space) {
        for (; rules && rules->name; rules++) {
                const char *own = rules->space ?: space;
                const char *href = node->ns ? (const char *) node->ns->href : NULL;

                if (xmlStrEqual(node->name, UTF8(rules->name)) && g_strcmp0(own, href) == 0)
                        return rules;
        }
        return NULL;
}

static bool was_there(const xmlNode *node) {
        for (const xmlNode *other = node->prev; other; other = other->prev)
                if (other->type == XML_ELEMENT_NODE && xmlStrEqual(other->name, node->name))
                        return true;
        return false;
}

static xmlNode *
copy_element(Whitelist *list, const Rule *rule, xmlNode *from, const xmlNs *space, GError **error);

static bool copy_child(
                Whitelist *list, const Rule *rules, xmlNode *child, xmlNode *to, GError **error) {
        const Rule *rule = find_rule(rules, child, to->ns ? (const char *) to->ns->href : NULL);
        xmlNode *copy;

        if (!rule)
                return whitelist_refuse(list, NULL, "This is not taken over", error);
        if (!(rule->flags & RULE_MANY) && was_there(child))
                return whitelist_refuse(list, NULL, "It is there twice", error);
        if (rule->flags & RULE_TELL)
                whitelist_tell(list, NULL);
        if (rule->flags & RULE_DROP)
                return true;
        copy = copy_element(list, rule, child, to->ns, error);
        if (copy)
                xmlAddChild(to, copy);
        return copy;
}

static bool copy_child_at(
                Whitelist *list, const Rule *rules, xmlNode *child, xmlNode *to, GError **error) {
        size_t length = list->path->len;
        bool ok;

        g_string_append_printf(list->path, "/%.*s", SHOWN_MAX, (const char *) child->name);
        ok = copy_child(list, rules, child, to, error);
        g_string_truncate(list->path, length);
        return ok;
}

/* A comment says nothing, and everything else that is no element and no text is refused. */
static bool copy_children(
                Whitelist *list, const Rule *rule, xmlNode *from, xmlNode *to, GError **error) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (xmlNode *child = from->children; child; child = child->next) {
                if (child->type == XML_ELEMENT_NODE) {
                        if (!copy_child_at(list, rule->children, child, to, error))
                                return false;
                } else if (child->type == XML_TEXT_NODE || child->type == XML_CDATA_SECTION_NODE)
                        g_string_append(text, (const char *) child->content);
                else if (child->type != XML_COMMENT_NODE)
                        return whitelist_refuse(
                                        list, NULL, "It holds an instruction or an entity", error);
        }
        if (!rule->text) {
                g_strstrip(text->str);
                return !*text->str || whitelist_refuse(list, NULL, "There is no text in it", error);
        }
        if (*text->str && !is_of_kind(rule->text, text->str))
                return whitelist_refuse(list, NULL, "Its text is not allowed", error);
        if (*text->str)
                xmlNodeAddContent(to, UTF8(text->str));
        return true;
}

static bool fill(Whitelist *list, const Rule *rule, xmlNode *from, xmlNode *to, GError **error) {
        for (const xmlAttr *attribute = from->properties; attribute; attribute = attribute->next)
                if (!copy_attribute(list, rule, from, attribute, to, error))
                        return false;
        return copy_children(list, rule, from, to, error) &&
               (!rule->hook || rule->hook(list, from, to, error));
}

static xmlNode *
copy_element(Whitelist *list, const Rule *rule, xmlNode *from, const xmlNs *space, GError **error) {
        xmlNode *to = xmlNewNode(NULL, UTF8(rule->name));

        if (rule->space)
                xmlSetNs(to, xmlNewNs(to, UTF8(rule->space), UTF8(rule->prefix)));
        else
                xmlSetNs(to, (xmlNs *) space);
        if (fill(list, rule, from, to, error))
                return to;
        xmlFreeNode(to);
        return NULL;
}

xmlDoc *whitelist_copy(Whitelist *list, const Rule *rule, const xmlNode *root, GError **error) {
        g_autoptr(xmlDoc) document = xmlNewDoc(UTF8("1.0"));
        xmlNode *copy;

        list->path = g_string_new((const char *) root->name);
        if (root->ns || !xml_is(root, rule->name)) {
                whitelist_refuse(list, NULL, "This is not taken over", error);
                copy = NULL;
        } else
                copy = copy_element(list, rule, (xmlNode *) root, NULL, error);
        (void) g_string_free(g_steal_pointer(&list->path), TRUE);
        if (!copy)
                return NULL;
        xmlDocSetRootElement(document, copy);
        return g_steal_pointer(&document);
}
