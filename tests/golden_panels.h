// Golden panels (pipeline specification 13.3), for tests and `autogaze-bench compose`.
#ifndef AUTOGAZE_TESTS_GOLDEN_PANELS_H
#define AUTOGAZE_TESTS_GOLDEN_PANELS_H

#include "autogaze/plan.h"

struct golden_panel {
    const char *name;
    uint32_t width, height;
    enum ag_geometry geometry;
    enum ag_mask_style style;
    uint64_t mask, output; // output 0: not given
    double psnr;           // of the output; 0: infinite
};

#define FRAME_11_720P 0xb1e34dcea0d27d25u
#define FRAME_11_1080P 0x9bc0892b7ff01f25u

// History = bench frame 7, input = bench frame 11, blend alpha 0.38.
static const struct golden_panel golden_panels[] = {
    { "empty", 1280, 720, AG_GEOMETRY_NATIVE, 0, 0xd395e456e4e72325, 0x63ca1ade4ac65325, 7.715824 },
    { "tiny-sparse", 1280, 720, AG_GEOMETRY_NATIVE, 0, 0x959dc900276446c7, 0x8dc7ff4bfefa33d5,
      7.716615 },
    { "multiscale", 1280, 720, AG_GEOMETRY_NATIVE, 0, 0xf47ab9edbe924c8e, 0x8cffa81b2df7533d,
      9.545739 },
    { "multiscale", 1280, 720, AG_GEOMETRY_EFFECTIVE, 0, 0x30f79ecd045b4b43, 0x061fff46bf6c218d,
      7.793750 },
    { "coarse-dense", 1280, 720, AG_GEOMETRY_NATIVE, 0, 0x93aafbc010286dcb, 0x1d62de5c94030e25,
      8.946458 },
    { "checkerboard-16", 1280, 720, AG_GEOMETRY_NATIVE, 0, 0xa7931224fff4dcd8, 0xd3d8c39da142a625,
      10.726504 },
    { "checkerboard-32", 1280, 720, AG_GEOMETRY_NATIVE, 0, 0x3b9b7f1805d58621, 0xc86a0964d0f25325,
      10.824105 },
    { "dense-grid-64", 1280, 720, AG_GEOMETRY_NATIVE, 0, 0x3c800d3b09ff57a1, FRAME_11_720P, 0 },
    { "redundant-full-frame", 1280, 720, AG_GEOMETRY_NATIVE, 0, 0x0049bf3c104f3786, FRAME_11_720P,
      0 },
    { "redundant-full-frame", 1280, 720, AG_GEOMETRY_DEDUPLICATED, 0, 0xa2b002c7ea11abc9,
      FRAME_11_720P, 0 },
    { "tiny-sparse", 1920, 1080, AG_GEOMETRY_NATIVE, 0, 0x639b647d5263825e, 0xd8b015e3d3464fb5,
      7.698303 },
    { "multiscale", 1920, 1080, AG_GEOMETRY_NATIVE, 0, 0x9fd68a9e589130ec, 0xe736f5ed751510b5,
      9.523948 },
    { "coarse-dense", 1920, 1080, AG_GEOMETRY_NATIVE, 0, 0x3c5372d6a0e3915e, 0xd242b702a1030725,
      8.981743 },
    { "checkerboard-16", 1920, 1080, AG_GEOMETRY_NATIVE, 0, 0xfe3b03b473fa79a9, 0xa35dc20c69730325,
      10.766003 },
    { "checkerboard-32", 1920, 1080, AG_GEOMETRY_NATIVE, 0, 0x40d33525c5257d6a, 0x5166856839d14525,
      10.806136 },
    { "dense-grid-64", 1920, 1080, AG_GEOMETRY_NATIVE, 0, 0x347ab19185c936e6, FRAME_11_1080P, 0 },
    { "redundant-full-frame", 1920, 1080, AG_GEOMETRY_NATIVE, 0, 0x039e62e4e1578abe,
      FRAME_11_1080P, 0 },
    { "redundant-full-frame", 1920, 1080, AG_GEOMETRY_DEDUPLICATED, 0, 0xc4f4f71188bda55e,
      FRAME_11_1080P, 0 },
    { "multiscale", 1280, 720, AG_GEOMETRY_NATIVE, AG_STYLE_IMAGE_OVERLAY, 0xe0c49778aa989416,
      0x8cffa81b2df7533d, 9.545739 },
    { "multiscale", 1280, 720, AG_GEOMETRY_NATIVE, AG_STYLE_OVERLAY, 0x05fca15d10c11729,
      0x8cffa81b2df7533d, 9.545739 },
    { "multiscale", 1280, 720, AG_GEOMETRY_NATIVE, AG_STYLE_SCALE_ROWS, 0x4932bc308bb49a85,
      0x8cffa81b2df7533d, 9.545739 },
    { "multiscale", 1920, 1080, AG_GEOMETRY_NATIVE, AG_STYLE_IMAGE_OVERLAY, 0x7f2aa99480a0ffea,
      0xe736f5ed751510b5, 9.523948 },
    { "multiscale", 1920, 1080, AG_GEOMETRY_NATIVE, AG_STYLE_OVERLAY, 0x0a589210e813c691,
      0xe736f5ed751510b5, 9.523948 },
    { "multiscale", 1920, 1080, AG_GEOMETRY_NATIVE, AG_STYLE_SCALE_ROWS, 0x9733cbb52a6fbb99,
      0xe736f5ed751510b5, 9.523948 },
};

#endif
