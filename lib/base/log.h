/* Log lines on standard error, one fact a line: `level event key=value`. Leaf layer; the only static state is the level. */
#ifndef WB_BASE_LOG_H
#define WB_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
/* -1 when the word names no level. */
int log_level_parse(const char *word);

/* `fmt` is "event key=value ..."; strangers' text goes through LOGQ. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

struct log_quoted {
	char text[400];
};
/* A stranger's text made fit for one log line: quoted, control characters escaped, cut at 380 bytes. */
struct log_quoted log_quote(const char *s);
#define LOGQ(s) (log_quote(s).text)

#endif
