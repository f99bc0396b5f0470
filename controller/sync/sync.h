/* The verb `watchbill sync`: a reader of a remote store beside a Prometheus. */
#ifndef WB_SYNC_SYNC_H
#define WB_SYNC_SYNC_H

#include "cli/cli.h"

extern const struct verb sync_verb;

#endif
