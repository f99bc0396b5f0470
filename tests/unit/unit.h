/* What each unit test includes: cmocka, and checks that print the row of the table that failed. */
#ifndef WB_TESTS_UNIT_H
#define WB_TESTS_UNIT_H

#include "unit/dice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_OF(array) (sizeof(array) / sizeof(array)[0])

#define ROW_CHECK(row, condition) \
	do { \
		if (!(condition)) \
			fail_msg("row \"%s\": not true: %s", (row), #condition); \
	} while (0)

#define ROW_STR(row, got, want) \
	do { \
		const char *got_ = (got), *want_ = (want); \
		if (!got_ != !want_ || (got_ && strcmp(got_, want_) != 0)) \
			fail_msg("row \"%s\": %s is\n%s\nnot\n%s", (row), #got, got_ ? got_ : "(NULL)", want_ ? want_ : "(NULL)"); \
	} while (0)

#define ROW_INT(row, got, want) \
	do { \
		long long got_ = (long long)(got), want_ = (long long)(want); \
		if (got_ != want_) \
			fail_msg("row \"%s\": %s is %lld, not %lld", (row), #got, got_, want_); \
	} while (0)

#endif
