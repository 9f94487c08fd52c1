/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The errors of the project, each in one row: the enum, the D-Bus map, the numbers on a task, the
 * client's exit codes and the table in org.virtask1(5) are made of it or compared with it. It
 * includes nothing, so that the client can include it too.
 *
 * X(identifier, D-Bus name, HRESULT, symbol, CIM family A, CIM family B, VMTaskResult, meaning)
 *
 * Names, symbols and numbers follow the Virtual PC and Hyper-V documents; a row with an empty
 * symbol uses the Win32 code of the same meaning, which is our choice. The first row of an HRESULT
 * with a symbol is the one that the symbol stands for. */

#define ERROR_PREFIX "org.virtask1.Error."
#define ERROR_DBUS   "org.freedesktop.DBus.Error."

/* clang-format off */
#define ERROR_TABLE(X) \
        X(FAILED,                    ERROR_PREFIX "Failed",                  0x80004005, "E_FAIL",                     2, 32768, 2, "The operation failed") \
        X(UNEXPECTED,                ERROR_PREFIX "Unexpected",              0x80020009, "DISP_E_EXCEPTION",           2, 32768, 2, "Something unexpected happened") \
        X(INVALID_ARGUMENT,          ERROR_PREFIX "InvalidArgument",         0x80070057, "E_INVALIDARG",               4, 32773, 7, "An argument is not valid") \
        X(NOT_SUPPORTED,             ERROR_PREFIX "NotSupported",            0x80070032, "",                           1, 32770, 2, "The operation is not supported here") \
        X(ACCESS_DENIED,             ERROR_DBUS   "AccessDenied",            0x80070005, "E_ACCESSDENIED",             2, 32769, 2, "Permission denied") \
        X(INTERACTION_REQUIRED,      ERROR_DBUS   "InteractiveAuthorizationRequired", 0x80070005, "",                  2, 32769, 2, "A person has to authorize this") \
        X(LIMITS_EXCEEDED,           ERROR_DBUS   "LimitsExceeded",          0xA0040203, "VM_E_OUT_OF_RESOURCE",       2, 32778, 3, "A limit is reached") \
        X(NO_SUCH_VIRTUAL_MACHINE,   ERROR_PREFIX "NoSuchVirtualMachine",    0xA0040207, "VM_E_VM_UNKNOWN",            4, 32777, 2, "There is no such virtual machine") \
        X(NO_SUCH_SNAPSHOT,          ERROR_PREFIX "NoSuchSnapshot",          0x80070490, "",                           4, 32777, 2, "There is no such snapshot") \
        X(NO_SUCH_COLLECTION,        ERROR_PREFIX "NoSuchCollection",        0x80070490, "",                           4, 32777, 2, "There is no such collection") \
        X(NO_SUCH_TASK,              ERROR_PREFIX "NoSuchTask",              0x80070490, "",                           4, 32777, 2, "There is no such task") \
        X(NOT_RUNNING,               ERROR_PREFIX "NotRunning",              0xA0040206, "VM_E_VM_NOT_RUNNING",        5, 32775, 2, "The virtual machine is not running") \
        X(ALREADY_RUNNING,           ERROR_PREFIX "AlreadyRunning",          0xA0040500, "VM_E_VM_RUNNING",            5, 32775, 2, "The virtual machine is running") \
        X(RUNNING_OR_SAVED,          ERROR_PREFIX "RunningOrSaved",          0xA004020B, "VM_E_VM_RUNNING_OR_SAVED",   5, 32775, 2, "The virtual machine is running or saved") \
        X(NO_SAVED_STATE,            ERROR_PREFIX "NoSavedState",            0xA0040501, "VM_E_VM_NO_SAVED_STATE",     5, 32775, 2, "The virtual machine has no saved state") \
        X(ALREADY_PAUSED,            ERROR_PREFIX "AlreadyPaused",           0x80004005, "",                           5, 32775, 2, "The virtual machine is paused already") \
        X(NOT_PAUSED,                ERROR_PREFIX "NotPaused",               0x80004005, "",                           5, 32775, 2, "The virtual machine is not paused") \
        X(MACHINE_ACTIVE,            ERROR_PREFIX "MachineActive",           0xA0040302, "VM_E_PREF_VM_ACTIVE",        5, 32775, 7, "The setting can not be changed while the virtual machine is running or saved") \
        X(UNDO_DISKS_MARKED_FOR_DELETION, ERROR_PREFIX "UndoDisksMarkedForDeletion", 0x80004005, "",               5, 32775, 2, "The undo disks of the virtual machine are marked for deletion") \
        X(INVALID_STATE,             ERROR_PREFIX "InvalidState",            0x8007139F, "",                           5, 32775, 2, "The virtual machine is not in the right state") \
        X(IN_USE,                    ERROR_PREFIX "InUse",                   0x800700AA, "",                           5, 32774, 2, "A task holds the object") \
        X(NOT_CANCELABLE,            ERROR_PREFIX "NotCancelable",           0x80004005, "",                           5, 32775, 2, "The task can not be cancelled") \
        X(ALREADY_COMPLETE,          ERROR_PREFIX "AlreadyComplete",         0x80004005, "",                           5, 32775, 2, "The task has ended already") \
        X(CANCELLED,                 ERROR_PREFIX "Cancelled",               0x800704C7, "",                           2, 32768, 1, "The task was cancelled") \
        X(TIMED_OUT,                 ERROR_PREFIX "TimedOut",                0xA0040202, "VM_E_TIMED_OUT",             3, 32772, 6, "The time is over") \
        X(OUT_OF_MEMORY,             ERROR_PREFIX "OutOfMemory",             0x8007000E, "",                           2, 32778, 3, "There is not enough memory") \
        X(SERVICE_SHUTTING_DOWN,     ERROR_PREFIX "ServiceShuttingDown",     0xA0040209, "VM_E_APP_SHUTTING_DOWN",     2, 32777, 2, "The service is shutting down") \
        X(SERVICE_RESTARTED,         ERROR_PREFIX "ServiceRestarted",        0x8000FFFF, "E_UNEXPECTED",               2, 32771, 8, "The service was interrupted while the task ran") \
        X(HYPERVISOR_UNAVAILABLE,    ERROR_PREFIX "HypervisorUnavailable",   0xA0040950, "VM_E_UNSUPPORTED_HARDWARE",  2, 32777, 2, "The hypervisor can not be reached") \
        X(INCOMPATIBLE_SAVED_STATE,  ERROR_PREFIX "IncompatibleSavedState",  0x80004005, "",                           2, 32768, 5, "The saved state can not be restored") \
        X(GUEST_AGENT_NOT_AVAILABLE, ERROR_PREFIX "GuestAgentNotAvailable",  0xA0040504, "VM_E_ADDITIONS_NOT_AVAIL",   5, 32777, 2, "The agent in the guest does not answer") \
        X(GUEST_AGENT_NOT_INSTALLED, ERROR_PREFIX "GuestAgentNotInstalled",  0xA0040505, "VM_E_ADDITIONS_FEATURE_NOT_AVAIL", 5, 32777, 2, "The virtual machine has no agent in its guest") \
        X(GUEST_LOCKED,              ERROR_PREFIX "GuestLocked",             0x800704F7, "ERROR_MACHINE_LOCKED",       2, 32768, 2, "Somebody has locked the screen of the guest") \
        X(GUEST_NOT_READY,           ERROR_PREFIX "GuestNotReady",           0x80070015, "ERROR_NOT_READY",            2, 32768, 2, "The guest is not ready for it") \
        X(GUEST_SHUTDOWN_IN_PROGRESS, ERROR_PREFIX "GuestShutdownInProgress", 0x8007045B, "ERROR_SHUTDOWN_IN_PROGRESS", 2, 32768, 2, "The guest is shutting down already") \
        X(NO_LOGON_SESSION,          ERROR_PREFIX "NoLogonSession",          0x80070520, "ERROR_NO_SUCH_LOGON_SESSION", 2, 32768, 2, "Nobody is logged on in the guest") \
        X(SHUTDOWN_ABORTED,          ERROR_PREFIX "ShutdownAborted",         0x80004005, "",                           2, 32768, 9, "The guest has not shut down") \
        X(FILE_NOT_FOUND,            ERROR_PREFIX "FileNotFound",            0x80070002, "",                           4, 32773, 4, "A file is missing") \
        X(FILE_IN_USE,               ERROR_PREFIX "FileInUse",               0x80070020, "",                           5, 32774, 4, "A file is in use") \
        X(DISK_FULL,                 ERROR_PREFIX "DiskFull",                0x80070070, "",                           2, 32768, 4, "There is no space left on the disk") \
        X(PATH_NOT_FOUND,            ERROR_PREFIX "PathNotFound",            0x80070003, "ERROR_PATH_NOT_FOUND",       4, 32773, 4, "A directory is missing") \
        X(FILE_EXISTS,               ERROR_PREFIX "FileExists",              0x800700B7, "ERROR_ALREADY_EXISTS",       4, 32773, 4, "A file of that name is there already") \
        X(NAME_INVALID,              ERROR_PREFIX "NameInvalid",             0x8007007B, "ERROR_INVALID_NAME",         4, 32773, 4, "A path holds what is not allowed in one") \
        X(BAD_PATH,                  ERROR_PREFIX "BadPath",                 0x800700A1, "ERROR_BAD_PATHNAME",         4, 32773, 4, "The path is empty or not absolute") \
        X(PATH_TOO_LONG,             ERROR_PREFIX "PathTooLong",             0x8007006F, "ERROR_BUFFER_OVERFLOW",      4, 32773, 4, "The path is too long") \
        X(FILE_READ_ONLY,            ERROR_PREFIX "FileReadOnly",            0xA004067A, "VM_E_FILE_READ_ONLY",        2, 32768, 4, "The file can only be read") \
        X(PARENT_IN_USE,             ERROR_PREFIX "ParentInUse",             0x80070006, "E_HANDLE",                   5, 32774, 4, "Another disk rests on the parent") \
        X(FILE_TOO_LARGE,            ERROR_PREFIX "FileTooLarge",            0xA0040679, "VM_E_FILE_TOO_LARGE_FOR_VOLUME", 2, 32768, 4, "A file can not be as large there") \
        X(WRONG_DISK_TYPE,           ERROR_PREFIX "WrongDiskType",           0xA004067B, "VM_E_WRONG_HD_IMAGE_TYPE",   6, 32776, 4, "The hard disk image is of the wrong type") \
        X(INVALID_DISK_IMAGE,        ERROR_PREFIX "InvalidDiskImage",        0xA0040682, "VM_E_INVALID_HD_FILE",       6, 32776, 4, "The file is no hard disk image, or a damaged one") \
        X(SIZE_TOO_LARGE,            ERROR_PREFIX "SizeTooLarge",            0xA0040683, "VM_E_IMAGE_SIZE_TOO_LARGE",  4, 32773, 7, "The hard disk would be too large") \
        X(SIZE_TOO_SMALL,            ERROR_PREFIX "SizeTooSmall",            0xA0040684, "VM_E_IMAGE_SIZE_TOO_SMALL",  4, 32773, 7, "The hard disk would be too small") \
        X(PARENT_NOT_FOUND,          ERROR_PREFIX "ParentNotFound",          0xA0040677, "VM_E_PARENT_PATH_NOT_FOUND", 2, 32768, 4, "The parent of the hard disk is missing") \
        X(INVALID_BUNDLE,            ERROR_PREFIX "InvalidBundle",           0x8007000D, "",                           6, 32776, 4, "The directory does not hold what an export has written") \
        X(NAME_EMPTY,                ERROR_PREFIX "NameEmpty",               0xA0040400, "VM_E_CONFIG_NO_NAME",        4, 32773, 7, "The name is empty") \
        X(NAME_TOO_LONG,             ERROR_PREFIX "NameTooLong",             0xA0040401, "VM_E_CONFIG_NAME_TOO_LONG",  4, 32773, 7, "The name is longer than 80 characters") \
        X(NAME_INVALID_CHAR,         ERROR_PREFIX "NameInvalidChar",         0xA0040402, "VM_E_CONFIG_NAME_INVALID_CHAR", 4, 32773, 7, "The name holds a character that is not allowed") \
        X(DUPLICATE_NAME,            ERROR_PREFIX "DuplicateName",           0xA0040403, "VM_E_CONFIG_DUPLICATE_NAME", 4, 32773, 7, "Another virtual machine has the name or the identifier") \
        X(BACKEND,                   ERROR_PREFIX "Backend",                 0x80004005, "",                           2, 32768, 2, "The hypervisor reported an error")
/* clang-format on */
