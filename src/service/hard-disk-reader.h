/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads the images of machines, when a machine may have others and when a file has changed. Loop.
 */

#include "service/manager.h"

typedef struct HardDiskReader HardDiskReader;

/* NULL where the files of the machines are not on this host. on_idle() is called whenever nothing
 * is left to be read. */
HardDiskReader *hard_disk_reader_new(Manager *manager, void (*on_idle)(Manager *manager));

/* Only while no worker works. */
HardDiskReader *hard_disk_reader_free(HardDiskReader *reader);

/* Has the images of the machine read; a NULL reader does nothing. */
void hard_disk_reader_ask(HardDiskReader *reader, const char *uuid);

/* The machine is gone, or has other images now. */
void hard_disk_reader_forget(HardDiskReader *reader, const char *uuid);

/* Also of a NULL reader. */
bool hard_disk_reader_is_idle(const HardDiskReader *reader);
