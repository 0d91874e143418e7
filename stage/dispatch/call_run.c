/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/call_run.h"

#include "stage/clock.h"
#include "stage/entry_area.h"
#include "stage/interrupts.h"
#include "abi/native.h"
#include "stage/pages.h"

/* stage/dispatch/call_enter.S: saves the stage's callee-saved registers and control words on its stack, notes the stack
 * pointer in *saved_rsp, loads `root` and leaves by the frame on the entry stack. stage_call_resume undoes that,
 * entered by iretq with RSP = saved_rsp. */
void stage_call_enter(uint64_t *saved_rsp, uint64_t root, uint64_t frame, const struct stage_cpu *cpu);
extern const uint8_t stage_call_resume[];
/* Calls work(run) on another stack. */
void stage_call_on_stack(uint64_t stack, void (*work)(struct stage_call_run *run), struct stage_call_run *run);

enum { RFLAGS_NONE = 2 }; /* interrupts off; the bit that is always set */

/* The call under way on this processor; null between calls. */
static struct stage_call_run *current(void)
{
	return stage_cpu()->call;
}

/* Makes the trap's return go to the stage instead of the kernel. */
static void take_back(struct stage_trap_frame *frame, enum stage_call_outcome outcome)
{
	struct stage_call_run *call = current();
	call->result.outcome = outcome;
	frame->cr3 = call->stage_root;
	frame->rip = (uint64_t)stage_call_resume;
	frame->rsp = call->saved_rsp;
	frame->cs = STAGE_SEL_CODE;
	frame->ss = STAGE_SEL_DATA;
	frame->rflags = RFLAGS_NONE;
}

static bool in_window(const struct stage_call_run *call, uint64_t virt, uint64_t bytes)
{
	for (size_t i = 0; i < sizeof(call->window.visible) / sizeof(call->window.visible[0]); i++) {
		struct chain_range seen = call->window.visible[i];
		if (virt >= seen.base && virt <= seen.end && bytes <= seen.end - virt)
			return true;
	}
	return false;
}

static uint64_t service_write(struct stage_call_run *call, uint64_t virt, uint64_t bytes)
{
	enum { WRITE_MAX = 4096 };
	if (bytes > WRITE_MAX || !in_window(call, virt, bytes))
		return UINT64_MAX;
	call->write(call, (const char *)virt, bytes); /* the window is mapped alike in the stage's tables */
	return bytes;
}

static uint64_t serve(struct stage_call_run *call, const struct stage_trap_frame *frame)
{
	switch (frame->rax) {
	case KCHAIN_SERVICE_WRITE:
		return service_write(call, frame->rdi, frame->rsi);
	case KCHAIN_SERVICE_CLOCK:
		stage_call_time_need_rate();
		return stage_clock_us();
	case KCHAIN_SERVICE_START:
		return call->start ? call->start(call, frame->rdi, frame->rsi) : UINT64_MAX;
	default:
		return UINT64_MAX;
	}
}

/* Runs on the stage's own stack below what it had on it when the kernel was entered, since the handlers' stacks are
 * small. The kernel has pointed SYSCALL at a handler of its own. An INT 2 that a kernel executes does not hold back
 * NMIs: one that comes now finds another stack than the handler that is under way. */
static void look_on_stage_stack(struct stage_call_run *call)
{
	enum { RED_ZONE = 128, NMI_HANDLER_MOST = STAGE_HANDLER_STACK_LEAST };
	static const uint32_t msrs[] = { 0xc0000081, 0xc0000082, 0xc0000084 }; /* STAR, LSTAR, SFMASK */
	uint64_t kernels[sizeof(msrs) / sizeof(msrs[0])];
	struct stage_cpu *cpu = stage_cpu();
	for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
		kernels[i] = stage_rdmsr(msrs[i]);
	stage_cpu_restore_syscall();
	cpu->stacks[STAGE_IST_NMI] -= NMI_HANDLER_MOST;
	stage_call_on_stack((call->saved_rsp - RED_ZONE) & ~(uint64_t)15, call->look, call);
	cpu->stacks[STAGE_IST_NMI] += NMI_HANDLER_MOST;
	for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
		stage_wrmsr(msrs[i], kernels[i]);
}

static bool is_over(struct stage_call_run *call, void (*look)(struct stage_call_run *run))
{
	if (call->look && call->time.ticked) {
		uint64_t start = stage_rdtsc();
		look(call);
		call->time.start += stage_rdtsc() - start;
	}
	return stage_call_time_is_up(&call->time);
}

bool stage_call_run_is_over(struct stage_call_run *call)
{
	return is_over(call, call->look);
}

static void on_service(struct stage_call_run *call, struct stage_trap_frame *frame)
{
	if (frame->rax == KCHAIN_SERVICE_EXIT) {
		call->result.exit = (uint8_t)frame->rdi;
		take_back(frame, STAGE_CALL_EXITED);
		return;
	}
	if (call->cpu && frame->rax == KCHAIN_SERVICE_DONE) {
		take_back(frame, STAGE_CALL_DONE);
		return;
	}
	frame->rax = serve(call, frame);
	if (is_over(call, look_on_stage_stack)) /* a kernel that does little but ask for services */
		take_back(frame, STAGE_CALL_TIMED_OUT);
}

/* The ticker's, on the boot processor; one that comes late finds no call. Another processor takes no notice but in a
 * kernel, where it is INT 2. */
static void on_tick(struct stage_trap_frame *frame)
{
	struct stage_call_run *call = current();
	if (!call)
		return;
	stage_call_time_tick(&call->time);
	/* Else it is in a service, and on_service takes it back, or in the look of an earlier tick. */
	if (frame->cr3 != call->stage_root && is_over(call, look_on_stage_stack))
		take_back(frame, STAGE_CALL_TIMED_OUT);
}

/* The page below a stack is not mapped. A frame that is larger than a page can pass over it: then the address is
 * between the stack pointer and the stack's end. */
static bool is_overflow(const struct stage_call_run *call, uint64_t rsp, uint64_t address)
{
	enum { FRAME_MOST = 1 << 30 };
	uint64_t end = call->window.visible[STAGE_VISIBLE_STACK].base;
	if (address >= end || end - address > FRAME_MOST)
		return false;
	return end - address <= STAGE_PAGE || (rsp < end && address >= rsp - STAGE_PAGE);
}

/* A vector whose exception has an error code came without one (APM 8.2): INT n. */
static bool is_instruction(const struct stage_trap_frame *frame)
{
	enum { WITH_ERROR_CODE = 0x60227d00 };
	return frame->vector >= STAGE_EXCEPTIONS ||
	       (WITH_ERROR_CODE >> frame->vector & 1 && frame->error_code == STAGE_NO_ERROR_CODE);
}

static void on_fault(struct stage_call_run *call, struct stage_trap_frame *frame)
{
	struct stage_call_result *result = &call->result;
	const uint64_t *saved = &frame->rax; /* and what was pushed after it, downwards */
	bool page_fault = frame->vector == STAGE_VECTOR_PAGE_FAULT && !is_instruction(frame);
	result->located = true;
	result->vector = (uint8_t)frame->vector;
	result->instruction = is_instruction(frame);
	result->rip = frame->rip;
	result->error_code = frame->error_code == STAGE_NO_ERROR_CODE ? 0 : frame->error_code;
	result->address = page_fault ? stage_read_cr2() : 0;
	for (size_t i = 0; i < STAGE_CALL_REGISTERS - 2; i++)
		result->registers[i] = *saved--;
	result->registers[STAGE_CALL_REGISTERS - 2] = frame->rsp;
	result->registers[STAGE_CALL_REGISTERS - 1] = frame->rflags;
	if (page_fault && is_overflow(call, frame->rsp, result->address))
		result->overflowed = chain_range_bytes(call->window.visible[STAGE_VISIBLE_STACK]);
	take_back(frame, STAGE_CALL_FAULTED);
}

/* An interrupt comes to a kernel that has let them in, as the machine may send them; nothing else has these vectors but
 * INT n. */
static bool is_interrupt(const struct stage_trap_frame *frame)
{
	enum { INTERRUPTS_ON = 1 << 9 };
	return frame->vector >= STAGE_EXCEPTIONS && frame->rflags & INTERRUPTS_ON &&
	       stage_interrupt_came((uint8_t)frame->vector);
}

/* Traps belong to whose page tables were in force, whatever their number is. */
static bool on_trap(struct stage_trap_frame *frame)
{
	struct stage_call_run *call = current();
	bool kernels = call && frame->cr3 != call->stage_root;
	uint8_t vector = (uint8_t)frame->vector;
	if (kernels && vector == KCHAIN_SERVICE_VECTOR) {
		on_service(call, frame);
		return true;
	}
	if (vector == STAGE_VECTOR_NMI && !(kernels && stage_cpu()->index)) {
		on_tick(frame);
		return true;
	}
	if (!kernels && stage_cpu_has_handler(vector))
		return false;
	if (is_interrupt(frame)) {
		if (stage_cpu_has_handler(vector))
			return false;
		stage_interrupt_dismiss(vector);
		return true;
	}
	if (kernels)
		on_fault(call, frame);
	return kernels; /* else the stage's own, and nobody's: the readable report */
}

/* The window's slot of the running tables is lent to the kernel's window, so that its buffers are where the kernel sees
 * them. */
void stage_call_run(struct stage_call_run *call)
{
	struct stage_cpu *cpu = stage_cpu();
	const struct stage_call_window *window = &call->window;
	call->result = (struct stage_call_result){ 0 };
	call->stage_root = stage_read_cr3() & ~(uint64_t)4095;
	uint64_t *root = stage_phys_to_virt(call->stage_root);
	const uint64_t *child = stage_phys_to_virt(window->root_phys);
	size_t slot = (KCHAIN_WINDOW_VIRT >> 39) & 511;
	uint64_t stack = stage_entry_stack(cpu, STAGE_IST_INTERRUPT);

	root[slot] = child[slot];
	cpu->entry_offset = (uint64_t)stage_phys_to_virt(window->entry_phys) - ((uint64_t)cpu + STAGE_ENTRY_PAGE);
	struct stage_trap_frame *frame = (struct stage_trap_frame *)(stack + cpu->entry_offset) - 1;
	*frame = (struct stage_trap_frame){
		.rdi = call->cpu ? call->cpu : window->call_virt,
		.rsi = call->argument,
		.rip = window->entry,
		.cs = STAGE_SEL_CODE,
		.rflags = RFLAGS_NONE,
		.rsp = window->stack_top,
		.ss = STAGE_SEL_DATA,
	};
	cpu->call = call;
	uint64_t start = stage_rdtsc();
	stage_call_enter(&call->saved_rsp, window->root_phys, (uint64_t)&frame->r15 - cpu->entry_offset, cpu);
	call->result.ticks = stage_rdtsc() - start;
	stage_cpu_restore_syscall();
	stage_cpu_accept_interrupts();
	cpu->call = NULL;
	cpu->entry_offset = 0;
	root[slot] = 0; /* nobody looks there until the next trap, which loads these tables anew */
	const struct kchain_call *block = stage_phys_to_virt(window->call_phys);
	if (call->result.outcome == STAGE_CALL_EXITED)
		call->result.mailbox_claimed = block->mailbox_used;
}

enum chain_status stage_call_run_init(struct chain_error *err)
{
	if (!stage_entry_area_move())
		return chain_fail_no_memory(err, "entry area", STAGE_PAGE);
	stage_cpu_set_trap_hook(on_trap);
	return stage_interrupts_open(err);
}

const char *stage_call_mailbox(const struct stage_call_run *run)
{
	uint64_t bytes = run->result.mailbox_claimed;
	return bytes && bytes <= STAGE_CALL_MAILBOX_BYTES ? stage_phys_to_virt(run->window.mailbox_phys) : NULL;
}
