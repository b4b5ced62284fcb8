/* vmm.c - stands in for a VMM where only a process is wanted: it waits until it is killed.  The
 * filters of QEMU and Firecracker allow its calls. */
#include <poll.h>

int main(void)
{
	for (;;)
		(void)poll(0, 0, -1);
}
