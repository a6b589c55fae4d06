# Turns a TrueType file into a C array: cmake -DFONT=in.ttf -DOUT=out.c -P embed_font.cmake
file(READ ${FONT} hex HEX)
file(SIZE ${FONT} bytes)
# A little-endian word a group, zeros behind the end.
string(APPEND hex "000000")
string(REGEX REPLACE "(..)(..)(..)(..)" "0x\\4\\3\\2\\1," words "${hex}")
string(REGEX REPLACE ",[^,]*$" "," words "${words}")
string(REGEX REPLACE "(0x........,0x........,0x........,0x........,0x........,0x........,0x........,0x........,)" "\\1\n" words "${words}")
get_filename_component(name ${FONT} NAME)
file(WRITE ${OUT} "// Generated from ${name}; do not edit.
#include \"font.h\"

const uint32_t ag_hud_font[] = {
${words}
};
const uint32_t ag_hud_font_bytes = ${bytes};
")
