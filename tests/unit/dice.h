/* A seeded source of randomness for tests: xorshift64*, the same numbers on every machine. */
#ifndef WB_TESTS_DICE_H
#define WB_TESTS_DICE_H

#include <stdint.h>

struct dice {
	uint64_t state;
};

static inline uint32_t dice_roll(struct dice *d, uint32_t below)
{
	d->state ^= d->state >> 12;
	d->state ^= d->state << 25;
	d->state ^= d->state >> 27;
	return (uint32_t)((d->state * 0x2545f4914f6cdd1dULL) >> 33) % below;
}

#endif
