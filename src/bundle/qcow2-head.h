/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The first bytes of a qcow2 image, with another name of its backing file: so that a chain of
 * images finds itself wherever it is copied to. Any thread. */

#include <glib.h>

#define QCOW2_HEAD_MAX (64U << 10)

/* Reads the head of the image and puts the name in; gives what its first bytes have to be. FAILED
 * if the image has no backing file, NOT_SUPPORTED if the name does not fit. */
GBytes *qcow2_head_with_backing(int fd, const char *backing, GError **error);

/* The same with the format of that file, "raw" or "qcow2"; NOT_SUPPORTED if the image says none. */
GBytes *qcow2_head_with_base(int fd, const char *backing, const char *format, GError **error);
