/* Tests of controller/api/listen: what is an address, and what happens to files where a unix socket is to be. */
#include "api/listen.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void addresses(void **state)
{
	static const struct {
		const char *text, *host, *port, *unix_path, *error;
	} rows[] = {
		{"0.0.0.0:8080", "0.0.0.0", "8080", NULL, NULL},
		{"localhost:0", "localhost", "0", NULL, NULL},
		{":8080", "", "8080", NULL, NULL},
		{"[::1]:8080", "::1", "8080", NULL, NULL},
		{"[::]:65535", "::", "65535", NULL, NULL},
		{"unix:/run/w.sock", NULL, NULL, "/run/w.sock", NULL},
		{"unix:///run/w.sock", NULL, NULL, "/run/w.sock", NULL},
		{"unix:/run/a:80", NULL, NULL, "/run/a:80", NULL},
		{"unix:w.sock", NULL, NULL, NULL, "an absolute path is expected behind unix:"},
		{"unix:", NULL, NULL, NULL, "an absolute path is expected behind unix:"},
		{"unix:/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678", NULL, NULL, NULL,
			"the path of a unix socket may have 107 bytes"},
		{"", NULL, NULL, NULL, "\"\" is no address and port such as 0.0.0.0:8080"},
		{"8080", NULL, NULL, NULL, "is no address and port"},
		{"a:", NULL, NULL, NULL, "is no address and port"},
		{"a:-1", NULL, NULL, NULL, "is no address and port"},
		{"a:65536", NULL, NULL, NULL, "is no address and port"},
		{"a:80x", NULL, NULL, NULL, "is no address and port"},
		{"::1:8080", NULL, NULL, NULL, "an IPv6 address is written in brackets"},
		{"http://a:80", NULL, NULL, NULL, "an IPv6 address is written in brackets"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct listen_address a;
		struct err e = {0};
		ROW_INT(rows[i].text, listen_parse(&a, rows[i].text, &e), rows[i].error ? -1 : 0);
		ROW_CHECK(rows[i].text, strstr(e.msg, rows[i].error ? rows[i].error : ""));
		ROW_STR(rows[i].text, a.host, rows[i].host);
		ROW_STR(rows[i].text, a.port, rows[i].port);
		ROW_STR(rows[i].text, a.unix_path, rows[i].unix_path);
		ROW_STR(rows[i].text, a.text, rows[i].error ? NULL : rows[i].text);
		listen_address_deinit(&a);
	}
}

static void modes(void **state)
{
	static const struct {
		const char *text;
		int mode; /* -1: an error */
	} rows[] = {{"0660", 0660}, {"660", 0660}, {"0", 0}, {"0777", 0777}, {"", -1}, {"0888", -1}, {"rw-rw----", -1}, {"1777", -1}, {"00660", -1}, {"-1", -1}};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		mode_t mode = 01;
		struct err e = {0};
		ROW_INT(rows[i].text, listen_parse_mode(rows[i].text, &mode, &e), rows[i].mode < 0 ? -1 : 0);
		ROW_INT(rows[i].text, mode, rows[i].mode < 0 ? 01 : rows[i].mode);
	}
}

static void which_addresses_are_loopback(void **state)
{
	static const struct {
		const char *text;
		bool loopback;
	} rows[] = {{"127.0.0.1:0", true}, {"127.1.2.3:0", true}, {"localhost:0", true}, {"[::1]:0", true}, {"[::ffff:127.0.0.1]:0", true}, {"0.0.0.0:0", false},
		{":0", false}, {"[::]:0", false}};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct listen_address a;
		struct listen_socket s;
		struct err e = {0};
		assert_int_equal(listen_parse(&a, rows[i].text, &e), 0);
		if (listen_open(&a, 0, &s, &e) == 0) { /* a machine without IPv6 cannot */
			ROW_INT(rows[i].text, s.is_loopback, rows[i].loopback);
			close(s.fd);
		} else {
			ROW_CHECK(rows[i].text, rows[i].text[0] == '[');
		}
		listen_address_deinit(&a);
	}
}

/* -- unix sockets -- */

struct place {
	char dir[64];
	struct listen_address a;
	struct listen_socket s;
};

static void place_init(struct place *p)
{
	struct err e = {0};
	*p = (struct place){.dir = "/tmp/watchbill-test-XXXXXX"};
	assert_non_null(mkdtemp(p->dir));
	AUTO_FREE char *text = xasprintf("unix:%s/s", p->dir);
	assert_int_equal(listen_parse(&p->a, text, &e), 0);
}

static void place_deinit(struct place *p)
{
	unlink(p->a.unix_path);
	listen_address_deinit(&p->a);
	assert_int_equal(rmdir(p->dir), 0);
}

static bool connects(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	memcpy(a.sun_path, path, strlen(path));
	return connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
}

static void a_unix_socket_has_its_mode_and_goes_with_its_listener(void **state)
{
	static const mode_t modes_[] = {0660, 0600, 0666};
	struct stat st;
	struct err e = {0};
	(void)state;
	for (size_t i = 0; i < N_OF(modes_); i++) {
		struct place p;
		place_init(&p);
		mode_t mask = umask(022);
		assert_int_equal(listen_open(&p.a, modes_[i], &p.s, &e), 0);
		assert_int_equal(umask(mask), 022);
		assert_true(p.s.is_loopback);
		assert_int_equal(stat(p.a.unix_path, &st), 0);
		assert_int_equal(st.st_mode & 07777, modes_[i]);
		assert_true(connects(p.a.unix_path));
		listen_remove(&p.a, &p.s);
		assert_int_equal(access(p.a.unix_path, F_OK), -1);
		close(p.s.fd);
		place_deinit(&p);
	}
}

static void a_socket_that_nobody_listens_on_is_replaced(void **state)
{
	struct place p;
	struct err e = {0};
	(void)state;
	place_init(&p);
	assert_int_equal(listen_open(&p.a, 0600, &p.s, &e), 0);
	close(p.s.fd); /* as a kill leaves it */
	assert_false(connects(p.a.unix_path));
	assert_int_equal(listen_open(&p.a, 0600, &p.s, &e), 0);
	assert_true(connects(p.a.unix_path));
	close(p.s.fd);
	place_deinit(&p);
}

static void a_socket_in_use_stays(void **state)
{
	struct place p;
	struct listen_socket second;
	struct err e = {0};
	(void)state;
	place_init(&p);
	assert_int_equal(listen_open(&p.a, 0600, &p.s, &e), 0);
	assert_int_equal(listen_open(&p.a, 0600, &second, &e), -1);
	assert_non_null(strstr(e.msg, "Address already in use"));
	assert_true(connects(p.a.unix_path));
	close(p.s.fd);
	place_deinit(&p);
}

static void another_file_stays(void **state)
{
	struct place p;
	struct err e = {0};
	struct stat st;
	(void)state;
	place_init(&p);
	close(open(p.a.unix_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(listen_open(&p.a, 0600, &p.s, &e), -1);
	assert_non_null(strstr(e.msg, "a file is there that is no socket"));
	assert_int_equal(stat(p.a.unix_path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	place_deinit(&p);
}

static void a_socket_of_somebody_else_is_not_removed(void **state)
{
	struct place p;
	struct listen_socket second;
	struct err e = {0};
	(void)state;
	place_init(&p);
	assert_int_equal(listen_open(&p.a, 0600, &p.s, &e), 0);
	AUTO_FREE char *kept = xasprintf("%s/kept", p.dir);
	assert_int_equal(rename(p.a.unix_path, kept), 0); /* keeps the number of the file in use */
	assert_int_equal(listen_open(&p.a, 0600, &second, &e), 0);
	listen_remove(&p.a, &p.s);
	assert_true(connects(p.a.unix_path));
	close(p.s.fd);
	close(second.fd);
	unlink(kept);
	place_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(modes),
		cmocka_unit_test(which_addresses_are_loopback),
		cmocka_unit_test(a_unix_socket_has_its_mode_and_goes_with_its_listener),
		cmocka_unit_test(a_socket_that_nobody_listens_on_is_replaced),
		cmocka_unit_test(a_socket_in_use_stays),
		cmocka_unit_test(another_file_stays),
		cmocka_unit_test(a_socket_of_somebody_else_is_not_removed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
