/* Prometheus' answers, made up. */
#ifndef WB_TESTS_ANSWERS_H
#define WB_TESTS_ANSWERS_H

#include "unit/unit.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"

enum { ANSWER_TIME_S = 1790000000 };

/* One series with a value; takes the labels over. */
static inline json_t *series(json_t *labels_take, const char *value)
{
	return json_pack("{s:o, s:[i, s]}", "metric", labels_take, "value", ANSWER_TIME_S, value);
}

/* Takes the list over. */
static inline json_t *answer(json_t *result_take)
{
	return json_pack("{s:s, s:{s:s, s:o}}", "status", "success", "data", "resultType", "vector", "result", result_take);
}

static inline json_t *labels_of(const char *name, const char *instance)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "__name__", name, "instance", instance, "job", "blackbox", "module", "http_2xx");
}

#endif
