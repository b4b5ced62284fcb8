/* end.h - ends the guest: its programs, its file systems, the machine. */
#ifndef BANGER_AGENT_END_H
#define BANGER_AGENT_END_H

/* Return: how reboot(2) powers this guest off.  Without ACPI (Firecracker) only a restart ends the
 * VM. */
int end_power_off(void);

/**
 * end_now() - end all programs, write the file systems to their disks, and end the machine
 * @proc:	the folder /proc
 * @how:	an argument of reboot(2)
 * @signal:	what each process gets but process 1, the caller and the agents
 * @grace_ms:	time from that to SIGKILL
 * @reap:	called meanwhile: waits for ended children
 */
_Noreturn void end_now(int proc, int how, int signal, unsigned grace_ms, void (*reap)(void));

/**
 * end_asked() - have the image's init power the guest off, or do it without init
 * @proc:	likewise
 * @grace_ms:	the time that init has; at most 3 s when the init is not known, and no program of
 *		the guest reads the power button
 */
_Noreturn void end_asked(int proc, unsigned grace_ms);

#endif
