// The end of a file name says what goes into the file.
#ifndef AG_EXPORT_PATH_H
#define AG_EXPORT_PATH_H

#include "autogaze/base.h"

// Index of the one among `n` endings (".mp4") that `path` has, upper or lower case, -1: none. A
// name that is nothing but an ending has none.
int path_ending(const char *path, const char *const *endings, size_t n);

#endif
