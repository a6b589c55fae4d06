// What options.c has for file.c.
#ifndef AG_CONFIG_APPLY_H
#define AG_CONFIG_APPLY_H

#include "autogaze/config.h"

void ag_config_set_defaults(struct ag_config *c);
// One option, without dashes. `value` NULL: none; switches take yes and no, too. Strings stay the
// caller's.
bool ag_config_apply(struct ag_config *c, const char *name, char *value, struct ag_error *err);
// The command line over what *c has, then checks what contradicts itself.
bool ag_config_apply_args(struct ag_config *c, int argc, char **argv, struct ag_error *err);

#endif
