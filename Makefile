# banger: nothing else builds this project.
#   make                 the programs, hardened, in build/release/
#   make check           deps, sanitizer builds in build/check/ and build/tsan/, unit tests and
#                        integration tests
#   make crash-full      the crash test with every victim and effect at every failpoint, for hours
#   make soak            the model test with seeds from the clock: SOAK_SECONDS=..., or SEEDS=...
#                        STEPS=...
#   make fuzz            the fuzz targets and the evil controller for hours: SECONDS=... for each;
#                        TARGET=... picks
#   make fuzz-coverage   lines of proto/ and of all validation that the inputs of
#                        tests/adversary/corpus reach
#   make bench           roles against forked tools, side by side: BENCH_VMS=...
#   make check-vm        the test guest: device-mapper, systemd, SELinux, KVM; SCENARIO=... picks;
#                        make vm-shell looks in; GUEST_SUITE=bookworm|trixie is its Debian, by
#                        default the host's
#   make demo            a guest through the whole chain, and the proof that nothing is left
#   make install [DESTDIR=...]   make uninstall [PURGE=1]   make lint   make clean
#   make install-selinux         the policy module, after the programs; make uninstall-selinux
MODE ?= release
B := build/$(MODE)
comma := ,
# V=1 shows the commands.
Q := $(if $(V),,@)
PREFIX ?= /usr
VERSION := 0.1.0

# Library names differ between Debian releases.
PKG := pkg-config
MSGPACK := $(shell $(PKG) --exists msgpack-c 2>/dev/null && echo msgpack-c || echo msgpack)
pkg_cflags = $(shell $(PKG) --cflags $(1) 2>/dev/null)
pkg_libs = $(shell $(PKG) --libs $(1) 2>/dev/null)

CPPFLAGS += -D_GNU_SOURCE -I. -DBANGER_VERSION='"$(VERSION)"'
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla \
	-Wformat=2 -Wundef
ifdef CI
WARN += -Werror
endif
BASE := -std=gnu17 -g $(WARN) -fno-common
ifeq ($(MODE),check)
CFLAGS_MODE := -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer -DBANGER_SANITIZED
LDFLAGS_MODE := -fsanitize=address,undefined
else ifeq ($(MODE),tsan)
# Data races: the controller, and those of its tests that have threads.
CFLAGS_MODE := -O1 -fsanitize=thread -fno-omit-frame-pointer -DBANGER_SANITIZED
TSAN := api at_once db helper images lifecycle online policy program vm_lock watch workers
LDFLAGS_MODE := -fsanitize=thread
else ifeq ($(MODE),fuzz)
# The fuzz targets with libFuzzer, which clang has.
CC := clang
CFLAGS_MODE := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer
LDFLAGS_MODE := -fsanitize=fuzzer,address,undefined
else ifeq ($(MODE),cov)
# The fuzz targets as plain programs that count lines.
CFLAGS_MODE := -O0 --coverage
LDFLAGS_MODE := --coverage
else ifeq ($(MODE),fail)
# Failpoints, for the crash test; never installed.
CFLAGS_MODE := -O2 -DBANGER_FAILPOINTS
FAIL := common/failpoint.c common/failpoint_alloc.c
FAIL_OPS := $(FAIL) proto/ops_failpoint.c
else
CFLAGS_MODE := -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong \
	-fstack-clash-protection -fcf-protection -fPIE
LDFLAGS_MODE := -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed
endif
CFLAGS_ALL = $(BASE) $(CFLAGS_MODE) $(CFLAGS)
LDFLAGS_ALL = $(LDFLAGS_MODE) $(LDFLAGS)

# ---- what each program is made of ----
COMMON := common/fdio.c common/log.c common/parse.c
# What no privileged process needs, and the others do.
USER := common/parse_user.c common/fdio_user.c
# What a role is linked with, and what its peer has besides.
ROLE_PROTO := proto/slot.c proto/wire.c proto/ops.c
PROTO := $(ROLE_PROTO) proto/ops_client.c
CONTROL := proto/control.c common/error.c
ROLE := $(wildcard privhelper/role/*.c) privhelper/lockdown.c privhelper/root.c privhelper/tag.c \
	privhelper/policy.c common/policy.c common/config_fd.c
POLICIES := $(sort $(wildcard privhelper/policy.c privhelper/*/policy.c))
SUP := $(wildcard privhelper/supervisor/*.c) $(POLICIES) controller/sandbox_policy.c \
	privhelper/label.c privhelper/lockdown.c privhelper/root.c privhelper/tag.c \
	common/policy.c common/policy_print.c common/config.c common/config_fd.c
NET := $(wildcard privhelper/net/*.c) privhelper/net/image.c
BLK := $(wildcard privhelper/blk/*.c) privhelper/label.c
SPAWN := $(wildcard privhelper/spawn/*.c) privhelper/label.c
NOT_CONTROLLER := $(addprefix controller/,cli/% agent/% copy/% unpack/%)
CONTROLLER := $(filter-out $(NOT_CONTROLLER),$(wildcard controller/*.c controller/*/*.c)) \
	common/policy.c common/config_fd.c proto/agent.c
# Files and folders as a stream: for the command line and the agent.
COPY := $(wildcard controller/copy/*.c) proto/tree.c
CLI := $(wildcard controller/cli/*.c controller/cli/audit/*.c) $(COPY) proto/agent.c
AGENT := $(wildcard controller/agent/*.c) $(COPY) proto/agent.c
UNPACK := $(wildcard controller/unpack/*.c) common/error.c common/policy.c common/policy_print.c

SRC_banger-privhelper := $(COMMON) proto/slot.c $(SUP) $(FAIL)
SRC_banger-role-net := $(COMMON) $(ROLE_PROTO) $(ROLE) $(NET) $(FAIL_OPS)
SRC_banger-role-blk := $(COMMON) $(ROLE_PROTO) $(ROLE) $(BLK) $(FAIL_OPS)
SRC_banger-role-spawn := $(COMMON) $(ROLE_PROTO) $(ROLE) $(SPAWN) $(FAIL_OPS)
SRC_banger-kvmprobe := privhelper/kvmprobe/kvmprobe.c
SRC_banger-controller := $(COMMON) $(USER) $(PROTO) $(CONTROL) $(CONTROLLER) $(FAIL_OPS)
SRC_banger := $(COMMON) $(USER) $(PROTO) $(CONTROL) common/config.c $(CLI) $(POLICIES) \
	controller/sandbox_policy.c
SRC_banger-unpack := $(COMMON) $(UNPACK) $(FAIL)

LIB_banger-privhelper := inih libseccomp libcap-ng
LIB_banger-role-net := libseccomp libcap-ng libmd libmnl
LIB_banger-role-blk := libseccomp libcap-ng libmd
LIB_banger-role-spawn := libseccomp libcap-ng libmd
LIB_banger-controller := $(MSGPACK) sqlite3 libcurl jansson libseccomp libmd
LIB_banger := $(MSGPACK) jansson libarchive inih nettle
LIB_banger-unpack := libarchive ext2fs libseccomp libmd jansson zlib

PROGRAMS := banger banger-unpack banger-controller banger-privhelper banger-role-net \
	banger-role-blk banger-role-spawn banger-kvmprobe
ALL_LIBS := inih libseccomp libcap-ng libmnl $(MSGPACK) sqlite3 libcurl jansson libmd libarchive \
	nettle ext2fs zlib cmocka

all: $(PROGRAMS:%=$(B)/%)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(call pkg_cflags,$(ALL_LIBS)) -MMD -MP -c $< -o $@

define program
$(B)/$(1): $$(patsubst %.c,$(B)/%.o,$$(SRC_$(1)))
	$(Q)$$(CC) $$(LDFLAGS_ALL) $$^ -o $$@ $$(if $$(LIB_$(1)),$$(call pkg_libs,$$(LIB_$(1)))) \
		-pthread
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# The rules of the net role, encoded while we build: the encoder and libnftnl are in no program that
# is installed.
$(B)/net-encode: privhelper/net/generate/encode.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(BASE) -O1 $(call pkg_cflags,libnftnl libmnl) \
		-MMD -MP -MT $@ -MF $@.d $< -o $@ $(call pkg_libs,libnftnl libmnl)
$(B)/privhelper/net/image.c: $(B)/net-encode
	@mkdir -p $(@D)
	$(Q)$< >$@.new && mv $@.new $@
$(B)/privhelper/net/image.o: $(B)/privhelper/net/image.c
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

# The agent of a guest: static, since it runs without the image's libraries.  `banger` carries it.
$(B)/banger-agent: $(AGENT) $(wildcard controller/agent/*.h) $(wildcard controller/copy/*.h) \
	proto/agent.h proto/agent.def proto/image.h proto/tree.h proto/tree.def
	@mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -I. $(BASE) -g0 -Os -fstack-protector-strong \
		-ffunction-sections -fdata-sections -static -s \
		-Wl,--gc-sections,-z,noexecstack $(AGENT) -o $@

$(B)/controller/cli/guest.o: CPPFLAGS += -DAGENT_PATH='"$(B)/banger-agent"'
$(B)/controller/cli/guest.o: $(wildcard controller/cli/in_guest/*) $(B)/banger-agent

-include $(shell [ -d $(B) ] && find $(B) -name '*.d')

# ---- tests: one program a file, linked with the room its name says ----
# All objects of the room go into the link, but those whose .c file the test includes: a test that
# defines a symbol of the program does not link.  (Out of an archive the linker would take what is
# still undefined, and the test's would win.)
UNIT := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
FAKES := $(wildcard tests/unit/fake_*.c)
ROOM_common := common/config.c common/config_fd.c common/policy_print.c
ROOM_proto := $(CONTROL) proto/agent.c proto/tree.c
ROOM_priv := common/config.c common/config_fd.c common/policy.c \
	$(addprefix privhelper/,label.c lockdown.c root.c tag.c) \
	$(filter-out privhelper/spawn/spawn.c,$(wildcard privhelper/spawn/*.c)) $(POLICIES)
ROOM_ctl := $(CONTROL) common/config.c $(filter-out controller/main.c,$(CONTROLLER)) $(FAKES)
ROOM_agent := $(filter-out controller/agent/agent.c,$(AGENT))
ROOM_unpack := $(filter-out controller/unpack/main.c,$(UNPACK))
ROOM_cli := $(CONTROL) $(POLICIES) controller/sandbox_policy.c common/config.c \
	$(filter-out controller/cli/main.c,$(CLI))

room_objects = $(patsubst %.c,$(B)/%.o,$(sort $(COMMON) $(USER) $(PROTO) $(ROOM_$(1))))
included = $(shell sed -n 's/^#include "\(.*\)\.c"$$/\1.o/p' $(1))
define room
$(B)/unit/test_$(1)_%: $(B)/tests/unit/test_$(1)_%.o $(call room_objects,$(1))
	@mkdir -p $$(@D)
	$(Q)$$(CC) $$(LDFLAGS_ALL) -o $$@ $$(filter-out \
		$$(addprefix $(B)/,$$(call included,tests/unit/test_$(1)_$$*.c)),$$^) \
		$$(call pkg_libs,$(ALL_LIBS)) -pthread
endef
$(foreach r,common proto priv ctl agent unpack cli,$(eval $(call room,$(r))))
.SECONDARY:
$(B)/unit/test_ctl_memory: LDFLAGS += \
	$(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc reallocarray strdup)

$(B)/peer: $(patsubst %.c,$(B)/%.o,tests/integration/peer.c $(COMMON) $(PROTO) common/config.c \
	common/config_fd.c)
	$(Q)$(CC) $(LDFLAGS_ALL) $^ -o $@ $(call pkg_libs,inih) -pthread
$(B)/nat_scenarios: $(B)/tests/integration/nat_scenarios.o $(call room_objects,ctl)
	$(Q)$(CC) $(LDFLAGS_ALL) $^ -o $@ $(call pkg_libs,$(ALL_LIBS)) -pthread

$(B)/crash: $(patsubst %.c,$(B)/%.o,$(wildcard tests/integration/crash*.c) $(COMMON) $(PROTO) \
	$(CONTROL) common/config.c)
	$(Q)$(CC) $(LDFLAGS_ALL) $(filter-out %/crash_vmm.o,$^) -o $@ \
		$(call pkg_libs,inih sqlite3 jansson $(MSGPACK)) -pthread
$(B)/model: $(patsubst %.c,$(B)/%.o,$(wildcard tests/integration/model*.c) \
	$(addprefix tests/integration/,crash_set.c crash_ask.c crash_world.c) \
	$(COMMON) $(PROTO) $(CONTROL) common/config.c)
	$(Q)$(CC) $(LDFLAGS_ALL) $^ -o $@ $(call pkg_libs,inih sqlite3 jansson $(MSGPACK)) -pthread
$(B)/crash_vmm: $(B)/tests/integration/crash_vmm.o
	$(Q)$(CC) $(LDFLAGS_ALL) $^ -o $@

ADVERSARY := evil evil_vmm user inside
# ---- the evil controller, a process for it to start, a hostile user, and a taken-over process ----
$(B)/evil: $(patsubst %.c,$(B)/%.o,tests/adversary/evil.c $(COMMON) $(PROTO) common/config.c \
	common/config_fd.c)
	$(Q)$(CC) $(LDFLAGS_ALL) $^ -o $@ $(call pkg_libs,inih) -pthread
$(B)/user: $(patsubst %.c,$(B)/%.o,tests/adversary/user.c $(COMMON) $(PROTO) $(CONTROL))
	$(Q)$(CC) $(LDFLAGS_ALL) $^ -o $@ $(call pkg_libs,$(MSGPACK))
$(B)/inside: $(B)/tests/adversary/inside.o
	$(Q)$(CC) $(LDFLAGS_ALL) $^ -o $@
$(B)/evil_vmm: $(B)/tests/adversary/vmm.o
	$(Q)$(CC) $(LDFLAGS_ALL) $^ -o $@

# ---- fuzz targets: tests/adversary/fuzz_NAME.c with the code that it feeds ----
# WRAP_NAME: calls that the target answers itself.
FUZZ := agent wire control parse console role netlink qmp http headers record layer disk cow
FUZZ_agent := proto/agent.c proto/tree.c
FUZZ_layer := common/parse.c common/error.c \
	$(filter-out %/main.c %/confine.c,$(wildcard controller/unpack/*.c))
FUZZ_disk := common/parse.c common/error.c \
	$(addprefix controller/unpack/,disk.c partition.c qcow2.c)
FUZZ_cow := common/parse.c common/error.c controller/cli/cow.c
FUZZ_wire := common/parse.c $(PROTO)
FUZZ_control := common/parse.c common/fdio.c $(PROTO) $(CONTROL)
FUZZ_parse := common/parse.c $(USER) proto/slot.c privhelper/tag.c
FUZZ_console := $(FUZZ_control) controller/cli/out.c
FUZZ_role := common/parse.c common/fdio.c common/config_fd.c $(PROTO) privhelper/lockdown.c \
	common/policy.c privhelper/role/reqlog.c
WRAP_role := clock_gettime _exit write fdatasync close fdio_recv fdio_send
FUZZ_netlink := common/parse.c proto/slot.c privhelper/tag.c \
	$(addprefix privhelper/net/,netlink.c link.c set.c conntrack.c events.c ruleset.c sweep.c \
	tap.c bridge.c image.c)
WRAP_netlink := send recvfrom open ioctl close write poll
FUZZ_qmp := common/parse.c common/error.c proto/slot.c controller/paths.c controller/json.c \
	controller/vmm/peer.c controller/vmm/qemu.c
WRAP_qmp := vmm_peer_find vmm_wait_fd recv send close
FUZZ_http := common/parse.c common/error.c proto/slot.c controller/paths.c controller/json.c \
	controller/vmm/peer.c controller/vmm/firecracker.c
WRAP_http := vmm_peer_find curl_easy_perform
FUZZ_headers := common/parse.c common/fdio.c common/fdio_user.c common/error.c \
	controller/progress.c controller/storage/image_copy.c \
	controller/storage/image_kinds.c controller/cli/vmlinux.c controller/cli/unpack.c
WRAP_headers := fstatfs
FUZZ_record := common/parse.c common/fdio.c common/error.c common/config.c \
	$(addprefix controller/cli/audit/,verify.c record.c place.c)
REPLAY := $(if $(filter fuzz,$(MODE)),,tests/adversary/replay.c)
define fuzz
$(B)/fuzz/$(1): $$(patsubst %.c,$(B)/%.o,tests/adversary/fuzz_$(1).c tests/adversary/quiet.c \
	$(REPLAY) $$(sort $$(FUZZ_$(1))))
	@mkdir -p $$(@D)
	$(Q)$$(CC) $$(LDFLAGS_ALL) $$(patsubst %,-Wl$$(comma)--wrap=%,$$(WRAP_$(1))) $$^ -o $$@ \
		$$(call pkg_libs,$(ALL_LIBS)) -pthread
endef
$(foreach f,$(FUZZ),$(eval $(call fuzz,$(f))))
# It has a main() of its own, so libFuzzer is not linked.
$(B)/seeds-writer: $(patsubst %.c,$(B)/%.o,tests/adversary/seeds.c tests/adversary/quiet.c \
	common/parse.c common/fdio.c $(PROTO) $(CONTROL))
	$(Q)$(CC) $(subst fuzzer$(comma),,$(LDFLAGS_ALL)) $^ -o $@ $(call pkg_libs,$(MSGPACK))
fuzz-programs: $(FUZZ:%=$(B)/fuzz/%) $(B)/seeds-writer

ifeq ($(MODE),fail)
tests: all $(B)/crash $(B)/crash_vmm $(B)/model
else ifeq ($(MODE),tsan)
tests: $(B)/banger-controller $(TSAN:%=$(B)/unit/test_ctl_%)
else
tests: all $(UNIT) $(B)/peer $(B)/nat_scenarios \
	$(if $(filter check,$(MODE)),fuzz-programs,$(ADVERSARY:%=$(B)/%))
endif

# ---- what people call ----
# Each processor compiles, unless make was told how many are to.
JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
SUBMAKE = $(MAKE) --no-print-directory $(JOBS)

check: check-programs
	tests/run.sh

check-programs: deps
	$(SUBMAKE) MODE=check tests
	$(SUBMAKE) MODE=tsan tests
	$(SUBMAKE) MODE=release tests
	$(SUBMAKE) MODE=fail tests

# The crash test without samples, for hours.
crash-full: deps
	$(MAKE) --no-print-directory MODE=release tests
	$(MAKE) --no-print-directory MODE=fail tests
	CRASH_FULL=1 bash tests/integration/crash.sh

# The model test for hours: SOAK_SECONDS=3600, or SEEDS=10 STEPS=2000.
soak: deps
	$(MAKE) --no-print-directory MODE=fail tests
	bash tests/integration/model.sh soak

# Each for SECONDS, the evil controller for so long on each role; TARGET picks those with it in
# their name.  fuzz-merge makes the corpus small again.
SECONDS ?= 60
fuzz: fuzz-deps
	$(SUBMAKE) MODE=fuzz fuzz-programs
	$(SUBMAKE) MODE=release tests
	tests/adversary/fuzz.sh $(SECONDS) $(TARGET)
	$(if $(filter-out evil,$(TARGET)),,EVIL_SECONDS=$(SECONDS) bash tests/adversary/evil.sh)
fuzz-merge: fuzz-deps
	$(SUBMAKE) MODE=fuzz fuzz-programs
	tests/adversary/fuzz.sh --merge
fuzz-coverage: deps
	$(SUBMAKE) MODE=cov fuzz-programs
	tests/adversary/coverage.sh

# Times, not tests: what the roles do, beside the same work by ip, iptables, nft, losetup.
bench: bench-deps
	$(MAKE) --no-print-directory MODE=release tests
	tests/bench.sh $(BENCH_VMS)
	tests/bench_agent.sh

# The test guest: dm, systemd, SELinux and KVM for real.  SCENARIO="dm vm" runs those with either in
# their name.
check-vm: check-vm-programs
	tests/guest/run.sh $(SCENARIO)

check-vm-programs: guest-deps
	$(SUBMAKE) MODE=release guest-programs
	$(SUBMAKE) MODE=fail tests
	tests/guest/programs.sh

vm-shell: guest-deps
	$(MAKE) --no-print-directory MODE=release guest-programs
	tests/guest/programs.sh
	tests/guest/run.sh --shell

build/release/tsckhz: tests/guest/tsckhz.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $< -o $@
build/release/probe: tests/guest/probe.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -D_GNU_SOURCE $(LDFLAGS_ALL) $< -o $@
guest-programs: all build/release/tsckhz build/release/probe selinux

selinux:
	@$(MAKE) --no-print-directory -C selinux

deps:
	@tests/deps.sh build

guest-deps:
	@tests/deps.sh guest
bench-deps:
	@tests/deps.sh bench
fuzz-deps:
	@tests/deps.sh fuzz

demo:
	@tests/deps.sh demo
	@$(MAKE) --no-print-directory -s all
	@tests/demo/demo.sh

# ---- on this host, or below DESTDIR for a package ----
LIBEXEC := $(PREFIX)/libexec/banger
LIB := $(DESTDIR)$(PREFIX)/lib
FILES := privhelper/install
install: all
	$(if $(filter release,$(MODE)),,$(error what is installed is MODE=release, not $(MODE)))
	install -D -m 755 $(B)/banger $(DESTDIR)$(PREFIX)/bin/banger
	install -D -m 755 $(B)/banger-privhelper $(DESTDIR)$(PREFIX)/sbin/banger-privhelper
	for p in banger-controller banger-role-net banger-role-blk banger-role-spawn \
		banger-kvmprobe banger-unpack; do \
		install -D -m 755 $(B)/$$p $(DESTDIR)$(LIBEXEC)/$$p || exit 1; done
	[ -e $(DESTDIR)/etc/banger/banger.conf ] || \
		install -D -m 644 privhelper/banger.conf $(DESTDIR)/etc/banger/banger.conf
	[ -e $(DESTDIR)/etc/banger/images.conf ] || \
		install -D -m 644 controller/cli/images.conf $(DESTDIR)/etc/banger/images.conf
	install -d $(LIB)/systemd/system
	sed 's,/usr/sbin/banger,$(PREFIX)/sbin/banger,' $(FILES)/banger.service \
		>$(LIB)/systemd/system/banger.service
	sed 's,/usr/bin/banger,$(PREFIX)/bin/banger,' $(FILES)/banger-vms.service \
		>$(LIB)/systemd/system/banger-vms.service
	install -m 644 $(FILES)/run-banger-slots.mount $(LIB)/systemd/system/run-banger-slots.mount
	install -D -m 644 $(FILES)/sysusers.conf $(LIB)/sysusers.d/banger.conf
	install -D -m 644 $(FILES)/tmpfiles.conf $(LIB)/tmpfiles.d/banger.conf
	install -D -m 644 $(FILES)/sysctl.conf $(LIB)/sysctl.d/50-banger.conf
	install -D -m 644 $(FILES)/udev.rules $(LIB)/udev/rules.d/50-banger.rules
	install -D -m 644 $(FILES)/networkd.network $(LIB)/systemd/network/00-banger.network
	install -D -m 644 $(FILES)/NetworkManager.conf $(LIB)/NetworkManager/conf.d/50-banger.conf
	install -D -m 644 $(FILES)/logrotate.conf $(DESTDIR)/etc/logrotate.d/banger
	install -D -m 644 $(FILES)/logrotate.timer.conf \
		$(LIB)/systemd/system/logrotate.timer.d/50-banger.conf
	install -D -m 755 $(FILES)/uninstall.sh $(DESTDIR)$(LIBEXEC)/uninstall
	$(if $(DESTDIR),,$(FILES)/activate.sh)

# What `make install` brought; PURGE=1: also configuration, logs, images and disks.
uninstall:
	$(LIBEXEC)/uninstall $(if $(PURGE),--purge)

# SELinux: after the programs, on this host or, to be loaded there, below DESTDIR.
install-selinux: selinux
	install -D -m 644 build/selinux/banger.pp \
		$(DESTDIR)$(PREFIX)/share/selinux/packages/banger.pp
	$(if $(DESTDIR),,selinux/install.sh build/selinux/banger.pp)

uninstall-selinux:
	selinux/remove.sh
	rm -f $(PREFIX)/share/selinux/packages/banger.pp

# What is in each program that has root's rights or a capability; for tests/lines.sh.
sources:
	@$(foreach p,$(filter banger-privhelper banger-role-%,$(PROGRAMS)),echo $(p) $(SRC_$(p));)

lint: deps
	@tests/lint.sh

clean:
	rm -rf build/release build/check build/tsan build/fail build/fuzz build/cov build/selinux

.PHONY: all tests fuzz fuzz-merge fuzz-coverage fuzz-deps fuzz-programs sources check \
	check-programs check-vm-programs crash-full soak bench bench-deps check-vm vm-shell \
	guest-programs guest-deps deps demo install uninstall selinux install-selinux \
	uninstall-selinux lint clean
.DEFAULT_GOAL := all
