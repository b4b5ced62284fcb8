/* replay.c - runs a fuzz target without libFuzzer: `replay NAME FOLDER [CHANGES [SEED]]`.
 *
 * Each file of FOLDER is one input.  It runs as it is, then CHANGES times with random changes of
 * some bytes and of its length.  The result is one line of TAP.  A check that fails ends the
 * process; then the line that tells how to repeat the input is on standard error. */
#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include "tests/adversary/fuzz.h"

#define INPUT_MAX 65536u

static struct {
	const char *name;
	char file[512];
	unsigned change;
	unsigned long long seed;
} now;

/* xorshift64*: the sequence of a seed is the same on every machine. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

static void on_end(int signal_number)
{
	char line[700];
	int n = snprintf(line, sizeof(line), "%s: input %s, change %u, seed %llu\n", now.name,
			 now.file, now.change, now.seed);

	(void)!write(STDERR_FILENO, line, n > 0 ? (size_t)n : 0);
	(void)signal(signal_number, SIG_DFL);
	(void)raise(signal_number);
}

static size_t read_input(uint8_t *to)
{
	FILE *f = fopen(now.file, "re");

	if (!f) {
		perror(now.file);
		exit(1);
	}
	size_t n = fread(to, 1, INPUT_MAX, f);
	(void)fclose(f);
	return n;
}

/* A copy of the input with exactly its size, so that a read behind its end is seen. */
static void run(const uint8_t *bytes, size_t n)
{
	uint8_t *exact = malloc(n ? n : 1);

	MUST(exact);
	if (n)
		memcpy(exact, bytes, n);
	(void)LLVMFuzzerTestOneInput(exact, n);
	free(exact);
}

/* Return: the new length. */
static size_t change(uint8_t *b, size_t n, uint64_t *state)
{
	static const uint8_t edges[] = { 0, 1, 0x7f, 0x80, 0xff, 0xc4, 0xcf, 0xdc };

	for (unsigned i = 1 + next_random(state) % 4; i && n; i--) {
		const size_t at = next_random(state) % n;
		switch (next_random(state) % 4) {
		case 0:
			b[at] ^= (uint8_t)(1u << next_random(state) % 8);
			break;
		case 1:
			b[at] = edges[next_random(state) % sizeof(edges)];
			break;
		case 2:
			b[at] = (uint8_t)next_random(state);
			break;
		default:
			n = next_random(state) % 8 ? n : at;
		}
	}
	return n;
}

static void run_file(unsigned changes)
{
	static uint8_t bytes[INPUT_MAX], changed[INPUT_MAX];
	uint64_t state = now.seed;
	const size_t n = read_input(bytes);

	now.change = 0;
	run(bytes, n);
	while (now.change < changes) {
		now.change++;
		memcpy(changed, bytes, n);
		run(changed, change(changed, n, &state));
	}
}

static int wanted(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	struct dirent **list;
	unsigned changes = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;

	if (argc < 3) {
		fprintf(stderr, "usage: replay NAME FOLDER [CHANGES [SEED]]\n");
		return 2;
	}
	now.name = argv[1];
	now.seed = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
	(void)signal(SIGABRT, on_end);
	int n = scandir(argv[2], &list, wanted, alphasort);
	for (int i = 0; i < n; i++) {
		(void)snprintf(now.file, sizeof(now.file), "%s/%s", argv[2], list[i]->d_name);
		run_file(changes);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	printf("%s - fuzz target %s: %d inputs, %u changes of each, seed %llu\n",
	       n > 0 ? "ok" : "not ok", now.name, n, changes, now.seed);
	return n > 0 ? 0 : 1;
}
