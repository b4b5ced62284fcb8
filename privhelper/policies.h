/* policies.h - the policies of the processes that banger-privhelper starts.
 *
 * Each table is in the folder of its process, beside the code that makes the calls.  What a
 * variable is bound to is known when the process locks itself down. */
#ifndef BANGER_PRIVHELPER_POLICIES_H
#define BANGER_PRIVHELPER_POLICIES_H

#include "common/policy.h"
#include "proto/ops.h"

#define LOCKED_FILES 4096 /* open files; blk holds up to two loops per slot while disks are made */
#define VMM_FILES 256     /* a QEMU with one vCPU opens about 40 */

/* Rules of every process that lockdown.c locks (policy.c), and of every role (role/policy.c). */
extern const struct rule lockdown_rules[], role_rules[];

/* Limits of the supervisor and the roles, which start no process any more. */
extern const struct policy_limit lockdown_limits[];

enum supervisor_var { SUP_LIFE = 1, SUP_NOTIFY, SUP_VARS };
extern const struct policy policy_supervisor;

enum net_var { NET_ROUTE = 1, NET_NFT, NET_CT, NET_LINK_EVENTS, NET_NFT_EVENTS, NET_VARS };
extern const struct policy policy_net;

enum blk_var { BLK_LOOP_CONTROL = 1, BLK_DM_CONTROL, BLK_DISKS, BLK_VARS };
extern const struct policy policy_blk;

enum spawn_var { SPAWN_LAUNCHER = 1, SPAWN_VARS };
extern const struct policy policy_spawn;

/* SLOT_IDS: the range of the slots' ids.  LANDLOCK and NO_LANDLOCK: one of the two is bound, as
 * VMM_SINK, which are the flags of open(2) that it decides about. */
enum launcher_var { SLOT_IDS = 1, LANDLOCK, NO_LANDLOCK, LAUNCHER_VARS };
extern const struct policy policy_launcher, policy_vmm[VMM_KINDS];

/* O_TMPFILE without O_DIRECTORY, which it includes. */
#define TMPFILE_BIT (O_TMPFILE & ~O_DIRECTORY)
#define VMM_SINK ((struct binding){ O_CREAT | O_NONBLOCK | TMPFILE_BIT, O_CREAT | O_NONBLOCK })

#endif
