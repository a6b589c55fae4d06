// Push blocks of shaders/mask/diff.comp and select.comp: patch-diff.
#ifndef AG_INTERFACE_DIFF_ARGS_H
#define AG_INTERFACE_DIFF_ARGS_H

#include "interface/lang.h"

// A cell is summed up in bands of rows, a workgroup each. Partial sums: [cells][bands][3].
// DIFF_BAND_PIXELS bounds what a workgroup adds up, so that its sums fit 32 bits.
#define DIFF_BAND_PIXELS 16384u

struct diff_args {
    U32 width, height, grid;
    U32 bands, band_rows;
};
ABI_SIZE(diff_args, 20);

// The list: its length in the first word, cells from this word on.
#define SELECT_CELLS_AT 64u

struct select_args {
    U32 n, bands;   // cells, bands of each
    F32 threshold;
    F32 weights[3]; // grey levels of a channel -> normalised units
};
ABI_SIZE(select_args, 24);

#endif
