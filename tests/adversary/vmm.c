/* vmm.c - stands in for QEMU where only a process is wanted: it waits until it is killed. */
#include <poll.h>

int main(void)
{
	for (;;)
		(void)poll(0, 0, -1);
}
