/* firecracker.c - Firecracker over HTTP on its API socket
 * (src/firecracker/swagger/firecracker.yaml, 1.14).
 *
 * Firecracker starts without a machine.  The driver sends PUT requests for log, metrics, machine,
 * boot source, drive, network interface and vsock, and then starts the instance.  Each answer is
 * 204 or a fault message.  Each request has a connection of its own.  A request ends at its
 * deadline, at a bound of its size, when the monitor exits, or by a cancellation, whatever the
 * monitor sends. */
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "controller/json.h"
#include "controller/storage/disk.h"
#include "controller/vmm/driver.h"
#include "controller/vmm/peer.h"
#include "proto/slot.h"

#define WHO "Firecracker"
#define REQUEST_MS 10000L

/* i8042.*: the machine has a keyboard controller for SendCtrlAltDel and no device on it; the
 * options shorten the guest's search for devices.  Firecracker adds root= for the root device. */
#define KERNEL_LINE \
	"console=ttyS0 quiet reboot=k panic=1 net.ifnames=0 i8042.noaux i8042.nomux i8042.dumbkbd"

struct answer {
	const struct vmm_wait *w;
	struct error *e;
	long status;
	bool too_long; /* the body exceeded VMM_ANSWER_MAX */
	bool over;     /* the wait ended; e has the reason */
	size_t n;
	char body[VMM_ANSWER_MAX + 1];
};

static void cleanup_curl(CURL **h)
{
	curl_easy_cleanup(*h);
}
#define _cleanup_curl_ __attribute__((cleanup(cleanup_curl)))

static void cleanup_list(struct curl_slist **l)
{
	curl_slist_free_all(*l);
}
#define _cleanup_list_ __attribute__((cleanup(cleanup_list)))

static size_t on_body(char *data, size_t one, size_t n, void *arg)
{
	struct answer *a = arg;

	if (n * one > VMM_ANSWER_MAX - a->n) {
		a->too_long = true;
		return 0;
	}
	memcpy(a->body + a->n, data, n * one);
	a->n += n * one;
	a->body[a->n] = '\0';
	return n * one;
}

/* Progress callback: libcurl calls it about once a second, and when data arrives.  A result other
 * than 0 ends the transfer (CURLOPT_XFERINFOFUNCTION(3)). */
static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct answer *answer = arg;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	answer->over = vmm_wait_check(answer->w, answer->e) < 0;
	return answer->over;
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_start(void)
{
	(void)curl_global_init(CURL_GLOBAL_NOTHING);
}

/* Return: the timeout of a request.  /actions starts the guest, which loads kernel and initramfs,
 * so it may use the rest of the whole time.  All other requests are short. */
static long patience_ms(const struct answer *a, const char *path)
{
	long left = (long)vmm_wait_left(a->w) + 1;

	return left < REQUEST_MS || strcmp(path, "/actions") == 0 ? left : REQUEST_MS;
}

/* Set the options that all requests have.  Return: false when libcurl does not support one of
 * them. */
static bool set_common(CURL *h, const char *socket, const char *path, struct answer *a)
{
	char url[80];
	long most = patience_ms(a, path);
	int bad = 0;

	(void)snprintf(url, sizeof(url), "http://localhost%s", path);
	bad |= curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, socket);
	bad |= curl_easy_setopt(h, CURLOPT_URL, url);
	bad |= curl_easy_setopt(h, CURLOPT_PROXY, "");
	bad |= curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	bad |= curl_easy_setopt(h, CURLOPT_FORBID_REUSE, 1L);
	bad |= curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	bad |= curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, most);
	bad |= curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, most);
	bad |= curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	bad |= curl_easy_setopt(h, CURLOPT_WRITEDATA, a);
	bad |= curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
	bad |= curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	bad |= curl_easy_setopt(h, CURLOPT_XFERINFODATA, a);
	return bad == 0;
}

static bool set_body(CURL *h, const char *body, struct curl_slist **headers)
{
	static const char *const lines[] = { "Content-Type: application/json",
					     "Accept: application/json", "Expect:" };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct curl_slist *more = curl_slist_append(*headers, lines[i]);
		if (!more)
			return false;
		*headers = more;
	}
	return curl_easy_setopt(h, CURLOPT_HTTPHEADER, *headers) == 0 &&
	       curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, "PUT") == 0 &&
	       curl_easy_setopt(h, CURLOPT_POSTFIELDS, body) == 0;
}

/* Fill in the error for a transfer that failed.  Return: -1. */
static int transfer_error(CURLcode code, const char *path, const struct answer *a, struct error *e)
{
	if (a->over)
		return -1;
	if (a->too_long)
		return error_set(e, FAIL_GENERAL, WHO, "%s: an answer of more than %d bytes", path,
				 VMM_ANSWER_MAX);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return error_set(e, FAIL_TIMEOUT, WHO,
				 "%s: no whole answer on its API socket in time", path);
	return error_set(e, FAIL_GENERAL, WHO, "%s: %s", path, curl_easy_strerror(code));
}

/* Fill in the error from a fault message: {"fault_message": "..."}.  Return: -1. */
static int fault(const char *path, const struct answer *a, struct error *e)
{
	_cleanup_json_ json_t *j = json_read(a->body, a->n);
	const char *message = json_string_value(json_object_get(j, "fault_message"));
	char text[240];

	vmm_peer_text(text, sizeof(text), message ? message : "it does not say why");
	return error_set(e, FAIL_GENERAL, WHO, "%s: status %ld: %s", path, a->status, text);
}

/**
 * request() - send one request on a new connection, and read the answer
 * @body:	JSON to send with PUT; NULL: a GET request
 * @want:	HTTP status that means success
 *
 * Return: 0 with the answer in a->body, or -1 with the error.
 */
static int request(const char *socket, const char *path, const char *body, long want,
		   struct answer *a, struct error *e)
{
	_cleanup_list_ struct curl_slist *headers = NULL;

	(void)pthread_once(&curl_once, curl_start);
	_cleanup_curl_ CURL *h = curl_easy_init();
	a->n = 0;
	a->body[0] = '\0';
	a->e = e;
	a->too_long = a->over = false;
	if (!h || !set_common(h, socket, path, a) || (body && !set_body(h, body, &headers)))
		return error_set(e, FAIL_GENERAL, WHO, "%s: libcurl can not prepare the request",
				 path);
	if (vmm_wait_check(a->w, e) < 0)
		return -1;
	if (FAILPOINT_FAILS("vmm.http.before"))
		return transfer_error(CURLE_SEND_ERROR, path, a, e);
	CURLcode code = curl_easy_perform(h);
	if (FAILPOINT_FAILS("vmm.http.after"))
		return transfer_error(CURLE_RECV_ERROR, path, a, e);
	if (code != CURLE_OK)
		return transfer_error(code, path, a, e);
	if (curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &a->status) != CURLE_OK ||
	    a->status != want)
		return fault(path, a, e);
	return 0;
}

static int put(const char *socket, const char *path, json_t *body, struct answer *a,
	       struct error *e)
{
	_cleanup_json_ json_t *owned = body;
	_cleanup_free_ char *text = json_write(owned);

	if (!text)
		return error_set(e, FAIL_GENERAL, WHO, "out of memory");
	return request(socket, path, text, 204, a, e);
}

/* Paths in requests are those inside the jail: /state is the slot's folder of state_dir, /run is
 * that of run_dir. */
static json_t *logger(const struct vm *vm)
{
	char path[40];

	(void)snprintf(path, sizeof(path), "/run/%u/log", vm->slot);
	return json_pack("{s:s, s:s, s:b, s:b}", "log_path", path, "level", "Info", "show_level", 1,
			 "show_log_origin", 0);
}

static json_t *metrics(const struct vm *vm)
{
	char path[40];

	(void)snprintf(path, sizeof(path), "/run/%u/metrics", vm->slot);
	return json_pack("{s:s}", "metrics_path", path);
}

static json_t *machine(const struct vm *vm)
{
	return json_pack("{s:i, s:i}", "vcpu_count", (int)vm->vcpus, "mem_size_mib",
			 (int)vm->mem_mib);
}

static json_t *boot_source(const struct vm *vm)
{
	char kernel[40], initrd[40];

	(void)snprintf(kernel, sizeof(kernel), "/state/%u/vmlinux", vm->slot);
	(void)snprintf(initrd, sizeof(initrd), "/state/%u/initrd", vm->slot);
	return json_pack("{s:s, s:s, s:s}", "kernel_image_path", kernel, "initrd_path", initrd,
			 "boot_args", KERNEL_LINE);
}

/* cache_type Writeback: the guest's flushes reach the host's disk.  The default, Unsafe, ignores
 * them. */
static json_t *drive(const struct vm *vm)
{
	const struct storage_driver *storage = storage_by_name(vm->runtime.storage);
	char path[40];

	if (storage && storage->disk == DISK_DM)
		(void)snprintf(path, sizeof(path), "/run/vda%u", vm->slot);
	else
		(void)snprintf(path, sizeof(path), "/state/%u/disk", vm->slot);
	return json_pack("{s:s, s:s, s:b, s:b, s:s}", "drive_id", "rootfs", "path_on_host", path,
			 "is_root_device", 1, "is_read_only", 0, "cache_type", "Writeback");
}

static json_t *volume(const struct vm *vm, uint32_t i, const char *id)
{
	char path[40];

	(void)snprintf(path, sizeof(path), "/state/%u/%s", vm->slot, id);
	return json_pack("{s:s, s:s, s:b, s:b, s:s}", "drive_id", id, "path_on_host", path,
			 "is_root_device", 0, "is_read_only", vm->volumes[i].read_only,
			 "cache_type", "Writeback");
}

/* The guest's kernel finds the disks in the order of these requests, the root disk first
 * (src/vmm/src/builder.rs, attach_block_devices()). */
static int put_volumes(const struct vm *vm, const char *socket, struct answer *a, struct error *e)
{
	char id[16], path[32];

	for (uint32_t i = 0; i < vm->n_volumes; i++) {
		(void)snprintf(id, sizeof(id), "vol%u", i);
		(void)snprintf(path, sizeof(path), "/drives/%s", id);
		if (put(socket, path, volume(vm, i, id), a, e) < 0)
			return -1;
	}
	return 0;
}

static json_t *interface(const struct vm *vm)
{
	char tap[16], mac[18];
	uint8_t m[6];

	slot_tap(vm->slot, tap);
	slot_mac(vm->slot, m);
	(void)snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3],
		       m[4], m[5]);
	return json_pack("{s:s, s:s, s:s}", "iface_id", "eth0", "host_dev_name", tap, "guest_mac",
			 mac);
}

/* The guest's vsock, by which clients reach its agent.  The cid is of meaning inside this guest
 * alone. */
static json_t *vsock(const struct vm *vm)
{
	char path[40];

	(void)snprintf(path, sizeof(path), "/run/%u/" AGENT_VSOCK, vm->slot);
	return json_pack("{s:i, s:s}", "guest_cid", 3, "uds_path", path);
}

static int action(const char *socket, const char *name, struct answer *a, struct error *e)
{
	return put(socket, "/actions", json_pack("{s:s}", "action_type", name), a, e);
}

/* Ask for the state of the instance.  Return: 1 running, 0 not, -1 with the error. */
static int instance_state(const char *socket, struct answer *a, struct error *e)
{
	if (request(socket, "/", NULL, 200, a, e) < 0)
		return -1;
	_cleanup_json_ json_t *j = json_read(a->body, a->n);
	const char *s = json_string_value(json_object_get(j, "state"));
	if (!s)
		return error_set(e, FAIL_GENERAL, WHO, "an answer that is not its API's");
	return strcmp(s, "Running") == 0;
}

/* Configure log and metrics.  If that fails, the monitor runs and logs to the console.  Without
 * Landlock it always fails: Firecracker's seccomp filter forbids the way it opens the FIFOs. */
static void put_sinks(const struct vm *vm, const char *socket, struct answer *a)
{
	struct error e;

	if (put(socket, "/logger", logger(vm), a, &e) < 0 ||
	    put(socket, "/metrics", metrics(vm), a, &e) < 0)
		log_warn("%s: no log or metrics: %s", vm->name, e.why);
}

static int configure(const struct ctl *c, const struct vm *vm, const char *socket, struct answer *a,
		     struct error *e)
{
	put_sinks(vm, socket, a);
	if (put(socket, "/machine-config", machine(vm), a, e) < 0 ||
	    put(socket, "/boot-source", boot_source(vm), a, e) < 0)
		return -1;
	if (put(socket, "/drives/rootfs", drive(vm), a, e) < 0 || put_volumes(vm, socket, a, e) < 0)
		return -1;
	if (put(socket, "/network-interfaces/eth0", interface(vm), a, e) < 0)
		return -1;
	return c->config.agent_ports ? put(socket, "/vsock", vsock(vm), a, e) : 0;
}

/* The path of the monitor's socket and room for an answer.  Return: 0, or -1 with the error. */
static int begin(const struct ctl *c, const struct vm *vm, const struct vmm_wait *w,
		 char socket[VMM_PEER_PATH], struct answer **a, struct error *e)
{
	*a = calloc(1, sizeof(**a));
	if (!*a)
		return error_set(e, FAIL_GENERAL, WHO, "out of memory");
	(*a)->w = w;
	return vmm_peer_find(c, vm, w, socket, NULL, e);
}

static int fc_boot(struct ctl *c, const struct vm *vm, const struct operation *o, int pidfd,
		   struct error *e)
{
	const struct vmm_wait w = vmm_wait_start(WHO, VMM_BOOT_MS, pidfd, o);
	_cleanup_free_ struct answer *a = NULL;
	char socket[VMM_PEER_PATH];

	if (begin(c, vm, &w, socket, &a, e) < 0 || configure(c, vm, socket, a, e) < 0 ||
	    action(socket, "InstanceStart", a, e) < 0)
		return -1;
	int running = instance_state(socket, a, e);
	if (running == 0)
		return error_set(e, FAIL_GENERAL, WHO,
				 "it accepted the start, but the guest does not run");
	return running < 0 ? -1 : 0;
}

/* Send one action to the monitor that @pidfd names.  Return: 0, or -1 with the error. */
static int send_action(struct ctl *c, const struct vm *vm, int pidfd, const char *name,
		       struct error *e)
{
	const struct vmm_wait w = vmm_wait_start(WHO, VMM_TALK_MS, pidfd, NULL);
	_cleanup_free_ struct answer *a = NULL;
	char socket[VMM_PEER_PATH];

	return begin(c, vm, &w, socket, &a, e) < 0 ? -1 : action(socket, name, a, e);
}

static int fc_shutdown(struct ctl *c, const struct vm *vm, int pidfd, struct error *e)
{
	return send_action(c, vm, pidfd, "SendCtrlAltDel", e);
}

static int fc_flush(struct ctl *c, const struct vm *vm, int pidfd, struct error *e)
{
	return send_action(c, vm, pidfd, "FlushMetrics", e);
}

const struct vmm_driver vmm_firecracker = {
	.name = "firecracker",
	.kind = VMM_FIRECRACKER,
	.boot = fc_boot,
	.shutdown = fc_shutdown,
	.flush = fc_flush,
};
