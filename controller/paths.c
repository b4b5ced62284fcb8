/* paths.c - makes the names that more than one room uses. */
#include "controller/paths.h"

#include <stdio.h>
#include <sys/utsname.h>

/* struct config bounds the folders' names (127 and 95 bytes), so no path below is cut. */

void path_slot_state(const struct config *c, uint32_t slot, const char *file, char out[200])
{
	(void)snprintf(out, 200, "%s/slots/%u%s%s", c->state_dir, slot, file[0] ? "/" : "", file);
}

void path_slot_run(const struct config *c, uint32_t slot, const char *file, char out[200])
{
	(void)snprintf(out, 200, "%s/slots/%u%s%s", c->run_dir, slot, file[0] ? "/" : "", file);
}

void path_image(const struct config *c, const char *digest, char out[256])
{
	(void)snprintf(out, 256, "%s/images/%s.ext4", c->state_dir, digest);
}

void path_volume(const struct config *c, const char *digest, char out[256])
{
	(void)snprintf(out, 256, "%s/volumes%s%s%s", c->state_dir, digest[0] ? "/" : "", digest,
		       digest[0] ? ".ext4" : "");
}

void path_kernel(const struct config *c, const char *digest, const char *file, char out[256])
{
	(void)snprintf(out, 256, "%s/kernels/%s%s%s", c->state_dir, digest, file[0] ? "/" : "",
		       file);
}

void path_database(const struct config *c, char out[200])
{
	(void)snprintf(out, 200, "%s/banger.db", c->state_dir);
}

void path_consoles(const struct config *c, char out[200])
{
	(void)snprintf(out, 200, "%s/consoles", c->state_dir);
}

void path_console(const struct config *c, uint32_t slot, const char *suffix, char out[200])
{
	(void)snprintf(out, 200, "%s/consoles/%u.%s", c->state_dir, slot, suffix);
}

void key_kvm(const char *boot_id, char out[160])
{
	struct utsname u;

	(void)uname(&u); /* fails for a bad address alone (uname(2)) */
	(void)snprintf(out, 160, "kvm:%s:%s", boot_id, u.release);
}
