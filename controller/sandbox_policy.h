/* sandbox_policy.h - the policies of the controller. */
#ifndef BANGER_CONTROLLER_SANDBOX_POLICY_H
#define BANGER_CONTROLLER_SANDBOX_POLICY_H

#include "common/policy.h"

enum sandbox_kind {
	SANDBOX_SERVICE, /* all that the controller does */
	SANDBOX_FILES,   /* only files, for --check-db: no call makes or uses a socket */
	SANDBOX_KINDS,
};

extern const struct policy policy_controller[SANDBOX_KINDS];

#endif
