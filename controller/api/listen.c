/* Where the API listens: see listen.h. */
#include "api/listen.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { BACKLOG = 128, MAX_HOST_BYTES = 255 };

/* -- reading -- */

static int parse_unix(struct listen_address *out, const char *text, struct err *e)
{
	const char *path = text + strlen("unix:");
	if (*path != '/')
		return err_set(e, ERR_INPUT, "\"%.100s\": an absolute path is expected behind unix:", text);
	while (path[1] == '/')
		path++;
	if (strlen(path) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
		return err_set(e, ERR_INPUT, "\"%.200s\": the path of a unix socket may have 107 bytes", text);
	out->text = xstrdup(text);
	out->unix_path = xstrdup(path);
	return 0;
}

int listen_parse(struct listen_address *out, const char *text, struct err *e)
{
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;
	int64_t number;
	*out = (struct listen_address){0};
	if (text_starts(text, "unix:"))
		return parse_unix(out, text, e);
	if (!colon || n > MAX_HOST_BYTES || !text_parse_int(colon + 1, 0, 65535, &number))
		return err_set(e, ERR_INPUT, "\"%.100s\" is no address and port such as 0.0.0.0:8080", text);
	bool is_bracketed = n >= 2 && text[0] == '[' && colon[-1] == ']';
	if (!is_bracketed && memchr(text, ':', n))
		return err_set(e, ERR_INPUT, "\"%.100s\": an IPv6 address is written in brackets, [::1]:8080", text);
	out->text = xstrdup(text);
	out->host = is_bracketed ? xstrndup(text + 1, n - 2) : xstrndup(text, n);
	out->port = xstrdup(colon + 1);
	return 0;
}

void listen_address_deinit(struct listen_address *a)
{
	free(a->text);
	free(a->unix_path);
	free(a->host);
	free(a->port);
	*a = (struct listen_address){0};
}

int listen_parse_mode(const char *text, mode_t *out, struct err *e)
{
	size_t n = strlen(text);
	if (!n || n > 4 || strspn(text, "01234567") != n || (n == 4 && *text != '0'))
		return err_set(e, ERR_INPUT, "socket-mode: \"%.20s\" is no file mode such as 0660", text);
	*out = (mode_t)strtoul(text, NULL, 8);
	return 0;
}

/* -- opening -- */

static int open_tcp(const struct addrinfo *a, bool both_families)
{
	int on = 1, off = 0;
	AUTO_CLOSE int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
		return -1;
	if (a->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both_families ? &off : &on, sizeof on) < 0)
		return -1;
	if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return -1;
	int opened = fd;
	fd = -1;
	return opened;
}

/* Of a name's addresses the first of IPv4, as Prometheus takes it: "localhost" often has ::1 before 127.0.0.1. */
static const struct addrinfo *preferred(const struct addrinfo *found)
{
	for (const struct addrinfo *a = found; a; a = a->ai_next)
		if (a->ai_family == AF_INET)
			return a;
	return found;
}

static int listen_at(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
	if (getaddrinfo(*host ? host : "::", port, &hints, &found) != 0) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	int fd = open_tcp(preferred(found), !*host);
	int saved = errno;
	freeaddrinfo(found);
	errno = saved;
	/* A kernel without IPv6. */
	return fd < 0 && !*host && saved == EAFNOSUPPORT ? listen_at("0.0.0.0", port) : fd;
}

static bool is_loopback(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_storage room;
	} a = {0};
	socklen_t len = sizeof a;
	if (getsockname(fd, &a.any, &len) < 0)
		return false;
	if (a.any.sa_family == AF_INET)
		return ntohl(a.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	const struct in6_addr *v6 = &a.v6.sin6_addr;
	return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == IN_LOOPBACKNET);
}

/* Born with its mode: between bind and a chmod others could connect. */
static int bind_with_mode(int fd, const struct sockaddr_un *a, mode_t mode)
{
	mode_t old = umask(~mode & 0777);
	int rc = bind(fd, (const struct sockaddr *)a, sizeof *a);
	int saved = errno;
	umask(old);
	errno = saved;
	return rc;
}

/* Something is at the path: it may go if it is a socket that refuses, as one does whose process has ended. Sets errno otherwise.
 */
static int remove_stale(const struct sockaddr_un *a)
{
	struct stat st;
	if (lstat(a->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -1;
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return -1;
	}
	AUTO_CLOSE int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return -1;
	if (connect(probe, (const struct sockaddr *)a, sizeof *a) == 0 || errno != ECONNREFUSED) {
		errno = EADDRINUSE;
		return -1;
	}
	return unlink(a->sun_path);
}

static int open_unix(const char *path, mode_t mode, struct listen_socket *out)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct stat st;
	memcpy(a.sun_path, path, strlen(path));
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (bind_with_mode(fd, &a, mode) < 0 && (errno != EADDRINUSE || remove_stale(&a) < 0 || bind_with_mode(fd, &a, mode) < 0))
		return -1;
	if (listen(fd, BACKLOG) < 0 || stat(path, &st) < 0)
		return -1;
	*out = (struct listen_socket){.fd = fd, .is_loopback = true, .dev = st.st_dev, .ino = st.st_ino};
	fd = -1;
	return 0;
}

int listen_open(const struct listen_address *a, mode_t mode, struct listen_socket *out, struct err *e)
{
	if (a->unix_path && open_unix(a->unix_path, mode, out) < 0)
		return errno == EEXIST ? err_set(e, ERR_INPUT, "cannot listen at %.200s: a file is there that is no socket", a->text)
							   : err_errno(e, ERR_INPUT, "cannot listen at %.200s", a->text);
	if (a->unix_path)
		return 0;
	*out = (struct listen_socket){.fd = listen_at(a->host, a->port)};
	if (out->fd < 0)
		return err_errno(e, ERR_INPUT, "cannot listen at %.200s", a->text);
	out->is_loopback = is_loopback(out->fd);
	return 0;
}

void listen_remove(const struct listen_address *a, const struct listen_socket *s)
{
	struct stat st;
	if (a->unix_path && lstat(a->unix_path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(a->unix_path);
}
