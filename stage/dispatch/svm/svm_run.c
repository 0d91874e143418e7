/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A guest's turn: entered, and entered again after each exit that does not end it. Everything in the VMCB but what
 * svm_guest_enter_state put there is the guest's word. */

#include "svm.h"

#include "chain/x86_registers.h"
#include "stage/cpu.h"
#include "stage/pages.h"

#include <string.h>

enum {
	CODE32 = 0xc9b,
	DATA32 = 0xc93,
	TSS32 = 0x8b,
	LDT = 0x82, /* segment attributes: flat, 4 GiB, present, accessed */
	CR0_NOT_WRITE_THROUGH = 1 << 29,
	CR0_CACHE = 3 << 29,
	CR4_OSXSAVE = 1 << 18,
	CS_LONG_AND_32 = 3 << 9,
	GENERAL_PROTECTION = 13,
	RFLAGS_FIXED = 2,
	RFLAGS_INTERRUPTS = 1 << 9,
	DR6_FIRST = (int)0xffff0ff0,
	DR7_FIRST = 0x400,
	ASID = 1,
	VGA_TEXT = 0xb8000,
};
#define PAT_FIRST       0x0007040600070406ull /* APM 7.8.2 */
#define FOR_HYPERVISORS "an instruction for hypervisors or processor management, exit"
#define FIRST(exit)     (1u << ((exit)-0x60))
#define SECOND(exit)    (1u << ((exit)-0x80))
#define THIRD(exit)     (1u << ((exit)-0xa0))

static void set_intercepts(struct svm_vmcb *v)
{
	v->intercept_dr = UINT32_MAX; /* nothing is kept of them between kernels; and enough of them end QEMU 7.2 */
	/* Exceptions of a kind that can keep a processor busy for ever while they are delivered, so that nothing gets
	 * through to it. */
	v->intercept_exceptions = 1u << (SVM_EXIT_DEBUG - 0x40) | 1u << (SVM_EXIT_ALIGNMENT - 0x40);
	v->intercept_first = FIRST(SVM_EXIT_INTR) | FIRST(SVM_EXIT_NMI) | FIRST(SVM_EXIT_RDPMC) |
			     FIRST(SVM_EXIT_CPUID) | FIRST(SVM_EXIT_RSM) | FIRST(SVM_EXIT_INVD) | FIRST(SVM_EXIT_HLT) |
			     FIRST(SVM_EXIT_INVLPGA) | FIRST(SVM_EXIT_IO) | FIRST(SVM_EXIT_MSR) |
			     FIRST(SVM_EXIT_FERR_FREEZE) | FIRST(SVM_EXIT_SHUTDOWN);
	v->intercept_second = SECOND(SVM_EXIT_VMRUN) | SECOND(SVM_EXIT_VMMCALL) | SECOND(SVM_EXIT_VMLOAD) |
			      SECOND(SVM_EXIT_VMSAVE) | SECOND(SVM_EXIT_STGI) | SECOND(SVM_EXIT_CLGI) |
			      SECOND(SVM_EXIT_SKINIT) | SECOND(SVM_EXIT_WBINVD) | SECOND(SVM_EXIT_MONITOR) |
			      SECOND(SVM_EXIT_MWAIT) | SECOND(SVM_EXIT_MWAIT_ARMED) | SECOND(SVM_EXIT_XSETBV) |
			      SECOND(SVM_EXIT_RDPRU);
	v->intercept_third = THIRD(SVM_EXIT_MCOMMIT);
}

void svm_guest_enter_state(struct svm_guest *g)
{
	const struct chain_plan *plan = &g->shared->guest.plan;
	const struct svm_segment data = { CHAIN_ENTRY_DATA, DATA32, UINT32_MAX, 0 };
	struct svm_vmcb *v = g->vmcb;
	memset(v, 0, sizeof(*v)); /* not by an initialiser: it would be made on a stack that is not larger */
	set_intercepts(v);
	v->iopm_phys = g->shared->maps_phys;
	v->msrpm_phys = g->shared->maps_phys + SVM_IOPM_BYTES;
	v->asid = ASID;
	v->tlb_control = SVM_TLB_FLUSH_ALL;
	v->virtual_interrupt = SVM_VIRTUAL_MASKING;
	v->nested_control = SVM_NESTED_ENABLE;
	v->nested_root = g->root_phys;
	v->es = v->ss = v->ds = v->fs = v->gs = data;
	v->cs = (struct svm_segment){ CHAIN_ENTRY_CODE, CODE32, UINT32_MAX, 0 };
	v->tr = (struct svm_segment){ 0, TSS32, 0xffff, 0 };
	v->ldtr = (struct svm_segment){ 0, LDT, 0xffff, 0 };
	v->efer = plan->entry.efer | EFER_SVME;
	v->cr0 = plan->entry.cr0;
	v->cr4 = plan->entry.cr4;
	v->dr6 = (uint32_t)DR6_FIRST;
	v->dr7 = DR7_FIRST;
	v->rflags = RFLAGS_FIXED;
	v->pat = PAT_FIRST;
	v->rip = plan->entry.address;
	v->rax = plan->entry.registers[CHAIN_RAX];
	v->rsp = plan->entry.registers[CHAIN_RSP];
}

/* --- exits --- */

static void keep_registers(const struct svm_guest *g, uint64_t out[STAGE_CALL_REGISTERS])
{
	out[0] = g->vmcb->rax;
	memcpy(out + 1, &g->registers.rbx, (STAGE_CALL_REGISTERS - 3) * sizeof(*out)); /* to r15 */
	out[STAGE_CALL_REGISTERS - 2] = g->vmcb->rsp;
	out[STAGE_CALL_REGISTERS - 1] = g->vmcb->rflags;
}

static bool end(struct svm_guest *g, struct stage_call_run *run, enum stage_call_outcome outcome, const char *what,
		uint64_t address)
{
	run->result.outcome = outcome;
	run->result.what = what;
	run->result.rip = g->vmcb->cs.base + g->vmcb->rip;
	run->result.address = address;
	keep_registers(g, run->result.registers);
	run->result.located = true;
	return false;
}

/* `bytes`: the instruction's, without prefixes, which none of those that are caught needs. */
static bool skip(struct svm_guest *g, unsigned bytes)
{
	struct svm_vmcb *v = g->vmcb;
	v->rip = g->shared->processor.tells_next && v->next_rip ? v->next_rip : v->rip + bytes;
	v->interrupt_shadow = 0;
	return true;
}

static bool follow(struct svm_guest *g, struct stage_call_run *run, enum svm_verdict verdict, uint64_t number)
{
	const struct svm_machine *m = &g->machine;
	if (verdict == SVM_NEEDS)
		return end(g, run, STAGE_CALL_REFUSED, m->what, number);
	run->result.exit = m->exit;
	run->result.mailbox_claimed = m->result_bytes;
	return end(g, run, m->outcome, m->what, 0);
}

/* An exception on the way to the guest's own handler; an error code is 0. */
static bool raise(struct svm_vmcb *v, uint32_t vector, uint32_t has_error)
{
	v->event_injection = SVM_EVENT_VALID | SVM_EVENT_EXCEPTION | has_error | vector;
	return true;
}

static bool on_io(struct svm_guest *g, struct stage_call_run *run)
{
	struct svm_vmcb *v = g->vmcb;
	uint64_t info = v->exit_info1;
	unsigned bytes = info >> SVM_IO_BYTES_SHIFT & 7;
	uint16_t port = (uint16_t)(info >> SVM_IO_PORT_SHIFT);
	uint32_t value = (uint32_t)v->rax;
	if (info & SVM_IO_STRING || (bytes != 1 && bytes != 2 && bytes != 4))
		return end(g, run, STAGE_CALL_REFUSED, "string input or output, port", port);
	enum svm_verdict verdict = svm_machine_port(&g->machine, info & SVM_IO_IN, port, bytes, &value);
	if (verdict != SVM_GO_ON)
		return follow(g, run, verdict, port);
	if (info & SVM_IO_IN && bytes == 4)
		v->rax = value; /* a 32-bit result clears the upper half */
	else if (info & SVM_IO_IN)
		v->rax = (v->rax & ~((1ull << 8 * bytes) - 1)) | (value & ((1u << 8 * bytes) - 1));
	v->rip = v->exit_info2;
	v->interrupt_shadow = 0;
	return true;
}

static bool on_cpuid(struct svm_guest *g)
{
	struct svm_vmcb *v = g->vmcb;
	struct stage_svm_registers *regs = &g->registers;
	uint32_t leaf = (uint32_t)v->rax;
	uint32_t sub = (uint32_t)regs->rcx;
	const struct svm_cpuid_view view = { v->cr4 & CR4_OSXSAVE, g->shared->clocks.tsc_khz,
					     g->shared->processor.own_xcr0 };
	struct stage_cpuid r = svm_cpuid(leaf, sub, stage_cpuid(leaf, sub), &view);
	v->rax = r.a;
	regs->rbx = r.b;
	regs->rcx = r.c;
	regs->rdx = r.d;
	return skip(g, 2);
}

static bool on_msr(struct svm_guest *g, struct stage_call_run *run)
{
	struct svm_vmcb *v = g->vmcb;
	struct stage_svm_registers *regs = &g->registers;
	bool write = v->exit_info1;
	uint64_t value = regs->rdx << 32 | (uint32_t)v->rax;
	enum svm_verdict verdict =
		svm_msr(&g->machine, write, (uint32_t)regs->rcx, &value, v->cr0 & CR0_PG, &v->efer, &v->pat);
	if (verdict == SVM_PROTECTION)
		return raise(v, GENERAL_PROTECTION, SVM_EVENT_HAS_ERROR);
	if (verdict != SVM_GO_ON)
		return follow(g, run, verdict, (uint32_t)regs->rcx);
	if (!write) {
		v->rax = (uint32_t)value;
		regs->rdx = value >> 32;
	}
	return skip(g, 2);
}

/* Any part of what the processor runs with may be asked for, but nothing can be taken away or added: it stays as the
 * stage has it. */
static bool on_xsetbv(struct svm_guest *g, struct stage_call_run *run)
{
	uint64_t value = g->registers.rdx << 32 | (uint32_t)g->vmcb->rax;
	if ((uint32_t)g->registers.rcx || !(value & 1) || value & ~g->shared->processor.own_xcr0)
		return end(g, run, STAGE_CALL_REFUSED, "processor state, XCR0", value);
	return skip(g, 3);
}

static bool on_halt(struct svm_guest *g, struct stage_call_run *run)
{
	uint16_t lines = svm_machine_lines(&g->machine);
	if (g->vmcb->rflags & RFLAGS_INTERRUPTS && lines)
		return end(g, run, STAGE_CALL_REFUSED, "an interrupt to wake it from HLT, PIC lines unmasked", lines);
	if (g->vmcb->rflags & RFLAGS_INTERRUPTS)
		return end(g, run, STAGE_CALL_REFUSED, "an interrupt to wake it from HLT, flags", g->vmcb->rflags);
	return end(g, run, STAGE_CALL_HALTED, "it halted", 0);
}

static bool on_nested_fault(struct svm_guest *g, struct stage_call_run *run)
{
	const char *device = svm_device_at(g->vmcb->exit_info2);
	return end(g, run, device ? STAGE_CALL_REFUSED : STAGE_CALL_FAULTED,
		   device ? device : "access outside of its memory", g->vmcb->exit_info2);
}

static struct svm_entered note(const struct svm_vmcb *v)
{
	return (struct svm_entered){ v->rip, v->rsp, v->rax, v->rflags, v->cr0, v->cr4, v->efer, v->cs };
}

static void put_back(struct svm_vmcb *v, const struct svm_entered *e)
{
	v->rip = e->rip;
	v->rsp = e->rsp;
	v->rax = e->rax;
	v->rflags = e->rflags;
	v->cr0 = e->cr0;
	v->cr4 = e->cr4;
	v->efer = e->efer;
	v->cs = e->cs;
}

/* What of it VMRUN refuses (APM 15.5.1); null: nothing that is looked for. */
static const char *find_invalid(const struct svm_entered *e, uint64_t *value)
{
	bool long_mode = e->efer & EFER_LME && e->cr0 & CR0_PG;
	*value = e->cr0;
	if (e->cr0 >> 32 || (e->cr0 & CR0_CACHE) == CR0_NOT_WRITE_THROUGH)
		return "a state that no processor can be in, CR0";
	*value = e->cr4;
	if (e->cr4 >> 32 || (long_mode && !(e->cr4 & CR4_PAE)))
		return "a state that no processor can be in, CR4";
	*value = e->cs.attributes;
	if (long_mode && (e->cs.attributes & CS_LONG_AND_32) == CS_LONG_AND_32)
		return "a state that no processor can be in, attributes of CS";
	return NULL;
}

/* A processor has its guest fault. QEMU's emulation lets some of it pass until VMRUN refuses it, and then puts parts of
 * the host's own state where the guest's was. Bits that are reserved in CR3 and CR4 end the guest at once, with its
 * state in place. */
static bool on_invalid(struct svm_guest *g, struct stage_call_run *run)
{
	uint64_t value;
	const char *what = find_invalid(&g->entered, &value);
	if (what || (g->vmcb->cr3 & ~(uint64_t)(STAGE_PAGE - 1)) == run->stage_root)
		put_back(g->vmcb, &g->entered);
	return end(g, run, STAGE_CALL_FAULTED, what ? what : "reserved bits set in CR3, CR4 or EFER, which is",
		   what ? value : g->vmcb->efer);
}

/* Of all that hypervisors do, this is what a kernel may come to without knowing: the BIOS, in real mode. */
static bool on_vmmcall(struct svm_guest *g, struct stage_call_run *run)
{
	const struct svm_vmcb *v = g->vmcb;
	uint64_t number = (CHAIN_GUEST_BIOS - v->cs.base) / 16;
	if (v->cs.base + v->rip == CHAIN_GUEST_BIOS && number < 256)
		return end(g, run, STAGE_CALL_REFUSED, "the BIOS, interrupt", number);
	return end(g, run, STAGE_CALL_FAULTED, FOR_HYPERVISORS, v->exit_code);
}

/* True: it goes on. */
static bool on_exit(struct svm_guest *g, struct stage_call_run *run)
{
	struct svm_vmcb *v = g->vmcb;
	switch ((int32_t)v->exit_code) {
	case SVM_EXIT_IO:
		return on_io(g, run);
	case SVM_EXIT_CPUID:
		return on_cpuid(g);
	case SVM_EXIT_MSR:
		return on_msr(g, run);
	case SVM_EXIT_XSETBV:
		return on_xsetbv(g, run);
	case SVM_EXIT_HLT:
		return on_halt(g, run);
	case SVM_EXIT_INVD: /* the machine's caches are not the guest's to drop, nor to empty under its neighbours */
	case SVM_EXIT_WBINVD:
		return skip(g, 2);
	case SVM_EXIT_NMI: /* the host has taken it by now */
	case SVM_EXIT_INTR:
		v->event_injection = v->exit_interrupt;
		return true;
	case SVM_EXIT_DEBUG:
		return raise(v, SVM_EXIT_DEBUG - 0x40, 0);
	case SVM_EXIT_ALIGNMENT:
		return raise(v, SVM_EXIT_ALIGNMENT - 0x40, SVM_EVENT_HAS_ERROR);
	case SVM_EXIT_READ_DR0 ... SVM_EXIT_WRITE_DR15:
		return end(g, run, STAGE_CALL_REFUSED, "a debug register", v->exit_code & 15);
	case SVM_EXIT_SHUTDOWN:
		return end(g, run, STAGE_CALL_FAULTED, "triple fault", v->cr2);
	case SVM_EXIT_NESTED_FAULT:
		return on_nested_fault(g, run);
	case SVM_EXIT_INVALID:
		return on_invalid(g, run);
	case SVM_EXIT_VMMCALL:
		return on_vmmcall(g, run);
	default:
		return end(g, run, STAGE_CALL_FAULTED, FOR_HYPERVISORS, v->exit_code);
	}
}

/* The guest is unpaged and in 32-bit mode (chain_guest_check): RAX and RSP are the control block's, the others are
 * loaded before it runs. */
static void take_registers(struct stage_svm_registers *out, const struct chain_entry *entry)
{
	out->rbx = entry->registers[CHAIN_RBX];
	out->rcx = entry->registers[CHAIN_RCX];
	out->rdx = entry->registers[CHAIN_RDX];
	out->rsi = entry->registers[CHAIN_RSI];
	out->rdi = entry->registers[CHAIN_RDI];
	out->rbp = entry->registers[CHAIN_RBP];
}

void svm_guest_say_rest(struct svm_guest *g, struct stage_call_result *result)
{
	uint16_t lines = svm_machine_lines(&g->machine);
	if (result->outcome == STAGE_CALL_TIMED_OUT && lines) {
		result->what = "no interrupt comes under isolation svm, PIC lines unmasked";
		result->address = lines;
	}
	svm_machine_flush(&g->machine);
	svm_machine_screen(&g->machine, stage_phys_to_virt(g->memory_phys + VGA_TEXT));
}

/* The ticker's NMI finds the turn by the processor's block; see call_run.c. */
void svm_guest_run(struct svm_guest *g, struct stage_call_run *run)
{
	struct stage_cpu *cpu = stage_cpu();
	struct svm_vmcb *v = g->vmcb;
	bool more = true;
	run->result = (struct stage_call_result){ .outcome = STAGE_CALL_TIMED_OUT };
	run->stage_root = stage_read_cr3() & ~(uint64_t)(STAGE_PAGE - 1);
	cpu->call = run;
	uint64_t start = stage_rdtsc();
	stage_svm_prepare(&g->shared->processor, g->host_save_phys, &g->registers);
	take_registers(&g->registers, &g->shared->guest.plan.entry);
	while (more && !stage_call_run_is_over(run)) {
		g->entered = note(v);
		stage_svm_enter(&g->registers, g->vmcb_phys, g->host_phys);
		v->tlb_control = 0;
		v->event_injection = 0;
		more = on_exit(g, run);
	}
	stage_svm_leave(&g->shared->processor);
	run->result.ticks = stage_rdtsc() - start;
	svm_guest_say_rest(g, &run->result);
	cpu->call = NULL;
}
