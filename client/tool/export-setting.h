/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The settings of an export (Msvm_VirtualSystemExportSettingData), made of the command line:
 * options of their own for what is common, --setting for each of them. */

#include <systemd/sd-bus.h>

#include "options.h"

typedef enum ExportSettingKind {
        EXPORT_SETTING_BOOLEAN,
        EXPORT_SETTING_WORD,    /* a number, or its name in the documents */
        EXPORT_SETTING_OBJECT,  /* a path, or what names a snapshot of the machine */
        EXPORT_SETTING_TARGETS, /* "vda,vdb" */
} ExportSettingKind;

typedef struct ExportSettingRow {
        const char *key;
        ExportSettingKind kind;
        const char *const *words; /* of EXPORT_SETTING_WORD, by number; ends with NULL */
} ExportSettingRow;

#define EXPORT_SETTINGS 11

extern const ExportSettingRow export_settings[EXPORT_SETTINGS];

/* What the line says of each: a text that is right for its kind, NULL for the preset of the
 * service. */
typedef struct ExportSettings {
        char *values[EXPORT_SETTINGS];
} ExportSettings;

/* Says what is wrong. --setting is stronger than the options that mean the same. */
ExitCode export_settings_read(ExportSettings *settings, const Options *options);

/* The same for a package, which takes fewer of them. */
ExitCode export_settings_read_package(ExportSettings *settings, const Options *options);
void export_settings_clear(ExportSettings *settings);

/* As entries of an a{sv} that is open. -EINVAL: an object is named that is not a path. */
int export_settings_append(sd_bus_message *m, const ExportSettings *settings);
