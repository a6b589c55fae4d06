#!/bin/sh
# Makes the clips of the source tests with the ffmpeg command: media.sh FOLDER. They are small on
# purpose; what is in them, tests/test_video.c and tests/test_source.c know.
set -eu

command -v ffmpeg >/dev/null || {
    echo "media.sh: the ffmpeg command is missing, the tests need it (apt install ffmpeg)" >&2
    exit 1
}
ffmpeg -hide_banner -encoders 2>/dev/null | grep -q libx264 || {
    echo "media.sh: this ffmpeg has no libx264, the tests need it" >&2
    exit 1
}
mkdir -p "$1"
cd "$1"

make() { # FILE OPTION...
    file=$1
    shift
    if ! ffmpeg -hide_banner -loglevel error -nostdin -y "$@" "$file"; then
        echo "media.sh: $file could not be made" >&2
        exit 1
    fi
}
x264() { # FILE OPTION...: three frames a group after the key frame, so that frames are reordered
    file=$1
    shift
    make "$file" "$@" -c:v libx264 -preset ultrafast -bf 2 -b_strategy 0 -g 20 -sc_threshold 0
}

# 50 frames, 25 a second: frame i is at i * 40 ms, key frames are 0, 20, 40.
x264 clip.mp4 -f lavfi -i testsrc2=size=160x120:rate=25:duration=2 -pix_fmt yuv420p
make clip.raw -i clip.mp4 -f rawvideo # its planes, one frame after the other
for file in clip.mkv clip.ts clip.mov clip.h264; do
    make $file -i clip.mp4 -c copy
done
make clip.avi -i clip.mp4 -c:v mpeg4 -q:v 4 -g 20
make clip.webm -i clip.mp4 -c:v libvpx -b:v 400k -deadline realtime -g 20
make clip.y4m -i clip.mp4
make clip.gif -i clip.mp4 -vf scale=80:60

# Odd size, pixels that are not square, a phone held upright, uneven times.
make odd.mkv -f lavfi -i testsrc=size=127x95:rate=25:duration=0.2 -pix_fmt yuv420p -c:v ffv1
make odd.raw -i odd.mkv -f rawvideo
x264 wide.mp4 -f lavfi -i testsrc2=size=160x120:rate=25:duration=0.2 -vf setsar=16/11 \
    -pix_fmt yuv420p
# Upright after a quarter turn clockwise; FFmpeg counts the other way round.
if ffmpeg -hide_banner -h long 2>/dev/null | grep -q display_rotation; then
    make turned.mp4 -display_rotation:v:0 -90 -i clip.mp4 -c copy
else
    make turned.mp4 -i clip.mp4 -c copy -metadata:s:v:0 rotate=270
fi
make uneven.mkv -f lavfi -i testsrc2=size=160x120:rate=100:duration=0.1 \
    -vf 'setpts=N*N/100/TB' -vsync passthrough -pix_fmt yuv420p -c:v ffv1

# Colours as the stream states them.
make stated.mkv -f lavfi -i testsrc2=size=64x48:rate=25:duration=0.2 \
    -vf scale=out_color_matrix=bt2020:out_range=full,format=yuv420p10le -c:v ffv1 \
    -colorspace bt2020nc -color_range pc -chroma_sample_location topleft
make photo.mkv -f lavfi -i testsrc2=size=64x48:rate=25:duration=0.2 -pix_fmt yuvj422p -c:v mjpeg

# Another size in the middle, then another pixel format.
x264 small.h264 -f lavfi -i testsrc2=size=96x64:rate=25:duration=0.2 -pix_fmt yuv420p
x264 full.h264 -f lavfi -i testsrc2=size=96x64:rate=25:duration=0.2 -pix_fmt yuv444p
cat clip.h264 small.h264 full.h264 >change.h264

# No pictures at all.
make sound.wav -f lavfi -i sine=duration=0.1

# Still pictures of one colour, (32, 64, 96).
make still.png -f lavfi -i color=c=0x204060@0x80:size=20x10,format=rgba -frames:v 1
make still.bmp -f lavfi -i color=c=0x204060:size=20x10,format=bgr24 -frames:v 1
make still.jpg -f lavfi -i color=c=0x204060:size=20x10 -frames:v 1 -q:v 1
make still.tiff -f lavfi -i color=c=0x204060:size=20x10,format=rgb24 -frames:v 1

# A folder of pictures, and a still as large as screens get.
mkdir -p pictures
make pictures/%d.png -f lavfi -i testsrc2=size=48x32:rate=25:duration=0.16
make large.jpg -f lavfi -i color=c=0x204060:size=7680x4320 -frames:v 1 -q:v 2
