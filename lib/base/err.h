/* The error object: a kind that says what the caller should do, and a message that grows a prefix on its way up. Leaf layer, pure. */
#ifndef WB_BASE_ERR_H
#define WB_BASE_ERR_H

enum err_kind {
	ERR_NONE = 0,
	ERR_INPUT, /* tell the user */
	ERR_TRANSIENT, /* back off and try again */
	ERR_CONFLICT, /* read again, then try again */
	ERR_DENIED, /* tell the operator */
	ERR_INTERNAL, /* our bug */
};

struct err {
	enum err_kind kind;
	char msg[512];
};

/* Sets kind and message. Returns -1, so that `return err_set(...)` is one line. `e` may be NULL. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set, with ": " and the text of errno (its value at the call) behind the message. */
int err_errno(struct err *e, enum err_kind kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the message. Returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The kind as a word for logs and JSON. */
const char *err_kind_name(enum err_kind kind);

#endif
