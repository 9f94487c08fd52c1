/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where libvirt's QEMU driver keeps its files on this host; libvirt itself does not tell. Any
 * thread. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdint.h>

/* Members are NULL where they do not exist: on another host, or for another driver. */
typedef struct Layout {
        char *root;        /* of embedded QEMU */
        char *definitions; /* directory of the definitions of domains */
        char *save;        /* directory of the managed save images */
        char *snapshots;   /* has a directory for each domain with snapshots, and that a file for
                              each */
        char *tpm;         /* has a directory for each domain with an emulated TPM, by UUID */
        char *run;         /* directory of the PID files */
        char *images;      /* where images are made if nobody says another place */
} Layout;

/* What follows from a connection URI. */
void layout_of_uri(const char *uri, Layout *ret);

/* The same of a connection, or of a domain's. */
void layout_of_connection(virConnectPtr connection, Layout *ret);
void layout_of_domain(virDomainPtr domain, Layout *ret);
void layout_clear(Layout *layout);

/* The process that libvirt has noted to run the domain; 0 without. It may be another's by now. */
uint64_t layout_read_pid(virDomainPtr domain);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Layout, layout_clear)
