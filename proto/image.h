/* image.h - the files that `banger image import` adds to a container image, for the agent.
 *
 * IMAGE_CONFIG: records, each a letter (enum image_record), a text and a NUL, in any order; those
 * of one kind are in their own order.  IMAGE_AGENT_INIT: an empty file, by which guest/init leaves
 * process 1 to the agent, although the image has a /sbin/init. */
#ifndef BANGER_PROTO_IMAGE_H
#define BANGER_PROTO_IMAGE_H

#define IMAGE_CONFIG "/etc/banger/image-config"
#define IMAGE_AGENT_INIT "/etc/banger/agent-is-init"
#define IMAGE_CONFIG_MAX 131072 /* bytes of the file */

enum image_record {
	IMAGE_ENTRY = 'E',   /* a word of the entry point */
	IMAGE_COMMAND = 'C', /* a word of the command */
	IMAGE_ENV = 'V',     /* NAME=value */
	IMAGE_USER = 'U',    /* name or uid, also with :group */
	IMAGE_FOLDER = 'W',  /* working folder */
	IMAGE_SIGNAL = 'S',  /* the signal that ends the program, as SIGTERM or 15 */
};

#endif
