/*
 * A plugin for qemu's user-mode emulation of AArch64 that counts executed instructions by class.
 *
 * Whenever the guest sets a mark, the counts so far are appended to FOLDER/counts-PID.jsonl as one JSON object. A mark
 * is getpriority(PRIO_PROCESS, MARK + number): a system call that changes nothing and that no program makes by chance
 * with such a process number (there is no such process; the kernel answers ESRCH).
 *
 * Built with -DPLUGIN_API=N, the plugin interface of the qemu at hand; distributions ship no header for it, so what is
 * used of it is declared here:
 *   1  qemu 6.0 to 8.2
 *   2  qemu 9.0: additions to memory must be per processor
 *   3  qemu 9.1 and newer: an instruction's bytes are copied out, not pointed to
 * Calling a function at each block works in all of them alike.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef PLUGIN_API
#error "define PLUGIN_API as the version of qemu's plugin interface"
#endif

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum callback_flags { NO_REGISTERS = 0 };

/* The beginning of qemu's structure of this name; what follows in it is of system emulation. */
struct plugin_info {
    const char *target_name;
    struct { int minimum, current; } version;
    bool system_emulation;
};

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), enum callback_flags,
                                          void *);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t,
                                                              uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                                              uint64_t));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
#if PLUGIN_API >= 3
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
#else
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
#endif

EXPORT int qemu_plugin_version = PLUGIN_API;

enum { GETPRIORITY = 141, PRIO_PROCESS_ARGUMENT = 0, MARK = 0x70740000, MARK_MASK = 0x7fff0000 };

enum class { TOTAL, DOT, I8MM, BF16, FMLA32, FMLA16, MLAL, SVE, SME, LOAD_STORE_SIMD, LOAD_STORE, CLASSES };

static const char *const names[CLASSES] = {
    "total", "dot", "i8mm", "bf16", "fmla32", "fmla16", "mlal", "sve", "sme", "load_store_simd", "load_store",
};

/* A translated block: how often it ran, and what one run of it executes. */
struct block {
    uint64_t runs;
    uint32_t per_run[CLASSES];
    struct block *next;
};

static struct block *blocks; /* every block ever translated; one that qemu translates anew is another one */
static int output = -1;

/* Encodings: Arm Architecture Reference Manual for A-profile (DDI 0487), C4.1 and the pages of each instruction. */
static const struct encoding {
    uint32_t mask, value;
    enum class class;
} encodings[] = {
    {0x9fe0fc00, 0x0e809400, DOT},    /* SDOT, UDOT (vector) */
    {0x9fc0f400, 0x0f80e000, DOT},    /* SDOT, UDOT (by element) */
    {0xbfe0fc00, 0x0e809c00, DOT},    /* USDOT (vector) */
    {0xbf40f400, 0x0f00f000, DOT},    /* SUDOT, USDOT (by element) */
    {0xdfe0fc00, 0x4e80a400, I8MM},   /* SMMLA, UMMLA */
    {0xffe0fc00, 0x4e80ac00, I8MM},   /* USMMLA */
    {0xffe0fc00, 0x6e40ec00, BF16},   /* BFMMLA */
    {0xbfe0fc00, 0x2e40fc00, BF16},   /* BFDOT (vector) */
    {0xbfc0f400, 0x0f40f000, BF16},   /* BFDOT (by element) */
    {0xbfe0fc00, 0x2ec0fc00, BF16},   /* BFMLALB, BFMLALT (vector) */
    {0xbfc0f400, 0x0fc0f000, BF16},   /* BFMLALB, BFMLALT (by element) */
    {0xbf60fc00, 0x0e20cc00, FMLA32}, /* FMLA, FMLS (vector), single precision */
    {0xbfc0b400, 0x0f801000, FMLA32}, /* FMLA, FMLS (by element), single precision */
    {0xbf60fc00, 0x0e400c00, FMLA16}, /* FMLA, FMLS (vector), half precision */
    {0xbfc0b400, 0x0f001000, FMLA16}, /* FMLA, FMLS (by element), half precision */
    {0x9f20dc00, 0x0e208000, MLAL},   /* SMLAL, UMLAL, SMLSL, UMLSL (vector), with their second halves */
    {0x9f00b400, 0x0f002000, MLAL},   /* the same by element */
    {0x9f20fc00, 0x0e20c000, MLAL},   /* SMULL, UMULL (vector) */
    {0x9f00f400, 0x0f00a000, MLAL},   /* SMULL, UMULL (by element) */
    {0x1e000000, 0x04000000, SVE},    /* the whole group */
    {0x9e000000, 0x80000000, SME},    /* the whole group */
    {0x0e000000, 0x0c000000, LOAD_STORE_SIMD},
    {0x0e000000, 0x08000000, LOAD_STORE},
};

static enum class classify(uint32_t word)
{
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
        if ((word & encodings[i].mask) == encodings[i].value) {
            return encodings[i].class;
        }
    }
    return TOTAL;
}

static uint32_t word_of(const struct qemu_plugin_insn *instruction)
{
    uint32_t word = 0;
#if PLUGIN_API >= 3
    qemu_plugin_insn_data(instruction, &word, sizeof word);
#else
    memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
#endif
    return word;
}

static void count_run(unsigned processor, void *data)
{
    (void)processor;
    __atomic_fetch_add(&((struct block *)data)->runs, 1, __ATOMIC_RELAXED);
}

static void translate(plugin_id id, struct qemu_plugin_tb *translated)
{
    (void)id;
    struct block *block = calloc(1, sizeof *block);
    if (!block) {
        abort(); /* a count that misses a block would be wrong in silence */
    }
    size_t length = qemu_plugin_tb_n_insns(translated);
    block->per_run[TOTAL] = (uint32_t)length;
    for (size_t i = 0; i < length; i++) {
        enum class class = classify(word_of(qemu_plugin_tb_get_insn(translated, i)));
        if (class != TOTAL) {
            block->per_run[class]++;
        }
    }
    block->next = __atomic_load_n(&blocks, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&blocks, &block->next, block, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
    }
    qemu_plugin_register_vcpu_tb_exec_cb(translated, count_run, NO_REGISTERS, block);
}

static void write_mark(unsigned number)
{
    uint64_t counts[CLASSES] = {0};
    for (struct block *block = __atomic_load_n(&blocks, __ATOMIC_ACQUIRE); block; block = block->next) {
        uint64_t runs = __atomic_load_n(&block->runs, __ATOMIC_RELAXED);
        for (int class = 0; class < CLASSES; class++) {
            counts[class] += runs * block->per_run[class];
        }
    }
    char line[1024];
    int length = snprintf(line, sizeof line, "{\"mark\":%u", number);
    for (int class = 0; class < CLASSES; class++) {
        length += snprintf(line + length, sizeof line - (size_t)length, ",\"%s\":%" PRIu64, names[class], counts[class]);
    }
    length += snprintf(line + length, sizeof line - (size_t)length, "}\n");
    if (write(output, line, (size_t)length) != length) {
        return; /* the reader finds the mark missing and says so */
    }
}

static void see_call(plugin_id id, unsigned processor, int64_t call, uint64_t which, uint64_t who, uint64_t a3,
                     uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)processor, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (call == GETPRIORITY && which == PRIO_PROCESS_ARGUMENT && (who & MARK_MASK) == MARK) {
        write_mark((unsigned)(who & 0xffff));
    }
}

EXPORT int qemu_plugin_install(plugin_id id, const struct plugin_info *info, int argc, char **argv)
{
    static const char option[] = "folder=";
    const char *folder = NULL;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], option, sizeof option - 1)) {
            folder = argv[i] + sizeof option - 1;
        }
    }
    if (!folder || strcmp(info->target_name, "aarch64")) {
        fprintf(stderr, "instructions.so counts aarch64 into folder=FOLDER, got target %s, folder %s\n",
                info->target_name, folder ? folder : "none");
        return 1;
    }
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/counts-%ld.jsonl", folder, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof path) {
        fprintf(stderr, "instructions.so: the name of folder %s is too long\n", folder);
        return 1;
    }
    output = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (output < 0) {
        perror(path);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_vcpu_syscall_cb(id, see_call);
    return 0;
}
