/* Tests the SELinux contexts of slots: which are made, and which are left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "privhelper/label.c"

static void derives(const char *context, const char *from, const char *to, uint32_t slot,
		    const char *want)
{
	char out[LABEL_MAX] = "unchanged";

	assert_int_equal(label_derive(context, from, to, slot, out), want ? 0 : -1);
	assert_string_equal(out, want ? want : "unchanged");
}

static void test_level(void **state)
{
	(void)state;
	derives("system_u:object_r:banger_slot_t:s0", "banger_slot_t", "banger_slot_t", 0,
		"system_u:object_r:banger_slot_t:s0:c0");
	derives("system_u:object_r:banger_slot_t:s0:c7", "banger_slot_t", "banger_slot_t", 999,
		"system_u:object_r:banger_slot_t:s0:c999");
	derives("unconfined_u:object_r:banger_slot_t:s0-s0:c0.c1023", "banger_slot_t",
		"banger_slot_t", 5, "unconfined_u:object_r:banger_slot_t:s0:c5");
}

static void test_domain(void **state)
{
	(void)state;
	derives("system_u:system_r:banger_spawn_t:s0", "banger_spawn_t", "banger_vm_t", 3,
		"system_u:system_r:banger_vm_t:s0:c3");
	/* The policy has no levels. */
	derives("system_u:system_r:banger_spawn_t", "banger_spawn_t", "banger_vm_t", 3,
		"system_u:system_r:banger_vm_t");
}

static void test_left_alone(void **state)
{
	char longest[200];

	(void)state;
	memset(longest, 'u', sizeof(longest));
	memcpy(longest + 140, ":r:t:s0", 8);
	derives("system_u:object_r:var_lib_t:s0", "banger_slot_t", "banger_slot_t", 1, NULL);
	derives("system_u:object_r:banger_slot_t2:s0", "banger_slot_t", "banger_slot_t", 1, NULL);
	derives("system_u:object_r:banger_slot:s0", "banger_slot_t", "banger_slot_t", 1, NULL);
	derives("/usr/bin/other (enforce)", "banger_spawn_t", "banger_vm_t", 1, NULL);
	derives("unconfined\n", "banger_spawn_t", "banger_vm_t", 1, NULL);
	derives("banger_spawn_t", "banger_spawn_t", "banger_vm_t", 1, NULL);
	derives("a:b:", "banger_spawn_t", "banger_vm_t", 1, NULL);
	derives("", "banger_spawn_t", "banger_vm_t", 1, NULL);
	derives(longest, "t", "t", 1, NULL);
}

/* Here SELinux is off, or we are not in the role's domain. */
static void test_without_selinux_no_label_is_made(void **state)
{
	struct label_vmm l;

	(void)state;
	assert_int_equal(label_vmm_open(&l), 0);
	assert_int_equal(l.exec, -1);
	assert_int_equal(label_vmm_set(&l, 1), 0);
	_cleanup_close_ int fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(label_slot(fd, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_level),
		cmocka_unit_test(test_domain),
		cmocka_unit_test(test_left_alone),
		cmocka_unit_test(test_without_selinux_no_label_is_made),
	};

	return cmocka_run_group_tests_name("label", tests, NULL, NULL);
}
