/* The answers of a hostile Firecracker, through libcurl.  An input is the call to make, then the
 * answers: a word with the length, and the bytes, one for each request.  With the top bit of the
 * word the bytes come again and again, up to twice what an answer may have.
 *
 * Checked: each call ends; an error has a text that is safe on a terminal; nothing leaks; an answer
 * of more than VMM_ANSWER_MAX bytes is never kept. */
#include <curl/curl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "controller/storage/disk.h"
#include "controller/vmm/driver.h"
#include "controller/vmm/peer.h"
#include "tests/adversary/fuzz.h"

static struct input answers;
static unsigned requests;

const struct storage_driver *storage_by_name(const char *name)
{
	(void)name;
	return NULL;
}

int __wrap_vmm_peer_find(const struct ctl *c, const struct vm *vm, const struct vmm_wait *w,
			 char path[VMM_PEER_PATH], int *sock, struct error *e);
int __wrap_vmm_peer_find(const struct ctl *c, const struct vm *vm, const struct vmm_wait *w,
			 char path[VMM_PEER_PATH], int *sock, struct error *e)
{
	(void)c;
	(void)vm;
	(void)w;
	(void)sock;
	(void)e;
	(void)snprintf(path, VMM_PEER_PATH, "/none/api.sock");
	return 0;
}

/* The answer to the next connection: a copy, since the monitor may be late with one that the driver
 * has given up. */
static struct {
	pthread_mutex_t lock;
	size_t n;
	uint8_t b[2 * VMM_ANSWER_MAX];
} answer = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void prepare(void)
{
	(void)pthread_mutex_lock(&answer.lock);
	const unsigned word = input_word(&answers);
	const size_t n = answer.n = input_take(&answers, answer.b, word & 0x7fff);
	while (word & 0x8000 && n && answer.n + n <= sizeof(answer.b)) {
		memcpy(answer.b + answer.n, answer.b, n);
		answer.n += n;
	}
	(void)pthread_mutex_unlock(&answer.lock);
}

/* Take one connection: the answer goes out before the request is read. */
static void serve(int listener)
{
	static uint8_t copy[sizeof(answer.b)];
	char drop[4096];
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	MUST(fd >= 0);
	(void)pthread_mutex_lock(&answer.lock);
	const size_t n = answer.n;
	memcpy(copy, answer.b, n);
	(void)pthread_mutex_unlock(&answer.lock);
	if (n)
		(void)!send(fd, copy, n, MSG_NOSIGNAL);
	(void)shutdown(fd, SHUT_WR);
	while (recv(fd, drop, sizeof(drop), 0) > 0)
		;
	(void)close(fd);
}

static void *monitor(void *arg)
{
	for (;;)
		serve(*(const int *)arg);
	return NULL;
}

static char name[40];

/* Listen at an abstract name of this process, and start the monitor. */
static void start(void)
{
	static int listener;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	pthread_t thread;

	(void)snprintf(name, sizeof(name), "banger-fuzz-http-%d", (int)getpid());
	memcpy(a.sun_path + 1, name, strlen(name));
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(listener >= 0 &&
	     bind(listener, (const void *)&a,
		  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))) == 0 &&
	     listen(listener, 8) == 0);
	MUST(pthread_create(&thread, NULL, monitor, &listener) == 0);
}

CURLcode __real_curl_easy_perform(CURL *h);
CURLcode __wrap_curl_easy_perform(CURL *h);
CURLcode __wrap_curl_easy_perform(CURL *h)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, start);
	MUST(++requests < 100);
	MUST(curl_easy_setopt(h, CURLOPT_ABSTRACT_UNIX_SOCKET, name) == CURLE_OK);
	prepare();
	return __real_curl_easy_perform(h);
}

static void check_error(const struct error *e)
{
	MUST(e->code > FAIL_NONE && e->code < FAIL_COUNT);
	for (const char *c = e->why; *c; c++)
		MUST(*c >= ' ' && *c <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ctl c;
	static const struct operation o = { .cancelled = NULL };
	const struct vm vm = { .name = "fuzz", .vcpus = 1, .mem_mib = 64 };
	struct error e = { .code = FAIL_NONE };
	int r;

	answers = (struct input){ data, data + size };
	requests = 0;
	const uint8_t call = input_byte(&answers);
	if (call % 4 == 1)
		r = vmm_firecracker.shutdown(&c, &vm, -1, &e);
	else if (call % 4 == 3)
		r = vmm_firecracker.flush(&c, &vm, -1, &e);
	else
		r = vmm_firecracker.boot(&c, &vm, &o, -1, &e);
	MUST(r == 0 || r == -1);
	if (r < 0)
		check_error(&e);
	return 0;
}
