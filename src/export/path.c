#include "path.h"

#include <string.h>
#include <strings.h>

int path_ending(const char *path, const char *const *endings, size_t n)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && dot != name && i < n; i++) {
        if (strcasecmp(dot, endings[i]) == 0) {
            return (int)i;
        }
    }
    return -1;
}
