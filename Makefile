# banger: nothing else builds this project.
#   make                 the programs, hardened, in build/release/
#   make check           deps, sanitizer build in build/check/, unit and integration tests
#   make demo            a guest through the whole chain, and the proof that nothing is left
#   make install DESTDIR=...   make lint   make clean
MODE ?= release
B := build/$(MODE)
CC ?= gcc
PREFIX ?= /usr
VERSION := 0.1.0

# Library names differ between Debian releases.
PKG := pkg-config
MSGPACK := $(shell $(PKG) --exists msgpack-c && echo msgpack-c || echo msgpack)
pkg_cflags = $(shell $(PKG) --cflags $(1) 2>/dev/null)
pkg_libs = $(shell $(PKG) --libs $(1) 2>/dev/null)

CPPFLAGS += -D_GNU_SOURCE -I. -DBANGER_VERSION='"$(VERSION)"'
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wformat=2 -Wundef
ifdef CI
WARN += -Werror
endif
BASE := -std=gnu17 -g $(WARN) -fno-common
ifeq ($(MODE),check)
CFLAGS_MODE := -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DBANGER_SANITIZED
LDFLAGS_MODE := -fsanitize=address,undefined
else
CFLAGS_MODE := -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection \
	-fcf-protection -fPIE
LDFLAGS_MODE := -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed
endif
CFLAGS_ALL = $(BASE) $(CFLAGS_MODE) $(CFLAGS)
LDFLAGS_ALL = $(LDFLAGS_MODE) $(LDFLAGS)

# ---- what each program is made of ----
COMMON := common/fdio.c common/log.c common/parse.c
PROTO := proto/slot.c proto/wire.c proto/ops.c
CONTROL := proto/control.c
ROLE := privhelper/role.c privhelper/lockdown.c privhelper/reqlog.c common/config_fd.c
SUP := $(filter-out %_test.c,$(wildcard privhelper/supervisor*.c)) common/config.c common/config_fd.c
NET := $(wildcard privhelper/net*.c)
BLK := $(wildcard privhelper/blk*.c)
SPAWN := $(wildcard privhelper/spawn*.c)
CONTROLLER := $(wildcard controller/*.c) common/config_fd.c
CLI := $(wildcard controller/cli/*.c)

SRC_banger-privhelper := $(COMMON) proto/slot.c $(SUP)
SRC_banger-role-net := $(COMMON) $(PROTO) $(ROLE) $(NET)
SRC_banger-role-blk := $(COMMON) $(PROTO) $(ROLE) $(BLK)
SRC_banger-role-spawn := $(COMMON) $(PROTO) $(ROLE) $(SPAWN)
SRC_banger-kvmprobe := privhelper/kvmprobe.c
SRC_banger-controller := $(COMMON) $(PROTO) $(CONTROL) $(CONTROLLER)
SRC_banger := $(COMMON) $(PROTO) $(CONTROL) $(CLI)

LIB_banger-privhelper := inih
LIB_banger-role-net := libseccomp libcap-ng libmnl libnftnl
LIB_banger-role-blk := libseccomp libcap-ng
LIB_banger-role-spawn := libseccomp libcap-ng
LIB_banger-controller := $(MSGPACK) sqlite3 libcurl jansson libseccomp libmd
LIB_banger := $(MSGPACK) jansson libarchive

PROGRAMS := banger banger-controller banger-privhelper banger-role-net banger-role-blk banger-role-spawn banger-kvmprobe
ALL_LIBS := inih libseccomp libcap-ng libmnl libnftnl $(MSGPACK) sqlite3 libcurl jansson libmd libarchive cmocka

all: $(PROGRAMS:%=$(B)/%)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(call pkg_cflags,$(ALL_LIBS)) -MMD -MP -c $< -o $@

define program
$(B)/$(1): $$(patsubst %.c,$(B)/%.o,$$(SRC_$(1)))
	$$(CC) $$(LDFLAGS_ALL) $$^ -o $$@ $$(if $$(LIB_$(1)),$$(call pkg_libs,$$(LIB_$(1)))) -pthread
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

-include $(shell [ -d $(B) ] && find $(B) -name '*.d')
