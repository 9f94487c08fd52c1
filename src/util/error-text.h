/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The meanings of error-table.h in other languages: X(identifier, German, French). A unit test
 * demands a row for every error. */

/* clang-format off */
#define ERROR_TEXTS(X) \
        X(FAILED,                    "Der Vorgang ist fehlgeschlagen", "L’opération a échoué") \
        X(UNEXPECTED,                "Etwas Unerwartetes ist geschehen", "Un événement inattendu s’est produit") \
        X(INVALID_ARGUMENT,          "Ein Argument ist ungültig", "Un argument n’est pas valide") \
        X(NOT_SUPPORTED,             "Der Vorgang wird hier nicht unterstützt", "L’opération n’est pas prise en charge ici") \
        X(ACCESS_DENIED,             "Zugriff verweigert", "Accès refusé") \
        X(INTERACTION_REQUIRED,      "Eine Person muss dies genehmigen", "Une personne doit autoriser cette opération") \
        X(LIMITS_EXCEEDED,           "Eine Grenze ist erreicht", "Une limite est atteinte") \
        X(NO_SUCH_VIRTUAL_MACHINE,   "Diese virtuelle Maschine gibt es nicht", "Cette machine virtuelle n’existe pas") \
        X(NO_SUCH_SNAPSHOT,          "Diesen Snapshot gibt es nicht", "Cet instantané n’existe pas") \
        X(NO_SUCH_COLLECTION,        "Diese Sammlung gibt es nicht", "Cette collection n’existe pas") \
        X(NO_SUCH_TASK,              "Diese Aufgabe gibt es nicht", "Cette tâche n’existe pas") \
        X(NOT_RUNNING,               "Die virtuelle Maschine läuft nicht", "La machine virtuelle n’est pas en marche") \
        X(ALREADY_RUNNING,           "Die virtuelle Maschine läuft", "La machine virtuelle est en marche") \
        X(RUNNING_OR_SAVED,          "Die virtuelle Maschine läuft oder ist gespeichert", "La machine virtuelle est en marche ou enregistrée") \
        X(NO_SAVED_STATE,            "Die virtuelle Maschine hat keinen gespeicherten Zustand", "La machine virtuelle n’a pas d’état enregistré") \
        X(ALREADY_PAUSED,            "Die virtuelle Maschine ist schon angehalten", "La machine virtuelle est déjà suspendue") \
        X(NOT_PAUSED,                "Die virtuelle Maschine ist nicht angehalten", "La machine virtuelle n’est pas suspendue") \
        X(MACHINE_ACTIVE,            "Die Einstellung kann nicht geändert werden, solange die virtuelle Maschine läuft oder gespeichert ist", "Le réglage ne peut pas être modifié tant que la machine virtuelle est en marche ou enregistrée") \
        X(UNDO_DISKS_MARKED_FOR_DELETION, "Die Rückgängig-Datenträger der virtuellen Maschine sollen verworfen werden", "Les disques d’annulation de la machine virtuelle doivent être abandonnés") \
        X(INVALID_STATE,             "Die virtuelle Maschine ist nicht im richtigen Zustand", "La machine virtuelle n’est pas dans l’état voulu") \
        X(IN_USE,                    "Eine Aufgabe hält das Objekt", "Une tâche occupe l’objet") \
        X(NOT_CANCELABLE,            "Die Aufgabe kann nicht abgebrochen werden", "La tâche ne peut pas être annulée") \
        X(ALREADY_COMPLETE,          "Die Aufgabe ist schon beendet", "La tâche est déjà terminée") \
        X(CANCELLED,                 "Die Aufgabe wurde abgebrochen", "La tâche a été annulée") \
        X(TIMED_OUT,                 "Die Zeit ist abgelaufen", "Le délai est écoulé") \
        X(OUT_OF_MEMORY,             "Es ist nicht genug Speicher frei", "Il n’y a pas assez de mémoire") \
        X(SERVICE_SHUTTING_DOWN,     "Der Dienst wird beendet", "Le service s’arrête") \
        X(SERVICE_RESTARTED,         "Der Dienst wurde unterbrochen, während die Aufgabe lief", "Le service a été interrompu pendant la tâche") \
        X(HYPERVISOR_UNAVAILABLE,    "Der Hypervisor ist nicht erreichbar", "L’hyperviseur est injoignable") \
        X(INCOMPATIBLE_SAVED_STATE,  "Der gespeicherte Zustand kann nicht wiederhergestellt werden", "L’état enregistré ne peut pas être restauré") \
        X(GUEST_AGENT_NOT_AVAILABLE, "Der Agent im Gast antwortet nicht", "L’agent de l’invité ne répond pas") \
        X(GUEST_AGENT_NOT_INSTALLED, "Die virtuelle Maschine hat keinen Agenten im Gast", "La machine virtuelle n’a pas d’agent dans son invité") \
        X(GUEST_LOCKED,              "Jemand hat den Bildschirm des Gastes gesperrt", "Quelqu’un a verrouillé l’écran de l’invité") \
        X(GUEST_NOT_READY,           "Der Gast ist nicht bereit dafür", "L’invité n’est pas prêt pour cela") \
        X(GUEST_SHUTDOWN_IN_PROGRESS, "Der Gast fährt schon herunter", "L’invité est déjà en train de s’arrêter") \
        X(NO_LOGON_SESSION,          "Im Gast ist niemand angemeldet", "Personne n’a ouvert de session dans l’invité") \
        X(SHUTDOWN_ABORTED,          "Der Gast ist nicht heruntergefahren", "L’invité ne s’est pas arrêté") \
        X(FILE_NOT_FOUND,            "Eine Datei fehlt", "Un fichier est absent") \
        X(FILE_IN_USE,               "Eine Datei wird benutzt", "Un fichier est utilisé") \
        X(DISK_FULL,                 "Auf dem Datenträger ist kein Platz mehr", "Il n’y a plus de place sur le disque") \
        X(PATH_NOT_FOUND,            "Ein Verzeichnis fehlt", "Il manque un répertoire") \
        X(FILE_EXISTS,               "Eine Datei dieses Namens gibt es schon", "Un fichier de ce nom existe déjà") \
        X(NAME_INVALID,              "Ein Pfad enthält, was darin nicht erlaubt ist", "Un chemin contient ce qui n’y est pas permis") \
        X(BAD_PATH,                  "Der Pfad ist leer oder nicht absolut", "Le chemin est vide ou n’est pas absolu") \
        X(PATH_TOO_LONG,             "Der Pfad ist zu lang", "Le chemin est trop long") \
        X(FILE_READ_ONLY,            "Die Datei kann nur gelesen werden", "Le fichier ne peut être que lu") \
        X(PARENT_IN_USE,             "Eine andere Festplatte beruht auf der übergeordneten", "Un autre disque dur repose sur le disque parent") \
        X(FILE_TOO_LARGE,            "So groß kann eine Datei dort nicht sein", "Un fichier ne peut pas être aussi grand à cet endroit") \
        X(WRONG_DISK_TYPE,           "Die Festplattendatei ist vom falschen Typ", "L’image de disque dur n’est pas du bon type") \
        X(INVALID_DISK_IMAGE,        "Die Datei ist keine Festplattendatei oder beschädigt", "Le fichier n’est pas une image de disque dur ou est endommagé") \
        X(SIZE_TOO_LARGE,            "Die Festplatte würde zu groß", "Le disque dur serait trop grand") \
        X(SIZE_TOO_SMALL,            "Die Festplatte würde zu klein", "Le disque dur serait trop petit") \
        X(PARENT_NOT_FOUND,          "Die übergeordnete Festplatte fehlt", "Le disque dur parent est introuvable") \
        X(INVALID_BUNDLE,            "Das Verzeichnis enthält nicht, was ein Export geschrieben hat", "Le répertoire ne contient pas ce qu’une exportation a écrit") \
        X(NAME_EMPTY,                "Der Name ist leer", "Le nom est vide") \
        X(NAME_TOO_LONG,             "Der Name ist länger als 80 Zeichen", "Le nom dépasse 80 caractères") \
        X(NAME_INVALID_CHAR,         "Der Name enthält ein unerlaubtes Zeichen", "Le nom contient un caractère interdit") \
        X(DUPLICATE_NAME,            "Eine andere virtuelle Maschine hat diesen Namen oder diese Kennung", "Une autre machine virtuelle porte ce nom ou cet identifiant") \
        X(BACKEND,                   "Der Hypervisor meldet einen Fehler", "L’hyperviseur a signalé une erreur")
/* clang-format on */
