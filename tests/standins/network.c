/* The network as a machine without one has it: nothing leaves this machine, no name is known.

Preloaded before the C library. What reaches for another machine fails as it would with the cable
out, and is noted in the file that NETWORK_LOG names; with NETWORK_NONE set, this machine itself is
out of reach as well.
*/
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void note(const char *call, const char *where)
{
    const char *path = getenv("NETWORK_LOG");
    if (path == NULL)
        return;
    char line[400];
    int length = snprintf(line, sizeof line, "%d %s %s\n", getpid(), call, where);
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return;
    if (write(file, line, (size_t)length) < 0)
        errno = 0;
    close(file);
}

/* Whether an address is out of reach; `text` becomes what it is. */
static int is_out(const struct sockaddr *address, socklen_t length, char *text, socklen_t size)
{
    int here = 0;
    if (address == NULL)
        return 0;
    if (address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        unsigned long host = ntohl(v4->sin_addr.s_addr);
        inet_ntop(AF_INET, &v4->sin_addr, text, size);
        here = host >> 24 == 127 || host == 0;
    } else if (address->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6)) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        const unsigned char *bytes = v6->sin6_addr.s6_addr;
        inet_ntop(AF_INET6, &v6->sin6_addr, text, size);
        here = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) || IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr) ||
               (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && bytes[12] == 127);
    } else {
        return 0; /* a socket of the file system, or the kernel's own */
    }
    return !here || getenv("NETWORK_NONE") != NULL;
}

static int refused(const char *call, const struct sockaddr *address, socklen_t length)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (!is_out(address, length, text, sizeof text))
        return 0;
    note(call, text);
    errno = ENETUNREACH;
    return 1;
}

/* Whether a name may be looked up: numbers, and this machine's own names. */
static int is_known(const char *name)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    char own[256] = "";
    if (name == NULL || inet_pton(AF_INET, name, bytes) == 1 ||
        inet_pton(AF_INET6, name, bytes) == 1)
        return 1;
    gethostname(own, sizeof own - 1);
    return strcmp(name, "localhost") == 0 || strcmp(name, own) == 0 || name[0] == '\0';
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    static int (*real)(int, const struct sockaddr *, socklen_t);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "connect");
    return refused("connect", address, length) ? -1 : real(fd, address, length);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *address,
               socklen_t length)
{
    static ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "sendto");
    return refused("sendto", address, length) ? -1
                                              : real(fd, data, size, flags, address, length);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    static ssize_t (*real)(int, const struct msghdr *, int);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "sendmsg");
    return refused("sendmsg", message->msg_name, message->msg_namelen)
               ? -1
               : real(fd, message, flags);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (!is_known(name)) {
        note("getaddrinfo", name);
        return EAI_NONAME;
    }
    return real(name, service, hints, found);
}
