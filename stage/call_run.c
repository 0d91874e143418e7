/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/call_run.h"

#include "stage/clock.h"
#include "stage/native.h"
#include "stage/pages.h"

/* stage/call_enter.S: saves the stage's callee-saved registers and control words on its stack, notes the stack pointer in
 * *saved_rsp, loads `root` and enters the kernel with RDI and RSI. stage_call_resume undoes that, entered by iretq with RSP = saved_rsp. */
void stage_call_enter(uint64_t *saved_rsp, uint64_t root, uint64_t entry, uint64_t stack, uint64_t rdi, uint64_t rsi);
extern const uint8_t stage_call_resume[];

/* The call under way on this processor; null between calls. */
static struct stage_call_run *current(void) { return stage_cpu()->call; }

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
	frame->rflags = 2; /* interrupts off */
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

static void on_service(struct stage_trap_frame *frame)
{
	struct stage_call_run *call = current();
	if (call && frame->rax == KCHAIN_SERVICE_EXIT) {
		call->result.exit = (uint8_t)frame->rdi;
		take_back(frame, STAGE_CALL_EXITED);
		return;
	}
	if (call && call->cpu && frame->rax == KCHAIN_SERVICE_DONE) {
		take_back(frame, STAGE_CALL_DONE);
		return;
	}
	frame->rax = call ? serve(call, frame) : UINT64_MAX;
	if (call && stage_call_time_is_up(&call->time)) /* a kernel that does little but ask for services */
		take_back(frame, STAGE_CALL_TIMED_OUT);
}

/* Every NMI while a call runs is the ticker's (boot processor only); one that comes late finds no call. */
static void on_tick(struct stage_trap_frame *frame)
{
	struct stage_call_run *call = current();
	if (!call)
		return;
	stage_call_time_tick(&call->time);
	if (frame->cr3 != call->stage_root && stage_call_time_is_up(&call->time)) /* in a service: on_service takes it back */
		take_back(frame, STAGE_CALL_TIMED_OUT);
}

/* The page below a stack is not mapped. A frame that is larger than a page can pass over it: then the address is between the stack pointer and
 * the stack's end. */
static bool is_overflow(const struct stage_call_run *call, uint64_t rsp, uint64_t address)
{
	enum { FRAME_MOST = 1 << 30 };
	uint64_t end = call->window.visible[STAGE_VISIBLE_STACK].base;
	if (address >= end || end - address > FRAME_MOST)
		return false;
	return end - address <= STAGE_PAGE || (rsp < end && address >= rsp - STAGE_PAGE);
}

static bool on_fault(struct stage_trap_frame *frame)
{
	enum { PAGE_FAULT = 14 };
	struct stage_call_run *call = current();
	if (!call || frame->cr3 == call->stage_root)
		return false; /* the stage's own fault: the readable report */
	struct stage_call_result *result = &call->result;
	const uint64_t *saved = &frame->rax; /* and what was pushed after it, downwards */
	result->located = true;
	result->vector = (uint8_t)frame->vector;
	result->rip = frame->rip;
	result->error_code = frame->error_code;
	result->address = frame->vector == PAGE_FAULT ? stage_read_cr2() : 0;
	for (size_t i = 0; i < STAGE_CALL_REGISTERS - 2; i++)
		result->registers[i] = *saved--;
	result->registers[STAGE_CALL_REGISTERS - 2] = frame->rsp;
	result->registers[STAGE_CALL_REGISTERS - 1] = frame->rflags;
	if (frame->vector == PAGE_FAULT && is_overflow(call, frame->rsp, result->address))
		result->overflowed = chain_range_bytes(call->window.visible[STAGE_VISIBLE_STACK]);
	take_back(frame, STAGE_CALL_FAULTED);
	return true;
}

/* The window's slot of the running tables is lent to the kernel's window, so that the stacks its traps arrive on and its
 * buffers are where the kernel sees them. */
void stage_call_run(struct stage_call_run *call)
{
	struct stage_cpu *cpu = stage_cpu();
	call->result = (struct stage_call_result){ 0 };
	call->stage_root = stage_read_cr3() & ~(uint64_t)4095;
	uint64_t *root = stage_phys_to_virt(call->stage_root);
	const uint64_t *child = stage_phys_to_virt(call->window.root_phys);
	size_t slot = (KCHAIN_WINDOW_VIRT >> 39) & 511;
	uint64_t ist[STAGE_IST_COUNT];

	root[slot] = child[slot];
	for (size_t i = 0; i < STAGE_IST_COUNT; i++) {
		ist[i] = cpu->tss.ist[i];
		cpu->tss.ist[i] = call->window.ist_top[i];
	}
	cpu->call = call;
	uint64_t start = stage_rdtsc();
	stage_call_enter(&call->saved_rsp, call->window.root_phys, call->window.entry, call->window.stack_top,
			 call->cpu ? call->cpu : call->window.call_virt, call->argument);
	call->result.ticks = stage_rdtsc() - start;
	stage_cpu_restore_syscall();
	cpu->call = NULL;
	for (size_t i = 0; i < STAGE_IST_COUNT; i++)
		cpu->tss.ist[i] = ist[i];
	root[slot] = 0; /* nobody looks there until the next trap, which loads these tables anew */
	const struct kchain_call *block = stage_phys_to_virt(call->window.call_phys);
	if (call->result.outcome == STAGE_CALL_EXITED)
		call->result.mailbox_claimed = block->mailbox_used;
}

void stage_call_run_init(void)
{
	stage_cpu_set_handler(KCHAIN_SERVICE_VECTOR, on_service);
	stage_cpu_set_handler(2, on_tick);
	stage_cpu_set_fault_hook(on_fault);
}

const char *stage_call_mailbox(const struct stage_call_run *run)
{
	uint64_t bytes = run->result.mailbox_claimed;
	return bytes && bytes <= STAGE_CALL_MAILBOX_BYTES ? stage_phys_to_virt(run->window.mailbox_phys) : NULL;
}
