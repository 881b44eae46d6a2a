/* A slow user database, like a directory server that is down or far away: each question about a
   user or a group fails after WAIT_MS. nsswitch.conf(5) calls it DATABASE. */
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <unistd.h>

#define JOIN(database, question) _nss_##database##_##question
#define NAMED(database, question) JOIN(database, question)
#define NAME(question) NAMED(DATABASE, question)

static enum nss_status wait_in_vain(int* error) {
    usleep(WAIT_MS * 1000);
    *error = ENOENT;
    return NSS_STATUS_NOTFOUND;
}

enum nss_status NAME(getpwuid_r)(uid_t uid, struct passwd* entry, char* buffer, size_t size,
                                 int* error) {
    (void)uid, (void)entry, (void)buffer, (void)size;
    return wait_in_vain(error);
}

enum nss_status NAME(getpwnam_r)(const char* name, struct passwd* entry, char* buffer, size_t size,
                                 int* error) {
    (void)name, (void)entry, (void)buffer, (void)size;
    return wait_in_vain(error);
}

enum nss_status NAME(getgrnam_r)(const char* name, struct group* entry, char* buffer, size_t size,
                                 int* error) {
    (void)name, (void)entry, (void)buffer, (void)size;
    return wait_in_vain(error);
}

enum nss_status NAME(initgroups_dyn)(const char* user, gid_t group, long* start, long* size,
                                     gid_t** groups, long limit, int* error) {
    (void)user, (void)group, (void)start, (void)size, (void)groups, (void)limit;
    return wait_in_vain(error);
}
