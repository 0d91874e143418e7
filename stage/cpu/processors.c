/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/processors.h"

#include "ap_layout.h"
#include "stage/apic.h"
#include "stage/boot.h"
#include "stage/clock.h"
#include "stage/entry_area.h"
#include "chain/entry.h"
#include "chain/x86_registers.h"
#include "stage/pages.h"

#include <stdatomic.h>
#include <string.h>

enum {
	CPUS_MAX = 1024,
	STACK_BYTES = 12288, /* SHA-256 in eight lanes takes 6 KiB */
	HANDLER_STACK_BYTES = STAGE_HANDLER_STACK_LEAST,
	ENTRY_AT = STACK_BYTES + STAGE_IST_COUNT * HANDLER_STACK_BYTES,
	ROOT_AT = ENTRY_AT + (int)sizeof(struct stage_entry_area),
	AREA_BYTES = ROOT_AT + STAGE_PAGE, /* stacks, entry area, root table */
	WAKE_VECTOR = 0xf1,
	TICK_VECTOR = 0xf2,
	/* While nobody answers: when to ask again, and when to give up. Where this processor was away for longer than
	 * AWAY_US between two looks, its host may have kept the others away as long: no more than that counts. */
	AGAIN_US = 500000,
	START_US = 3000000,
	AWAY_US = 10000,
	INIT_US = 10000, /* INIT needs 10 ms on real processors (SDM volume 3A 8.4.4.1) */
	SPINS = 1000,
	SPINS_SILENT = 100000, /* some ms: mostly the clock's rate, which takes 2 ms, needs not be known */
	CPUID_X2APIC = 1 << 21,
};

struct processor {
	struct stage_cpu *cpu; /* in its entry area */
	uint32_t apic_id, index;
	uint8_t *area;  /* AREA_BYTES */
	uint64_t stack; /* in it: where it ends */
	atomic_bool alive;
	bool unreachable, calls; /* calls: the boot processor is to be called when the work is done */
	_Atomic(stage_processor_work *) work;
	void *arg;
};

struct __attribute__((packed)) ap_params {
	uint32_t cr3, cr4, efer, cr0, id_leaf, count;
	const uint32_t *ids;
	struct processor *blocks;
	uint32_t block_bytes, stack_at;
	uint64_t entry;
};
static_assert((int)AP_PAGE == (int)STAGE_AP_PAGE, "page");
static_assert(offsetof(struct ap_params, cr3) == AP_CR3 && offsetof(struct ap_params, cr4) == AP_CR4,
	      "control registers");
static_assert(offsetof(struct ap_params, efer) == AP_EFER && offsetof(struct ap_params, cr0) == AP_CR0,
	      "control registers");
static_assert(offsetof(struct ap_params, id_leaf) == AP_ID_LEAF && offsetof(struct ap_params, count) == AP_COUNT,
	      "ids");
static_assert(offsetof(struct ap_params, ids) == AP_IDS && offsetof(struct ap_params, blocks) == AP_BLOCKS,
	      "ids, blocks");
static_assert(offsetof(struct ap_params, block_bytes) == AP_BLOCK_BYTES &&
		      offsetof(struct ap_params, stack_at) == AP_STACK_AT,
	      "blocks");
static_assert(offsetof(struct ap_params, entry) == AP_ENTRY, "entry");

extern const uint8_t stage_ap_start[], stage_ap_start_end[];

static struct stage_apic apic;
static uint32_t ids[CPUS_MAX];   /* of all that are listed, but the boot processor; STAGE_APIC_NOBODY: given up */
static struct processor *others; /* theirs; one that did not answer keeps its own, in case it does later */
static uint16_t slots[CPUS_MAX]; /* of those that did: index i + 1 is others[slots[i]] */
static uint32_t listed_count, asked_count, other_count, boot_apic_id, start_root;
static bool started, watched;
static bool silent;     /* this processor is not to be interrupted */
static bool was_called; /* something may be pending on it */

static struct processor *processor(uint32_t index)
{
	return &others[slots[index - 1]];
}

static void on_wake(struct stage_trap_frame *frame)
{
	(void)frame;
	stage_apic_end(&apic);
}

/* --- on the other processor --- */

static void enable_apic(void)
{
	struct stage_apic own;
	stage_apic_open(&own, &apic.env, apic.x2, apic.x2);
}

/* What was sent to this processor already, or it would come when the next owner lets interrupts in. The instruction
 * behind STI lets none in, and under QEMU, where that is PAUSE, the one behind it neither. */
static void take_pending(void)
{
	__asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
}

void stage_processor_mask(void)
{
	struct stage_apic own = apic;
	take_pending();
	stage_apic_close(&own);
}

static _Noreturn void park(struct processor *p)
{
	atomic_store_explicit(&p->alive, true, memory_order_release);
	for (;;) {
		stage_processor_work *work = atomic_load_explicit(&p->work, memory_order_acquire);
		if (work) {
			bool calls = p->calls;
			work(p->arg);
			atomic_store_explicit(&p->work, NULL, memory_order_release);
			if (calls)
				stage_processor_call_boot();
		} else {
			stage_processor_wait();
		}
	}
}

static uint64_t *root_of(const struct processor *p)
{
	return (uint64_t *)(p->area + ROOT_AT);
}

static _Noreturn void enter(struct processor *p)
{
	uint64_t stacks[STAGE_IST_COUNT];
	for (size_t i = 0; i < STAGE_IST_COUNT; i++)
		stacks[i] = p->stack + (i + 1) * HANDLER_STACK_BYTES;
	/* What it may have been taken from. Not before: until INIT its traps look there. */
	root_of(p)[(KCHAIN_WINDOW_VIRT >> 39) & 511] = 0;
	p->cpu->call = NULL;
	p->cpu->entry_offset = 0;
	stage_write_cr3(stage_virt_to_phys(root_of(p)));
	stage_cpu_init(p->cpu, p->index, stacks);
	enable_apic();
	park(p);
}

void stage_processor_wait(void)
{
	__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
}

void stage_processor_look(bool (*look)(void *arg), void *arg)
{
	struct stage_apic own = apic;
	stage_apic_tick(&own, TICK_VECTOR);
	while (look(arg))
		stage_processor_wait();
	stage_apic_tick(&own, 0);
}

void stage_processor_call_boot(void)
{
	stage_apic_send(&apic, boot_apic_id, STAGE_APIC_FIXED | WAKE_VECTOR);
}

void stage_processor_interrupt_boot(void)
{
	stage_apic_send(&apic, boot_apic_id, STAGE_APIC_NMI);
}

/* --- on the boot processor --- */

/* By which leaf of CPUID a processor finds its own id: 0xb where it is filled in, as it has 32 bits of it (SDM
 * 3A 11.12.8). */
static uint32_t id_leaf(void)
{
	return stage_cpuid(0, 0).a >= 0xb && stage_cpuid(0xb, 0).b ? 0xb : 1;
}

/* Once: they are the same for all, and one that is late may be running it at any time. */
static void prepare_page(uint32_t count)
{
	uint8_t *page = stage_phys_to_virt(STAGE_AP_PAGE);
	uint64_t cr0, cr4;
	__asm__("mov %%cr0, %0" : "=r"(cr0));
	__asm__("mov %%cr4, %0" : "=r"(cr4));
	struct ap_params params = {
		.cr3 = start_root,
		.cr4 = (uint32_t)cr4 & ~(1u << 18),
		.efer = (uint32_t)stage_rdmsr(MSR_EFER), /* OSXSAVE: later */
		.cr0 = (uint32_t)cr0,
		.id_leaf = id_leaf(),
		.count = count,
		.ids = ids,
		.blocks = others,
		.block_bytes = sizeof(struct processor),
		.stack_at = offsetof(struct processor, stack),
		.entry = (uint64_t)enter,
	};
	memcpy(page, stage_ap_start, (size_t)(stage_ap_start_end - stage_ap_start));
	memcpy(page + AP_PARAMS, &params, sizeof(params));
}

static bool is_alive(struct processor *p)
{
	return atomic_load_explicit(&p->alive, memory_order_acquire);
}

static uint32_t count_answered(struct processor *first, uint32_t count)
{
	uint32_t answered = 0;
	for (uint32_t i = 0; i < count; i++)
		answered += first[i].unreachable || is_alive(&first[i]);
	return answered;
}

/* Until all `count` have answered. False: none of those that are left did for `us`. */
static bool wait_alive(struct processor *first, uint32_t count, uint64_t us)
{
	for (uint32_t spins = 0; silent && spins < SPINS_SILENT && count_answered(first, count) < count; spins++)
		stage_pause();
	if (silent && count_answered(first, count) == count)
		return true;
	uint64_t second = stage_tsc_hz(), most = second / 1000000 * us, away = second / 1000000 * AWAY_US, quiet = 0,
		 last = stage_rdtsc();
	uint32_t seen = 0, answered;
	for (uint32_t polls = 0; (answered = count_answered(first, count)) < count; polls++) {
		uint64_t now = stage_rdtsc(), passed = now - last;
		quiet = answered > seen ? 0 : quiet + (passed < away ? passed : away);
		if (quiet > most)
			return false;
		last = now;
		seen = answered;
		if (polls < SPINS || count == 1 || silent) /* one that is taken back may own the timer still */
			stage_pause();
		else if (watched)
			stage_wait_for_interrupt();
		else
			stage_idle();
	}
	return true;
}

/* INIT, startup, and once more where that was not heard (SDM volume 3A 8.4.4.1). The messages go to all before the
 * first is waited for. */
static bool start(struct processor *first, uint32_t count)
{
	for (struct processor *p = first; p < first + count; p++) {
		atomic_store(&p->alive, false);
		atomic_store(&p->work, NULL);
		p->unreachable = !stage_apic_send(&apic, p->apic_id, STAGE_APIC_INIT);
	}
	uint64_t arrived = stage_is_under_hypervisor() ? 0 : stage_deadline_after_us(INIT_US);
	while (!stage_deadline_passed(arrived)) /* not halted: the timer may be the ticker's */
		stage_pause();
	for (int i = 0; i < 2; i++) {
		for (struct processor *p = first; p < first + count; p++)
			if (!p->unreachable && !is_alive(p))
				p->unreachable = !stage_apic_send(&apic, p->apic_id,
								  STAGE_APIC_STARTUP | STAGE_AP_PAGE / STAGE_PAGE);
		if (wait_alive(first, count, i ? START_US : AGAIN_US))
			break;
	}
	return is_alive(first);
}

/* A startup message may still be on its way (under QEMU, INIT does not take it back): then it finds that it is nobody,
 * and halts. */
static void give_up(struct processor *p)
{
	__atomic_store_n(&ids[p - others], STAGE_APIC_NOBODY, __ATOMIC_RELEASE);
	stage_apic_send(&apic, p->apic_id, STAGE_APIC_INIT); /* whatever it does now, it stops */
}

static uint64_t take_page(void *ctx)
{
	(void)ctx;
	uint64_t phys = stage_pages_alloc(STAGE_PAGE, STAGE_PAGE, CHAIN_OWNER_HEAP);
	if (phys)
		memset(stage_phys_to_virt(phys), 0, STAGE_PAGE);
	return phys;
}

static const struct stage_table_pages table_pages = { take_page, NULL };

/* The stage's tables, and the start page at its physical address. */
static bool make_start_root(void)
{
	struct chain_error err = { 0 };
	uint64_t root;
	/* CR3 is loaded by 32-bit code */
	if (stage_pages_take_below(chain_entry_memory_end(CHAIN_ENTRY_PROTECTED32), STAGE_PAGE, CHAIN_OWNER_HEAP,
				   "processors", &root, &err))
		return false;
	memcpy(stage_phys_to_virt(root), stage_phys_to_virt(stage_cpu()->root_phys), STAGE_PAGE);
	start_root = (uint32_t)root;
	return stage_table_map(root, &table_pages, STAGE_AP_PAGE, STAGE_AP_PAGE, STAGE_PAGE,
			       STAGE_MAP_WRITE | STAGE_MAP_EXECUTE);
}

static bool make_blocks(uint32_t count)
{
	uint64_t bytes;
	if (!chain_align_up(count * sizeof(struct processor), STAGE_PAGE, &bytes))
		return false;
	uint64_t phys = stage_pages_alloc(bytes, STAGE_PAGE, CHAIN_OWNER_HEAP);
	if (!phys)
		return false;
	others = stage_phys_to_virt(phys);
	memset(others, 0, bytes);
	return true;
}

static bool make_area(struct processor *p)
{
	uint64_t phys = stage_pages_alloc(AREA_BYTES, STAGE_PAGE, CHAIN_OWNER_HEAP);
	if (!phys)
		return false;
	p->area = stage_phys_to_virt(phys);
	p->stack = (uint64_t)(p->area + STACK_BYTES);
	memcpy(root_of(p), stage_phys_to_virt(stage_cpu()->root_phys), STAGE_PAGE);
	memset(p->area + ENTRY_AT, 0, sizeof(struct stage_entry_area));
	p->cpu = stage_entry_area_map((uint32_t)(p - others) + 1, phys + ENTRY_AT);
	if (p->cpu)
		p->cpu->fs_base = stage_cpu()->fs_base;
	return p->cpu;
}

/* The page must be memory that the firmware gave away. */
static bool has_start_page(void)
{
	const struct chain_bootinfo *info = stage_bootinfo();
	struct chain_range page = { STAGE_AP_PAGE, STAGE_AP_PAGE + STAGE_PAGE };
	for (size_t i = 0; i < info->mem_count; i++)
		if (info->mem[i].type == CHAIN_MEM_AVAILABLE && chain_range_contains(info->mem[i].range, page))
			return true;
	return false;
}

/* 0 in *count: they can't be reached. */
static enum chain_status open_apic(uint32_t *count, struct chain_error *err)
{
	struct stage_apic_env env = { NULL, stage_rdmsr, stage_wrmsr };
	bool far = false, has_x2 = stage_cpuid(1, 0).c & CPUID_X2APIC;
	for (uint32_t i = 0; i < *count; i++)
		far = far || ids[i] > STAGE_APIC_XID_MAX;
	env.registers = stage_mmio_map(stage_apic_phys(&env), STAGE_PAGE);
	if (!env.registers)
		return chain_fail_no_memory(err, "processors", STAGE_PAGE);
	if (!stage_apic_open(&apic, &env, far && has_x2, has_x2))
		*count = 0;
	boot_apic_id = stage_apic_id(&apic);
	stage_cpu_set_handler(WAKE_VECTOR, on_wake);
	return CHAIN_OK;
}

/* Without the boot processor, and each once. */
static uint32_t keep_others(uint32_t count)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < count; i++) {
		bool known = ids[i] == boot_apic_id;
		for (uint32_t k = 0; k < kept && !known; k++)
			known = ids[k] == ids[i];
		if (!known)
			ids[kept++] = ids[i];
	}
	return kept;
}

static enum chain_status make_room(uint32_t count, struct chain_error *err)
{
	if (!make_blocks(count) || !make_start_root())
		return chain_fail_no_memory(err, "processors", count * sizeof(struct processor));
	for (uint32_t i = 0; i < count; i++)
		others[i] = (struct processor){ .apic_id = ids[i], .index = i + 1 }; /* 0 is the boot processor's */
	prepare_page(count);
	listed_count = count;
	return CHAIN_OK;
}

static void number(uint32_t i)
{
	slots[other_count++] = (uint16_t)i;
	others[i].index = others[i].cpu->index = other_count;
}

/* The next `count` of those that are listed. */
static enum chain_status ask(uint32_t count, struct chain_error *err)
{
	uint32_t from = asked_count, made = 0;
	while (made < count && make_area(&others[from + made]))
		made++;
	if (!made)
		return chain_fail_no_memory(err, "processors", AREA_BYTES);
	asked_count += made;
	start(others + from, made);
	for (uint32_t i = from; i < asked_count; i++) {
		if (is_alive(&others[i]))
			number(i);
		else
			give_up(&others[i]);
	}
	return CHAIN_OK;
}

/* One that was lost since is left out. */
static void number_anew(void)
{
	other_count = 0;
	for (uint32_t i = 0; i < asked_count; i++)
		if (is_alive(&others[i]))
			number(i);
}

enum chain_status stage_processors_more(uint32_t most, struct stage_processors *out, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	while (!status && other_count + 1 < most && asked_count < listed_count) {
		uint32_t wanted = most - 1 - other_count, left = listed_count - asked_count;
		status = ask(wanted < left ? wanted : left, err);
	}
	*out = (struct stage_processors){ .started = other_count + 1,
					  .failed = asked_count - other_count,
					  .left = listed_count - asked_count };
	return status;
}

enum chain_status stage_processors_start(uint32_t most, struct stage_processors *out, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	if (!started) {
		uint32_t listed = stage_list_cpus(stage_bootinfo()->acpi_rsdp, ids, CPUS_MAX);
		if (listed > CPUS_MAX)
			return CHAIN_FAIL(err, LIMIT, .subject = "machine", .detail = "processors", .value = listed,
					  .limit = CPUS_MAX);
		if (listed < 2 || !has_start_page())
			listed = 0;
		if (listed)
			status = open_apic(&listed, err);
		listed = keep_others(listed);
		if (!status && listed)
			status = make_room(listed, err);
		started = !status;
	}
	number_anew();
	return status ? status : stage_processors_more(most, out, err);
}

enum chain_status stage_processors_borrow(uint32_t most, struct stage_processors *out, struct chain_error *err)
{
	bool listed = other_count || asked_count < listed_count;
	silent = true;
	enum chain_status status =
		listed ? stage_processors_more(most, out, err) : stage_processors_start(most, out, err);
	silent = false;
	return status;
}

/* Tables below the root are shared; a root-level entry that was made since its processor started is not there. */
void stage_processors_share(const void *virt)
{
	size_t slot = ((uint64_t)virt >> 39) & 511;
	for (uint32_t i = 0; i < other_count; i++)
		root_of(processor(i + 1))[slot] = ((const uint64_t *)stage_phys_to_virt(stage_cpu()->root_phys))[slot];
}

void stage_processors_stop(void)
{
	for (uint32_t i = 0; i < other_count; i++)
		stage_apic_send(&apic, processor(i + 1)->apic_id, STAGE_APIC_INIT);
	if (was_called) /* the last of them may have reported its end, and the timer have ticked */
		take_pending();
	was_called = false;
	listed_count = asked_count = other_count = 0;
	started = false;
}

void stage_processors_watch(bool on)
{
	watched = on;
	was_called = true;
	stage_cpu_set_handler(TICK_VECTOR, on_wake);
	stage_apic_tick(&apic, on ? TICK_VECTOR : 0);
}

struct stage_cpu *stage_processor_block(uint32_t index)
{
	return index ? processor(index)->cpu : stage_cpu();
}

static void give(uint32_t index, stage_processor_work *work, void *arg, bool calls)
{
	struct processor *p = processor(index);
	p->arg = arg;
	p->calls = calls;
	atomic_store_explicit(&p->work, work, memory_order_release);
	stage_processor_wake(index);
}

void stage_processor_give(uint32_t index, stage_processor_work *work, void *arg)
{
	was_called = true;
	give(index, work, arg, true);
}

void stage_processor_lend(uint32_t index, stage_processor_work *work, void *arg)
{
	give(index, work, arg, false);
}

bool stage_processor_is_parked(uint32_t index)
{
	struct processor *p = processor(index);
	return is_alive(p) && !atomic_load_explicit(&p->work, memory_order_acquire);
}

void stage_processor_wake(uint32_t index)
{
	stage_apic_send(&apic, processor(index)->apic_id, STAGE_APIC_FIXED | WAKE_VECTOR);
}

bool stage_processor_take_back(uint32_t index)
{
	struct processor *p = processor(index);
	if (start(p, 1))
		return true;
	give_up(p);
	return false;
}
