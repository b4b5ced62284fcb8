/* doctor_proc.h - reads what /proc shows of a process, for `banger doctor --policy`. */
#ifndef BANGER_CONTROLLER_CLI_DOCTOR_PROC_H
#define BANGER_CONTROLLER_CLI_DOCTOR_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/config.h"

#define PROC_TEXT 16384 /* of a file of /proc/PID; a longer one is cut */
#define PROC_VALUE 256

/* Read /proc/PID/@name, NUL-terminated.  Return: 0, or -1 with errno. */
int proc_text(pid_t pid, const char *name, char out[PROC_TEXT]);

/* Read the link /proc/PID/@name.  Return: 0, or -1 with errno. */
int proc_link(pid_t pid, const char *name, char out[PROC_VALUE]);

/* Return: whether the process is a thread of the kernel's. */
bool proc_is_kernel_thread(pid_t pid);

/* Copy the value of the line "@key:" of /proc/PID/status, with one blank for each run of blanks;
 * "" if there is no such line. */
void proc_field(const char *status, const char *key, char out[PROC_VALUE]);

/* Copy the soft and the hard value of the line of /proc/PID/limits that begins with @title.
 * Return: 0, or -1: there is no such line. */
int proc_limit(const char *limits, const char *title, char soft[32], char hard[32]);

/* The owner of a descriptor, for proc_kind(). */
struct proc_holder {
	const struct config *config;
	pid_t pid;
	int slot; /* -1: not a VMM */
	/* A user may have sent it a file of a file system that never answers, so its files are
	 * known by their paths alone. */
	bool by_path;
};

/* Write the kind of descriptor @fd, a name of /proc/PID/fd, in one word, and the text of its link.
 * Return: 0, or -1: it is closed. */
int proc_kind(const struct proc_holder *h, const char *fd, char kind[32], char link[PROC_VALUE]);

/* Call @fn for each mount of the process until it returns false.  @point is relative to the
 * process's root.  Return: 0, or -1 with errno. */
int proc_mounts(pid_t pid, bool (*fn)(void *arg, const char *point, const char *options),
		void *arg);

/* Return: true if @word is one of the words of @list; @n: its length. */
bool proc_has_word(const char *list, const char *word, size_t n);

#endif
