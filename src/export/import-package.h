/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What becomes of a package, as export/import-plan.h has it of a bundle. Worker. */

#include <libvirt/libvirt.h>

#include "export/import-plan.h"
#include "ovf/ovf-machine.h"

/* With a new identifier. INVALID_BUNDLE, the errors of name_check(), libvirt's. */
ImportPlan *import_plan_new_package(const OvfMachine *machine,
                const ImportRequest *request,
                const char *storage,
                virConnectPtr connection,
                GError **error);
