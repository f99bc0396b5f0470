/* Fuzzes what is made of Prometheus' words: blame, excerpts, the summary of what runs. */
#include "base/text.h"
#include "fuzz/fuzz.h"
#include "model/blame.h"
#include "model/running.h"

static void fuzz_running(const char *text, size_t step)
{
	struct running r = {0};
	struct running_rules rr;
	struct err e = {0};
	running_add_config(&r, text);
	running_rules_init(&rr, &r);
	for (size_t at = 0, n = strlen(text); at < n; at += step)
		running_rules_feed(&rr, text + at, n - at < step ? n - at : step);
	running_rules_end(&rr, &e);
	AUTO_FREE char *same = running_difference(&r, &r);
	FUZZ_CHECK(!same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	if (!size)
		return 0;
	AUTO_FREE char *expr = fuzz_string(&in), *value = fuzz_string(&in), *words = fuzz_string(&in);
	struct pair pair = {"summary", value};
	struct want_alert w = {.index = "", .name = "a", .expr = expr, .labels = {&pair, 1}, .annotations = {&pair, 1}};
	struct blame b = blame_find(&w, words);
	FUZZ_CHECK((b.text == expr || b.text == value) && b.at <= strlen(b.text));
	text_mend_utf8(expr, strlen(expr));
	AUTO_FREE char *excerpt = text_excerpt(expr, data[0]);
	const char *line = strchr(excerpt, '\n');
	FUZZ_CHECK(line && !strchr(line + 1, '\n') && text_ends(excerpt, "^") && text_is_utf8(excerpt, strlen(excerpt)));
	fuzz_running(words, 1 + data[0] % 16);
	return 0;
}
