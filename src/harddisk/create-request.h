/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What those who make hard disk images are asked for. Loop. */

#include "image/image-format.h"
#include "jobs/operation.h"

typedef struct CreateRequest {
        Request common;
        char *path;          /* absolute */
        char *parent;        /* absolute; NULL: it rests on nothing */
        char *backing;       /* its name in the header; NULL: its path */
        char *parent_format; /* NULL: what its name says */
        char *format_name;   /* as it was asked for, or NULL */
        ImageFormat format;
        uint64_t size; /* bytes; of a copy 0: that of the original, which is common.file */
        bool fixed;
        bool merges; /* the original has to be a differencing one */
} CreateRequest;

bool create_request_parse_dynamic(sd_bus_message *call, void *request, GError **error);
bool create_request_parse_fixed(sd_bus_message *call, void *request, GError **error);
bool create_request_parse_differencing(sd_bus_message *call, void *request, GError **error);
bool create_request_parse_convert(sd_bus_message *call, void *request, GError **error);
bool create_request_parse_merge_to(sd_bus_message *call, void *request, GError **error);
void create_request_store(const void *request, GKeyFile *file);
void create_request_load(void *request, GKeyFile *file);
void create_request_clear(void *request);
