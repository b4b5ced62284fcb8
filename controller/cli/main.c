/* main.c - the program `banger`: the command line with its own table of commands. */
#include "controller/cli/cli.h"

int main(int argc, char **argv)
{
	return cli_main(argc, argv, commands);
}
