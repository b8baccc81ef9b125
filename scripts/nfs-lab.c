/*
 * Loaded into User Mode Linux (LD_PRELOAD) by scripts/nfs-lab.sh on processors with AMX.
 *
 * User Mode Linux 6.1 keeps the extended registers of a guest's process in a buffer that ends with those of AVX-512.
 * Reading them into it is fine, since the kernel tells as much as there is room for; but it sets all of them or none,
 * and with AMX there are 8 KB more (EFAULT: "ptrace set fp regs failed"). So the rest is read first and set again.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef long ptrace_function(enum __ptrace_request, ...);

long ptrace(enum __ptrace_request request, ...)
{
	static ptrace_function *next;
	static char registers[1 << 16];
	struct iovec whole = {registers, sizeof registers}, *part;
	va_list arguments;
	pid_t pid;
	void *address, *data;

	va_start(arguments, request);
	pid = va_arg(arguments, pid_t);
	address = va_arg(arguments, void *);
	data = part = va_arg(arguments, void *);
	va_end(arguments);
	if (!next)
		next = (ptrace_function *)dlsym(RTLD_NEXT, "ptrace");

	if (request != PTRACE_SETREGSET || address != (void *)NT_X86_XSTATE ||
	    next(PTRACE_GETREGSET, pid, address, &whole) != 0 || whole.iov_len <= part->iov_len)
		return next(request, pid, address, data);
	memcpy(registers, part->iov_base, part->iov_len);
	return next(request, pid, address, &whole);
}
