// A layer between a program and its disk (LD_PRELOAD): records every change below one folder, and
// lets the k-th call fail. SQLite, Orbax and Python all go through it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[4096];
static size_t root_length;
static int trace = -1;
static long calls, fail_at, fail_for;
static int fail_errno, deaf;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void raw_write(const void *data, size_t size) {
  const char *at = data;
  while (size > 0) {
    long done = syscall(SYS_write, trace, at, size);
    if (done <= 0) return;
    at += done; size -= done;
  }
}

// op, two paths, an offset, and data; lengths first.
static void record(char op, const char *one, const char *two, int64_t offset,
                   const struct iovec *parts, int count) {
  if (trace < 0) return;
  uint64_t size = 0;
  for (int i = 0; i < count; i++) size += parts[i].iov_len;
  uint32_t n1 = one ? strlen(one) : 0, n2 = two ? strlen(two) : 0;
  pthread_mutex_lock(&lock);
  raw_write(&op, 1); raw_write(&n1, 4); raw_write(&n2, 4); raw_write(&offset, 8); raw_write(&size, 8);
  raw_write(one, n1); raw_write(two, n2);
  for (int i = 0; i < count; i++) raw_write(parts[i].iov_base, parts[i].iov_len);
  pthread_mutex_unlock(&lock);
}

void layer_watch(const char *folder, const char *file) {
  if (trace >= 0) { syscall(SYS_close, trace); trace = -1; }
  root_length = 0;
  if (!folder) return;
  strncpy(root, folder, sizeof root - 1);
  root_length = strlen(root);
  if (file) trace = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
}
void layer_mark(const char *text) { record('A', text, NULL, 0, NULL, 0); }
void layer_fail(long at, long times, int number) {
  calls = 0; fail_at = at; fail_for = times; fail_errno = number;
}
// The deliberate fault: what is synced is not.
void layer_deafen(int on) { deaf = on; }
long layer_calls(void) { return calls; }

static int inside(const char *path) {
  return root_length && strncmp(path, root, root_length) == 0 &&
         (path[root_length] == '/' || path[root_length] == 0);
}
// 1 when this call has to fail.
static int fails(void) {
  long number = __sync_add_and_fetch(&calls, 1);
  if (fail_at && number >= fail_at && number < fail_at + fail_for) { errno = fail_errno; return 1; }
  return 0;
}
static int path_of(int fd, char *path) {
  char name[64];
  if (!root_length) return 0;
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  long n = syscall(SYS_readlinkat, AT_FDCWD, name, path, 4095);
  if (n <= 0) return 0;
  path[n] = 0;
  return inside(path);
}
static int absolute(int folder, const char *path, char *whole) {
  if (!root_length || !path) return 0;
  if (path[0] == '/') { strncpy(whole, path, 4095); whole[4095] = 0; }
  else if (folder == AT_FDCWD) {
    if (!getcwd(whole, 2048)) return 0;
    strcat(whole, "/"); strncat(whole, path, 2000);
  } else {
    if (!path_of(folder, whole)) return 0;
    strcat(whole, "/"); strncat(whole, path, 2000);
  }
  return inside(whole);
}

static int opening(int folder, const char *path, int flags, mode_t mode) {
  char whole[8192];
  int in = absolute(folder, path, whole), fresh = 0;
  if (in) {
    if (fails()) return -1;
    fresh = (flags & O_CREAT) && syscall(SYS_faccessat, AT_FDCWD, whole, F_OK, 0) != 0;
  }
  int fd = syscall(SYS_openat, folder, path, flags | O_LARGEFILE, mode);
  if (fd < 0) return -1;
  if (in && fresh) record('C', whole, NULL, 0, NULL, 0);
  else if (in && (flags & O_TRUNC)) record('T', whole, NULL, 0, NULL, 0);
  return fd;
}
#define MODE mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { va_list a; va_start(a, flags); mode = va_arg(a, int); va_end(a); }
int open(const char *path, int flags, ...) { MODE return opening(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opening(AT_FDCWD, path, flags, mode); }
int __open_2(const char *path, int flags) { return opening(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return opening(AT_FDCWD, path, flags, 0); }
int openat(int folder, const char *path, int flags, ...) { MODE return opening(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE return opening(folder, path, flags, mode); }

static ssize_t writing(int fd, const struct iovec *parts, int count, int64_t offset) {
  char path[4096];
  int in = path_of(fd, path);
  if (in && fails()) return -1;
  int64_t at = offset;
  if (in && offset < 0) {
    struct stat s;
    at = (syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND) && !fstat(fd, &s) ? s.st_size
         : syscall(SYS_lseek, fd, 0L, SEEK_CUR);
  }
  ssize_t done = offset < 0 ? syscall(SYS_writev, fd, parts, count)
                            : syscall(SYS_pwritev, fd, parts, count, (long)offset, 0L);
  if (in && done > 0) record('W', path, NULL, at, parts, count);
  return done;
}
ssize_t write(int fd, const void *data, size_t size) {
  struct iovec part = {(void *)data, size}; return writing(fd, &part, 1, -1);
}
ssize_t writev(int fd, const struct iovec *parts, int count) { return writing(fd, parts, count, -1); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  struct iovec part = {(void *)data, size}; return writing(fd, &part, 1, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return pwrite(fd, data, size, at); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return writing(fd, parts, count, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) { return writing(fd, parts, count, at); }

static int syncing(int fd, long number) {
  char path[4096];
  int in = path_of(fd, path);
  if (in && fails()) return -1;
  int done = syscall(number, fd);
  if (in && done == 0 && !deaf) record('S', path, NULL, 0, NULL, 0);
  return done;
}
int fsync(int fd) { return syncing(fd, SYS_fsync); }
int fdatasync(int fd) { return syncing(fd, SYS_fdatasync); }

static int resizing(int fd, off_t size) {
  char path[4096];
  int in = path_of(fd, path);
  if (in && fails()) return -1;
  int done = syscall(SYS_ftruncate, fd, size);
  if (in && done == 0) record('T', path, NULL, size, NULL, 0);
  return done;
}
int ftruncate(int fd, off_t size) { return resizing(fd, size); }
int ftruncate64(int fd, off64_t size) { return resizing(fd, size); }

int renameat(int f1, const char *p1, int f2, const char *p2) {
  char one[8192], two[8192];
  int in = absolute(f1, p1, one) & absolute(f2, p2, two);
  if (in && fails()) return -1;
  int done = syscall(SYS_renameat2, f1, p1, f2, p2, 0);
  if (in && done == 0) record('R', one, two, 0, NULL, 0);
  return done;
}
int renameat2(int f1, const char *p1, int f2, const char *p2, unsigned flags) {
  (void)flags; return renameat(f1, p1, f2, p2);
}
int rename(const char *one, const char *two) { return renameat(AT_FDCWD, one, AT_FDCWD, two); }

int unlinkat(int folder, const char *path, int flags) {
  char whole[8192];
  int in = absolute(folder, path, whole);
  if (in && fails()) return -1;
  int done = syscall(SYS_unlinkat, folder, path, flags);
  if (in && done == 0) record(flags & AT_REMOVEDIR ? 'D' : 'U', whole, NULL, 0, NULL, 0);
  return done;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int folder, const char *path, mode_t mode) {
  char whole[8192];
  int in = absolute(folder, path, whole);
  if (in && fails()) return -1;
  int done = syscall(SYS_mkdirat, folder, path, mode);
  if (in && done == 0) record('M', whole, NULL, 0, NULL, 0);
  return done;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
