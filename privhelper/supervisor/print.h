/* print.h - prints what each process may do, for `banger-privhelper --print-policy`. */
#ifndef BANGER_PRIVHELPER_SUPERVISOR_PRINT_H
#define BANGER_PRIVHELPER_SUPERVISOR_PRINT_H

/* Print the policies to standard output, out of the tables that the processes enter.  Return: 0, or
 * -1 with errno: the output could not be written. */
int print_policies(void);

#endif
