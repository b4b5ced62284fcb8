/* volume.h - puts the files of a VM's volumes into its slot's folder. */
#ifndef BANGER_CONTROLLER_STORAGE_VOLUME_H
#define BANGER_CONTROLLER_STORAGE_VOLUME_H

#include "controller/ctl.h"

/**
 * storage_link_volumes() - link the file of each volume of @vm into the slot's folder, as vol0, ...
 *
 * Links of an earlier start are replaced.  The monitor finds a file by its link alone: only the
 * slot's ids can enter the slot's folder, and the controller alone enters volumes/.  So the mode
 * decides what the monitor of a link may do: 0666, or 0444 for a volume that is read-only.  The
 * caller has made sure that no other VM runs with a volume that either of the two can write
 * (db_volumes_free()).
 * Return: 0, or -1: FAIL_NOT_FOUND the file of a volume is missing, FAIL_HOST, FAIL_GENERAL.
 */
int storage_link_volumes(struct ctl *c, const struct vm *vm, struct error *e);

#endif
