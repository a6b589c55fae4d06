// The file below FFmpeg's muxer: counts, and never fails. When the disk is full, everything behind
// the last complete piece is cut off and further bytes vanish, while what lies before it may still
// be changed (duration and index in the head of an mkv). So the muxer can always end its work.
#ifndef AG_EXPORT_RECORD_FILE_H
#define AG_EXPORT_RECORD_FILE_H

#include <libavformat/avio.h>

#include "autogaze/base.h"

struct record_file {
    AVIOContext *io;  // for the muxer
    char *path;
    int fd;
    int64_t position; // of the next byte
    int64_t size;
    int64_t complete; // what can be played ends here; set by record_file_mark
    int error;        // first errno; from then on nothing behind `complete` is written
};

// Makes the file (and missing folders), empty. AG_ERR_OUTPUT.
bool record_file_open(struct record_file *f, const char *path, struct ag_error *err);
// The muxer is between two pieces: passes on what it wrote. false: the file has failed.
bool record_file_mark(struct record_file *f);
// Throws away what the muxer still holds for the last piece and takes it back to `complete`.
void record_file_rewind(struct record_file *f);
// `remove`: it is of no use. errno of a close that failed becomes f->error.
void record_file_close(struct record_file *f, bool remove);

#endif
