/* A clock that runs at another rate, for one process that loads this with LD_PRELOAD.
 *
 * Programs read the clock in the vDSO, some without the C library, so nothing that only replaces the
 * library's functions reaches all of them. This replaces the first instructions of the vDSO's
 * clock_gettime, in this process alone, by a jump to `scaled`. CLOCK_MONOTONIC and CLOCK_BOOTTIME run at
 * the rate that stands in the file CHAOS_CLOCK, which may change at any time. All other
 * clocks stay right: CLOCK_MONOTONIC_RAW for those who judge. Waits of the kernel are made as much
 * longer or shorter as the clock is slower or faster. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BILLION 1000000000LL
#define MILLION 1000000LL

/* What the file holds; whoever writes it makes `turn` odd before and even after. */
struct rate {
    uint64_t turn;
    int64_t monotonic_began_ns, boottime_began_ns; /* since when the rate holds */
    int64_t skew_ns;                               /* how far the clock was off then */
    int64_t ppm;                                   /* how much faster it runs, in millionths */
};

static const volatile struct rate *shared;

/* System calls without the library's `syscall`, which is replaced below. */
static long call6(long number, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#else
#error "unknown processor"
#endif
}

static long returned(long result) {
    if (result >= 0) return result;
    errno = (int)-result;
    return -1;
}

static struct rate rate_now(void) {
    struct rate rate;
    uint64_t turn;
    do {
        turn = __atomic_load_n(&shared->turn, __ATOMIC_ACQUIRE);
        memcpy(&rate, (const void *)shared, sizeof rate);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (turn % 2 == 1 || turn != __atomic_load_n(&shared->turn, __ATOMIC_RELAXED));
    return rate;
}

static int64_t real_ns(clockid_t clock, long *failed) {
    struct timespec now = {0, 0};
    *failed = call6(SYS_clock_gettime, clock, (long)&now, 0, 0, 0, 0);
    return now.tv_sec * BILLION + now.tv_nsec;
}

static int64_t fake_ns(const struct rate *rate, clockid_t clock, int64_t real) {
    int is_boot = clock == CLOCK_BOOTTIME;
    int64_t began = is_boot ? rate->boottime_began_ns : rate->monotonic_began_ns;
    return real + rate->skew_ns + (real - began) / 1000 * rate->ppm / 1000;
}

/* How long a wait of the fake clock takes on the real one. */
static int64_t real_span(int64_t fake) { return fake * MILLION / (MILLION + rate_now().ppm); }

static int scaled(clockid_t clock, struct timespec *time) {
    long failed;
    int64_t ns = real_ns(clock, &failed);
    if (failed) return (int)failed;
    if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_BOOTTIME) {
        struct rate rate = rate_now();
        ns = fake_ns(&rate, clock, ns);
    }
    time->tv_sec = ns / BILLION;
    time->tv_nsec = ns % BILLION;
    return 0;
}

int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms) {
    if (timeout_ms > 0) timeout_ms = (int)real_span(timeout_ms * 1000LL + 999) / 1000;
    return (int)returned(call6(SYS_epoll_pwait, epoll, (long)events, max, timeout_ms, 0, 8));
}

static struct timespec as_timespec(int64_t ns) {
    struct timespec time = {ns / BILLION, ns % BILLION};
    return time;
}

/* The right moment at which the fake monotonic clock will show `until`. */
static struct timespec real_moment(const struct timespec *until) {
    long failed;
    struct rate rate = rate_now();
    int64_t now = real_ns(CLOCK_MONOTONIC, &failed);
    int64_t left = until->tv_sec * BILLION + until->tv_nsec - fake_ns(&rate, CLOCK_MONOTONIC, now);
    int64_t real = now + left / 1000 * MILLION / (MILLION + rate.ppm) * 1000;
    return as_timespec(real < 0 ? 0 : real);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *span, struct timespec *left) {
    struct timespec real = *span;
    if (clock == CLOCK_MONOTONIC && flags == TIMER_ABSTIME)
        real = real_moment(span);
    else if (flags == 0)
        real = as_timespec(real_span((span->tv_sec * BILLION + span->tv_nsec) / 1000) * 1000);
    return (int)-call6(SYS_clock_nanosleep, clock, flags, (long)&real, (long)left, 0, 0);
}

int nanosleep(const struct timespec *span, struct timespec *left) {
    return (int)returned(-clock_nanosleep(CLOCK_MONOTONIC, 0, span, left));
}

/* Waits on a futex until a moment of the monotonic clock come through here. */
long syscall(long number, ...) {
    va_list list;
    va_start(list, number);
    long a[6];
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    struct timespec until;
    if (number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET &&
        !(a[1] & FUTEX_CLOCK_REALTIME) && a[3] != 0) {
        until = real_moment((const struct timespec *)a[3]);
        a[3] = (long)&until;
    }
    return returned(call6(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}

static void give_up(const char *why) {
    fprintf(stderr, "clock_rate: %s\n", why);
    _exit(70);
}

static char *vdso_function(const char *first, const char *second) {
    char *base = (char *)getauxval(AT_SYSINFO_EHDR);
    if (!base) give_up("the kernel gives no vDSO");
    Elf64_Ehdr *header = (Elf64_Ehdr *)base;
    Elf64_Phdr *part = (Elf64_Phdr *)(base + header->e_phoff);
    Elf64_Sym *symbols = 0;
    const char *names = 0;
    for (int i = 0; i < header->e_phnum; i++) {
        if (part[i].p_type != PT_DYNAMIC) continue;
        for (Elf64_Dyn *entry = (Elf64_Dyn *)(base + part[i].p_offset); entry->d_tag; entry++) {
            if (entry->d_tag == DT_SYMTAB) symbols = (Elf64_Sym *)(base + entry->d_un.d_ptr);
            if (entry->d_tag == DT_STRTAB) names = base + entry->d_un.d_ptr;
        }
    }
    if (!symbols || !names) give_up("the vDSO has no symbols");
    /* The names stand behind the symbols. */
    for (Elf64_Sym *symbol = symbols; (const char *)(symbol + 1) <= names; symbol++) {
        const char *name = names + symbol->st_name;
        if (!strcmp(name, first) || !strcmp(name, second)) return base + symbol->st_value;
    }
    give_up("the vDSO has no clock_gettime");
    return 0;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CHAOS_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) give_up("CHAOS_CLOCK names no file");
    shared = mmap(0, sizeof *shared, PROT_READ, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED) give_up("the file can't be mapped");
    close(file);

    char *entry = vdso_function("__vdso_clock_gettime", "__kernel_clock_gettime");
    uint64_t target = (uint64_t)(uintptr_t)scaled;
#if defined(__x86_64__)
    unsigned char jump[12] = {0x48, 0xb8, [10] = 0xff, 0xe0}; /* mov rax, target; jmp rax */
    memcpy(jump + 2, &target, sizeof target);
#else
    unsigned char jump[16] = {0x50, 0, 0, 0x58, 0, 0x02, 0x1f, 0xd6}; /* ldr x16, target; br x16 */
    memcpy(jump + 8, &target, sizeof target);
#endif
    /* As a debugger sets a breakpoint: the kernel gives this process a copy of the page. */
    int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    if (pwrite(memory, jump, sizeof jump, (off_t)(uintptr_t)entry) != (ssize_t)sizeof jump)
        give_up("the kernel lets nobody change the vDSO");
    close(memory);
    __builtin___clear_cache(entry, entry + sizeof jump);
}
