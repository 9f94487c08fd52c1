/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes a package after a plan, as bundle/writer.h does with a bundle. Members:
 *
 *     directory, name, partial   as there
 *     package                    what the files in the package are called, without a suffix
 *     machine                    {…}, bundle/package-json.h
 *     disks                      one for each of the machine: {descriptor, export, size}, what an
 *                                NBD server shows on that connection, and a guess how much it is
 *
 * A plan comes from the service and is trusted; what it leads to is not. */

#include "bundle/writer.h"

/* *ret_path is where the package is. A failure leaves nothing. DISK_FULL also if there is not
 * enough room before anything is written; the errors of place.h and ova_write(). */
bool package_write(JsonObject *plan, const WriterHooks *hooks, char **ret_path, GError **error);
