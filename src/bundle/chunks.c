/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bundle/chunks.h"

#include <inttypes.h>
#include <string.h>

#include "util/error.h"
#include "util/number.h"

#define FIRST_LINE "virtask-chunks 1"

ChunkList *chunk_list_new(uint64_t size) {
        ChunkList *list = g_new0(ChunkList, 1);

        list->size = size;
        list->chunks = g_array_new(FALSE, FALSE, sizeof(Chunk));
        return list;
}

void chunk_list_add(ChunkList *list, uint64_t offset, uint64_t length, const char *sha256) {
        Chunk chunk = {.offset = offset, .length = length};

        (void) g_strlcpy(chunk.sha256, sha256, sizeof(chunk.sha256));
        g_array_append_val(list->chunks, chunk);
}

char *chunk_list_to_text(const ChunkList *list) {
        GString *text = g_string_new(FIRST_LINE "\n");

        g_string_append_printf(text, "size %" PRIu64 "\n", list->size);
        for (unsigned i = 0; i < list->chunks->len; i++) {
                const Chunk *chunk = &g_array_index(list->chunks, Chunk, i);

                g_string_append_printf(text, "%s %" PRIu64 " %" PRIu64 "\n", chunk->sha256,
                                chunk->offset, chunk->length);
        }
        return g_string_free(text, FALSE);
}

static bool fail(unsigned line, GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                        "Line %u of a chunk list can not be read", line);
        return false;
}

static bool parse_chunk(const char *line, uint64_t begin, uint64_t size, Chunk *ret) {
        g_auto(GStrv) words = g_strsplit(line, " ", 4);

        if (g_strv_length(words) != 3 || !digest_is_valid(words[0]) ||
                        !number_parse(words[1], begin, size, &ret->offset) ||
                        !number_parse(words[2], 1, CHUNK_LENGTH, &ret->length) ||
                        ret->length > size - ret->offset)
                return false;
        (void) g_strlcpy(ret->sha256, words[0], sizeof(ret->sha256));
        return true;
}

ChunkList *chunk_list_parse(const char *text, GError **error) {
        g_autoptr(ChunkList) list = chunk_list_new(0);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        unsigned count = g_strv_length(lines);
        uint64_t end = 0;

        if (count < 3 || !g_str_equal(lines[0], FIRST_LINE))
                return fail(1, error), NULL;
        if (!g_str_has_prefix(lines[1], "size ") ||
                        !number_parse(lines[1] + strlen("size "), 0, INT64_MAX, &list->size))
                return fail(2, error), NULL;
        for (unsigned i = 2; i + 1 < count; i++) {
                Chunk chunk;

                if (!parse_chunk(lines[i], end, list->size, &chunk))
                        return fail(i + 1, error), NULL;
                g_array_append_val(list->chunks, chunk);
                end = chunk.offset + chunk.length;
        }
        if (*lines[count - 1])
                return fail(count, error), NULL;
        return g_steal_pointer(&list);
}

void chunk_list_free(ChunkList *list) {
        if (!list)
                return;
        (void) g_array_unref(list->chunks);
        g_free(list);
}
