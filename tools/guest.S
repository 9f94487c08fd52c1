/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The guest of ./demo and of the tests: one boot sector, 512 bytes, no other file.
 *
 * It answers the only questions that a save and a restore raise. Is the memory back? The first word of
 * each page holds the page's own address; a part of the pages is checked at each tick, and a page that
 * differs stops the guest with the line "damaged". Did the guest go on, or boot again? It counts: a
 * restored guest continues the count, one that booted again says "ready" and begins at 1.
 *
 * On COM1 it prints, at the 18.2 Hz of the PC's timer,
 *
 *         ready
 *         tick 00000001
 *         tick 00000002
 *         ...
 *
 * and sleeps in between. Every page is non-zero, so that a saved state is as large as the memory (32 MiB
 * to 2 GiB, the size is asked of the CMOS), and each tick writes to one MiB of it.
 *
 * What is the disk like? Before a tick is printed, its number goes to the first IDE disk: into the second word
 * of sector 1, little-endian. A tick is left out while the one before is still being written. Without such a
 * disk, or when a write has failed, nothing is written.
 *
 * It obeys single letters that come in on COM1: p powers off (ACPI), r presses the reset line, c reports a
 * crash (to a "panic" device, <panic model='isa'/>).
 *
 * Built by tools/guest.sh. Runs on QEMU's "pc" and "q35" machines with SeaBIOS, not elsewhere: it knows
 * where they have the PM port and what the BIOS leaves in PIT and PIC. */

        .set    COM1,        0x3f8
        .set    LINE_STATUS, 5                  /* offset of a port's status register: */
        .set    CAN_READ,    0x01
        .set    CAN_WRITE,   0x20
        .set    PM1A_CNT,    0x604              /* where SeaBIOS puts PIIX4's and ICH9's */
        .set    SLEEP_S5,    0x2000
        .set    PANIC,       0x505

        .set    ATA,         0x1f0              /* the first IDE disk; offsets of its ports: */
        .set    ATA_COUNT,   2
        .set    ATA_DEVICE,  6
        .set    ATA_COMMAND, 7                  /* read: the status */
        .set    ATA_IDLE,    0x50               /* status: ready and nothing else; no controller: 0xff */
        .set    ATA_WRITE,   0x30

        .set    PAGE,        4096
        .set    FIRST_PAGE,  0x100000           /* below 1 MiB live we and the BIOS */
        .set    DIRTY_PAGES, 256                /* written each tick: 1 MiB */
        .set    CHECK_PAGES, 4096               /* checked each tick: 16 MiB */

        .code16
        .globl  _start
_start: cli
        xorw    %ax, %ax
        movw    %ax, %ds
        inb     $0x92, %al                      /* A20 */
        orb     $2, %al
        outb    %al, $0x92
        lgdtl   gdt_pointer
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $8, $protected

        .code32
protected:
        movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $0x7000, %esp

        /* The end of memory: CMOS 0x34 and 0x35 hold the 64 KiB blocks above 16 MiB. The last MiB
         * belongs to the BIOS. */
        xorl    %edx, %edx
        movb    $0x35, %al
        outb    %al, $0x70
        inb     $0x71, %al
        movb    %al, %dh
        movb    $0x34, %al
        outb    %al, $0x70
        inb     $0x71, %al
        movb    %al, %dl
        addl    $0x100 - 0x10, %edx
        shll    $16, %edx
        movl    %edx, memory_end

        movl    $FIRST_PAGE, %edi
fill:   movl    %edi, (%edi)
        addl    $PAGE, %edi
        cmpl    memory_end, %edi
        jb      fill

        movl    $ready, %esi
        call    print

        movb    $0xfe, %al                      /* of all interrupts only the timer */
        outb    %al, $0x21
        lidtl   idt_pointer
        xorl    %ebp, %ebp                      /* the count */
        movl    $FIRST_PAGE, %ebx               /* the page to check next */

tick:   sti
        hlt
        cli
        incl    %ebp

        movl    $FIRST_PAGE, %edi
        movl    $DIRTY_PAGES, %ecx
dirty:  movl    %ebp, 4(%edi)
        addl    $PAGE, %edi
        loop    dirty

        movw    $ATA + ATA_COMMAND, %dx
        inb     %dx, %al
        cmpb    $ATA_IDLE, %al
        jne     written
        decl    %edx                            /* the device: LBA, disk 0 */
        movb    $0xe0, %al
        outb    %al, %dx
        movb    $(ATA + ATA_COUNT) & 0xff, %dl  /* one sector */
        movb    $1, %al
        outb    %al, %dx
        incl    %edx                            /* number 1 */
        outb    %al, %dx
        decl    %eax                            /* al = 0 */
        incl    %edx
        outb    %al, %dx
        incl    %edx
        outb    %al, %dx
        movb    $(ATA + ATA_COMMAND) & 0xff, %dl
        movb    $ATA_WRITE, %al
        outb    %al, %dx
        movb    $ATA & 0xff, %dl
        movl    $FIRST_PAGE, %esi               /* its second word is the count */
        movb    $512 / 4, %cl
        rep     outsl

written:
        movl    $CHECK_PAGES, %ecx
check:  cmpl    %ebx, (%ebx)
        jne     damage
        addl    $PAGE, %ebx
        cmpl    memory_end, %ebx
        jb      1f
        movl    $FIRST_PAGE, %ebx
1:      loop    check

        movl    $tick_text, %esi
        call    print
        movl    %ebp, %edx
        movb    $8, %cl
digit:  roll    $4, %edx
        movb    %dl, %al
        andb    $15, %al
        cmpb    $10, %al                        /* carry: 0 to 9 */
        sbbb    $0x69, %al
        das                                     /* the old trick: now '0' to '9', 'A' to 'F' */
        call    put
        loop    digit
        movb    $'\n', %al
        call    put

        movw    $COM1 + LINE_STATUS, %dx
        inb     %dx, %al
        testb   $CAN_READ, %al
        jz      tick
        movb    $COM1 & 0xff, %dl
        inb     %dx, %al
        cmpb    $'p', %al
        je      power_off
        cmpb    $'r', %al
        je      reset
        cmpb    $'c', %al
        jne     tick
        movw    $PANIC, %dx
        movb    $1, %al
        outb    %al, %dx
        jmp     tick

power_off:
        movw    $PM1A_CNT, %dx
        movw    $SLEEP_S5, %ax
        outw    %ax, %dx
        jmp     tick

reset:  movb    $0xfe, %al
        outb    %al, $0x64
        jmp     tick

damage: movl    $damaged, %esi
        call    print
        cli
        hlt

/* Prints the text at %esi. */
print:  lodsb
        testb   %al, %al
        jz      1f
        call    put
        jmp     print
1:      ret

/* Prints the character in %al. */
put:    pushl   %edx
        pushl   %eax
        movw    $COM1 + LINE_STATUS, %dx
1:      inb     %dx, %al
        testb   $CAN_WRITE, %al
        jz      1b
        popl    %eax
        movw    $COM1, %dx
        outb    %al, %dx
        popl    %edx
        ret

/* The timer has done its duty when it has ended the hlt. */
timer:  movb    $0x20, %al
        outb    %al, $0x20
        iret

ready:          .asciz  "ready\n"
tick_text:      .asciz  "tick "
damaged:        .asciz  "damaged\n"

        .align  4
gdt:            .quad   0
                .quad   0x00cf9a000000ffff      /* 8: code, 4 GiB */
                .quad   0x00cf92000000ffff      /* 16: data, 4 GiB */
gdt_pointer:    .word   . - gdt - 1
                .long   gdt

/* Of the interrupt table only entry 8 is ever used: the BIOS has the timer there. */
timer_gate:     .word   timer, 8, 0x8e00, 0
idt_pointer:    .word   9 * 8 - 1
                .long   timer_gate - 8 * 8

        .set    memory_end, 0x6000

        .org    510
        .word   0xaa55
