// DejaVu Sans Mono, embedded at build time (cmake/embed_font.cmake).
#ifndef AG_HUD_FONT_H
#define AG_HUD_FONT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

extern const uint32_t ag_hud_font[];
extern const uint32_t ag_hud_font_bytes;

#ifdef __cplusplus
}
#endif
#endif
