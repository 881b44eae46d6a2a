/* A slow user database, like a directory server that is down: each question about a user or a group
   fails after half a minute. */
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <unistd.h>

static enum nss_status wait_in_vain(int* error) {
    sleep(30);
    *error = ENOENT;
    return NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_slow_getpwuid_r(uid_t uid, struct passwd* entry, char* buffer, size_t size,
                                     int* error) {
    (void)uid, (void)entry, (void)buffer, (void)size;
    return wait_in_vain(error);
}

enum nss_status _nss_slow_getpwnam_r(const char* name, struct passwd* entry, char* buffer,
                                     size_t size, int* error) {
    (void)name, (void)entry, (void)buffer, (void)size;
    return wait_in_vain(error);
}

enum nss_status _nss_slow_getgrnam_r(const char* name, struct group* entry, char* buffer,
                                     size_t size, int* error) {
    (void)name, (void)entry, (void)buffer, (void)size;
    return wait_in_vain(error);
}

enum nss_status _nss_slow_initgroups_dyn(const char* user, gid_t group, long* start, long* size,
                                         gid_t** groups, long limit, int* error) {
    (void)user, (void)group, (void)start, (void)size, (void)groups, (void)limit;
    return wait_in_vain(error);
}
