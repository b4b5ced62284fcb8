/* Tests the spawn role's command lines, the names of cgroups, and the one text of the kernel that
 * the role reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "privhelper/spawn/argv.c"
#include "privhelper/spawn/cgroup.c"
#include "privhelper/tag.c"

static struct programs programs(void)
{
	return (struct programs){ { [VMM_QEMU] = "/usr/bin/qemu-system-x86_64",
				    [VMM_FIRECRACKER] = "/libexec/firecracker",
				    [VMM_PROBE] = "/libexec/banger-kvmprobe" } };
}

static struct request request(enum vmm_kind vmm, enum accel accel, enum disk_kind disk)
{
	return (struct request){ .slot = 7,
				 .generation = 1,
				 .vmm_spawn = { .vmm = vmm,
						.accel = accel,
						.disk = disk,
						.vcpus = 2,
						.mem_mib = 512,
						.tsc_khz = 2596184 } };
}

/* Return: the value after an option, or NULL. */
static const char *value(const struct argv *a, const char *option, const char *begins)
{
	for (size_t i = 1; i + 1 < a->n; i++)
		if (strcmp(a->v[i], option) == 0 &&
		    strncmp(a->v[i + 1], begins, strlen(begins)) == 0)
			return a->v[i + 1];
	return NULL;
}

static void expect(const struct argv *a, const char *option, const char *whole)
{
	const char *v = value(a, option, whole);

	if (!v || strcmp(v, whole) != 0)
		fail_msg("%s %s is not there", option, whole);
}

static void test_qemu_tcg_file(void **unused)
{
	struct programs p = programs();
	struct request q = request(VMM_QEMU, ACCEL_TCG, DISK_FILE);
	struct argv a;

	(void)unused;
	assert_int_equal(argv_vmm(&p, 16, q.slot, &q.vmm_spawn, &a), 0);
	assert_string_equal(a.v[0], "/usr/bin/qemu-system-x86_64");
	assert_null(a.v[a.n]);
	expect(&a, "-sandbox",
	       "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	expect(&a, "-accel", "tcg,thread=multi,tb-size=128");
	expect(&a, "-cpu", "max");
	expect(&a, "-smp", "2");
	expect(&a, "-m", "512M");
	expect(&a, "-netdev", "tap,id=net,ifname=bgr7,script=no,downscript=no");
	expect(&a, "-device", "virtio-net-device,netdev=net,mac=02:fc:00:00:00:07");
	expect(&a, "-chardev", "socket,id=qmp,fd=3,server=on,wait=off");
	expect(&a, "-device", "virtio-serial-device,max_ports=17");
	expect(&a, "-chardev", "socket,id=p0,fd=4,server=on,wait=off");
	expect(&a, "-device", "virtserialport,chardev=p15,nr=16,name=banger.15");
	assert_null(value(&a, "-chardev", "socket,id=p16"));
	expect(&a, "-kernel", "/state/7/kernel");
	expect(&a, "-initrd", "/state/7/initrd");
	assert_non_null(strstr(value(&a, "-drive", "id=root"), ",file=/state/7/disk"));
	assert_non_null(strstr(value(&a, "-M", "microvm"), "acpi=on"));
	expect(&a, "-bios", "qboot.rom");
	assert_non_null(strstr(value(&a, "-append", "console=ttyS0 "),
			       " tsc_early_khz=2596184 tsc=reliable"));
}

static void test_qemu_kvm_dm(void **unused)
{
	struct programs p = programs();
	struct request q = request(VMM_QEMU, ACCEL_KVM, DISK_DM);
	struct argv a;

	(void)unused;
	q.slot = 999;
	assert_int_equal(argv_vmm(&p, 16, q.slot, &q.vmm_spawn, &a), 0);
	expect(&a, "-accel", "kvm");
	expect(&a, "-cpu", "host");
	assert_null(strstr(value(&a, "-append", "console=ttyS0 "), "tsc"));
	assert_non_null(strstr(value(&a, "-drive", "id=root"), "cache=none"));
	assert_non_null(strstr(value(&a, "-drive", "id=root"),
			       ",file.driver=host_device,file.filename=/run/vda999"));
	expect(&a, "-device", "virtio-net-device,netdev=net,mac=02:fc:00:00:03:e7");
}

static void test_without_a_tsc_rate_the_command_line_has_none(void **unused)
{
	struct programs p = programs();
	struct request q = request(VMM_QEMU, ACCEL_TCG, DISK_FILE);
	struct argv a;

	(void)unused;
	q.vmm_spawn.tsc_khz = 0;
	assert_int_equal(argv_vmm(&p, 16, q.slot, &q.vmm_spawn, &a), 0);
	assert_null(strstr(value(&a, "-append", "console=ttyS0 "), "tsc"));
}

static void test_largest_values_fit(void **unused)
{
	struct programs p = programs();
	struct request q = request(VMM_QEMU, ACCEL_TCG, DISK_FILE);
	struct argv a;

	(void)unused;
	memset(p.path[VMM_QEMU], 'q', PROGRAM_PATH - 1);
	q.slot = 999;
	q.vmm_spawn.vcpus = 256;
	q.vmm_spawn.mem_mib = 16777216;
	q.vmm_spawn.tsc_khz = 10000000;
	q.vmm_spawn.volumes = VOLUMES_MAX;
	assert_int_equal(argv_vmm(&p, AGENT_PORTS_MAX, q.slot, &q.vmm_spawn, &a), 0);
	expect(&a, "-smp", "256");
	expect(&a, "-m", "16777216M");
}

static void test_volumes(void **unused)
{
	struct programs p = programs();
	struct request q = request(VMM_QEMU, ACCEL_TCG, DISK_FILE);
	struct argv a;
	size_t disks = 0;

	(void)unused;
	assert_int_equal(argv_vmm(&p, 16, q.slot, &q.vmm_spawn, &a), 0);
	assert_null(value(&a, "-drive", "id=vol"));
	q.vmm_spawn.volumes = VOLUMES_MAX;
	q.vmm_spawn.read_only = 1 << 1 | 1 << 3;
	assert_int_equal(argv_vmm(&p, 16, q.slot, &q.vmm_spawn, &a), 0);
#define DRIVE(n) "id=vol" n ",if=none,format=raw,aio=threads,cache=writeback,discard=unmap,"
	expect(&a, "-drive", DRIVE("0") "readonly=off,file=/state/7/vol0");
	expect(&a, "-drive", DRIVE("1") "readonly=on,file=/state/7/vol1");
	expect(&a, "-drive", DRIVE("2") "readonly=off,file=/state/7/vol2");
	expect(&a, "-drive", DRIVE("3") "readonly=on,file=/state/7/vol3");
	/* The guest's kernel counts the disks in this order. */
	static const char *const order[] = { "root", "vol0", "vol1", "vol2", "vol3" };
	for (size_t i = 0; i < a.n; i++) {
		char device[64];
		if (strncmp(a.v[i], "virtio-blk-device,", 18) != 0)
			continue;
		assert_true(disks < sizeof(order) / sizeof(order[0]));
		(void)snprintf(device, sizeof(device), "virtio-blk-device,drive=%s,werror=report",
			       order[disks++]);
		assert_string_equal(a.v[i], device);
	}
	assert_int_equal(disks, 5);
}

static void test_no_ports_no_device(void **unused)
{
	struct programs p = programs();
	struct request q = request(VMM_QEMU, ACCEL_TCG, DISK_FILE);
	struct argv a;

	(void)unused;
	assert_int_equal(argv_vmm(&p, 0, q.slot, &q.vmm_spawn, &a), 0);
	assert_null(value(&a, "-device", "virtio-serial"));
	assert_null(value(&a, "-device", "virtserialport"));
}

static void test_too_long_is_refused(void **unused)
{
	struct argv a = { .used = ARGV_TEXT - 4 };

	(void)unused;
	add(&a, "%s", "abc");
	assert_false(a.full);
	add(&a, "%s", "d");
	assert_true(a.full);
	assert_int_equal(finish(&a), -1);
	assert_int_equal(errno, ENOSPC);
}

static void test_firecracker(void **unused)
{
	struct programs p = programs();
	struct request q = request(VMM_FIRECRACKER, ACCEL_KVM, DISK_DM);
	static const char *const want[] = { "/libexec/firecracker", "--api-sock", "/run/7/api.sock",
					    "--id", "bgr-7" };
	struct argv a;

	(void)unused;
	assert_int_equal(argv_vmm(&p, 16, q.slot, &q.vmm_spawn, &a), 0);
	assert_int_equal(a.n, 5);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(a.v[i], want[i]);
}

static void test_probe(void **unused)
{
	struct programs p = programs();
	struct request q = request(VMM_PROBE, ACCEL_KVM, DISK_FILE);
	struct argv a;

	(void)unused;
	assert_int_equal(argv_vmm(&p, 16, q.slot, &q.vmm_spawn, &a), 0);
	assert_int_equal(a.n, 1);
	assert_string_equal(a.v[0], "/libexec/banger-kvmprobe");
	assert_null(a.v[1]);
}

static void test_missing_programs(void **unused)
{
	struct programs p = programs();
	struct request q = request(VMM_FIRECRACKER, ACCEL_TCG, DISK_DM);
	struct argv a;

	(void)unused;
	assert_int_equal(argv_vmm(&p, 16, q.slot, &q.vmm_spawn, &a),
			 -1); /* Firecracker has no TCG */
	assert_int_equal(errno, ENOENT);
	p.path[VMM_QEMU][0] = '\0';
	q = request(VMM_QEMU, ACCEL_TCG, DISK_DM);
	assert_int_equal(argv_vmm(&p, 16, q.slot, &q.vmm_spawn, &a), -1);
	assert_int_equal(errno, ENOENT);
}

static void test_tag_round_trip(void **unused)
{
	static const struct tag t[] = { { 0, 1, 0 }, { 999, UINT32_MAX, UINT32_MAX - 1 } };
	char text[TAG_TEXT];
	struct tag back;

	(void)unused;
	for (int form = TAG_ALIAS; form <= TAG_GROUP; form++)
		for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
			tag_format((enum tag_form)form, &t[i], text);
			assert_true(tag_parse((enum tag_form)form, text, sizeof(text), &back));
			assert_memory_equal(&back, &t[i], sizeof(back));
		}
	assert_string_equal(text, "999.4294967295.4294967294");
	tag_format(TAG_ALIAS, &t[1], text);
	assert_string_equal(text, "banger:999:4294967295:4294967294");
	/* as the kernel shows an attribute: no NUL, and more text behind */
	assert_true(tag_parse(TAG_ALIAS, "banger:1:2:3456", 12, &back));
	assert_int_equal(back.owner, 3);
}

static void test_foreign_names_are_no_tags(void **unused)
{
	static const char *const bad[] = {
		"",
		".",
		"..",
		"...",
		"1",
		"1.2",
		"1.2.",
		"1..2.3",
		".1.2.3",
		"1.2.3.",
		"1.2.3.4",
		"1.2.3.x",
		"01.2.3",
		"1.0.3",
		"1000.1.0",
		"1.2.4294967296",
		"-1.2.3",
		"1.2.+3",
		"1.2.3 ",
		"99999999999999999999999999999999999999999999999999.1.1",
		"1:2:3",
		"1.2:3",
		"banger:",
		"banger:1:2:3",
		"1.2.4294967295",
		"1.2.30000000000000000000000000000000000000000000000000000000000000",
	};
	static const char *const alien[] = {
		"",
		"bange",
		"banger:",
		"1:2:3",
		"banger:1:2",
		"banger:1:2:3:",
		"banger:1.2.3",
		"banger: 1:2:3",
		"Banger:1:2:3",
		"banger:1:0:3",
		"banger:1000:1:3",
		"banger:01:2:3",
	};
	struct tag t;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (tag_parse(TAG_GROUP, bad[i], strlen(bad[i]), &t))
			fail_msg("'%s' was taken", bad[i]);
	for (size_t i = 0; i < ARRAY_SIZE(alien); i++)
		if (tag_parse(TAG_ALIAS, alien[i], strlen(alien[i]), &t))
			fail_msg("'%s' was taken", alien[i]);
}

static void test_start_time(void **unused)
{
	(void)unused;
	assert_int_equal(stat_start_time("7 (qemu) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 "
					 "4711 99 1"),
			 4711);
	/* a name that imitates the line's end */
	assert_int_equal(stat_start_time(
				 "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 12 99 1"),
			 12);
	assert_int_equal(stat_start_time(""), 0);
	assert_int_equal(stat_start_time("7 (qemu"), 0);
	assert_int_equal(stat_start_time("7 (qemu) S 1 7"), 0);
	assert_int_equal(stat_start_time("7 (q) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 "
					 "99999999999999999999999 9"),
			 0);
	assert_int_equal(stat_start_time("7 (q) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 x"),
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_qemu_tcg_file),
		cmocka_unit_test(test_qemu_kvm_dm),
		cmocka_unit_test(test_without_a_tsc_rate_the_command_line_has_none),
		cmocka_unit_test(test_largest_values_fit),
		cmocka_unit_test(test_volumes),
		cmocka_unit_test(test_no_ports_no_device),
		cmocka_unit_test(test_too_long_is_refused),
		cmocka_unit_test(test_firecracker),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_missing_programs),
		cmocka_unit_test(test_tag_round_trip),
		cmocka_unit_test(test_foreign_names_are_no_tags),
		cmocka_unit_test(test_start_time),
	};

	return cmocka_run_group_tests_name("spawn argv", tests, NULL, NULL);
}
