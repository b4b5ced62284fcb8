/* policy.c - the system calls that each role needs to serve its socket and to write its log. */
#include "common/config.h"
#include "privhelper/policies.h"
#include "proto/reqlog.h"

const struct rule role_rules[] = {
	{ SCMP_SYS(recvmsg), 0, { IS(0, RPC_FD) }, "a request of the controller" },
	{ SCMP_SYS(sendmsg), 0, { IS(0, RPC_FD) }, "its answer" },
	{ SCMP_SYS(write), 0, { IS(0, REQLOG_FD) }, "a line of the request log" },
	{ SCMP_SYS(fdatasync), 0, { IS(0, REQLOG_FD) }, "the intent is on disk before the change" },
	{ SCMP_SYS(pwrite64),
	  0,
	  { IS(0, REQKEY_FD), MASKED(2, UINT64_MAX, sizeof(struct reqlog_state)),
	    MASKED(3, UINT64_MAX, 0) },
	  "the key of a line is erased before it, in place" },
	{ SCMP_SYS(fdatasync), 0, { IS(0, REQKEY_FD) }, "a key ahead of the lines is on disk" },
	{ SCMP_SYS(close), 0, ANY, "descriptors of requests and answers" },
	{ 0 },
};
