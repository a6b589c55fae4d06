#include "autogaze/base.h"

#include <string.h>

// Edit distance (insert, delete, replace) of two short strings; longer ones never match.
static unsigned distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned row[64];
    if (n >= AG_COUNT(row) || m >= AG_COUNT(row)) {
        return ~0u;
    }
    for (size_t j = 0; j <= m; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = AG_MIN(change, AG_MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[m];
}

const char *ag_closest(const char *name, const char *const *names, size_t n)
{
    const char *best = NULL;
    unsigned least = (unsigned)AG_MIN((size_t)3, strlen(name) / 2) + 1;
    for (size_t i = 0; i < n; i++) {
        unsigned d = distance(name, names[i]);
        if (d < least) {
            least = d;
            best = names[i];
        }
    }
    return best;
}
