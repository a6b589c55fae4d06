// What there is to play, one after the other: files as named, folders and patterns taken apart.
#ifndef AG_APP_PLAYLIST_H
#define AG_APP_PLAYLIST_H

#include "autogaze/base.h"

struct playlist {
    char **items;  // files, URLs, folders of pictures
    int n, at;     // `at`: what plays
};

// Adds what the names stand for. A folder is its videos; without any, its pictures are one item. A
// name with * ? [ that is no file stands for all files that fit. False with *err: nothing fits, or a
// folder holds nothing to play; the list is as before.
bool playlist_add(struct playlist *list, const char *const *names, int n, struct ag_error *err);
void playlist_clear(struct playlist *list);
// Moves by one, round the corner. NULL: the list is empty.
const char *playlist_move(struct playlist *list, int direction);

#endif
