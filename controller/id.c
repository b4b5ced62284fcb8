/* id.c - makes the ids of VMs and operations. */
#include "controller/id.h"

#include <sys/random.h>

#include "common/log.h"

void id_new(uint8_t id[ID_LEN])
{
	if (getrandom(id, ID_LEN, 0) != ID_LEN)
		die_errno(1, "getrandom");
}
