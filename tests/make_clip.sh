#!/bin/bash
# Makes a 10 s 1280x720 30 fps H.264 clip: make_clip.sh OUT.mp4
# 0-4 s: still textured background, two objects moving; 4-8 s: slow pan over the background with one
# object; at 8 s a cut to another scene with a moving object.
set -eu
out=$1
# Backgrounds: smooth noise (blurred, so that it is a picture rather than static).
bg() { # seed width
    echo "nullsrc=size=160x90:rate=30:duration=1,geq=lum='random($1)*255':cb='random($1+1)*255':cr='random($1+2)*255',trim=end_frame=1,loop=-1:1:0,gblur=sigma=2.5,scale=$2:-2:flags=bicubic,eq=contrast=2.2,setsar=1,fps=30"
}
ffmpeg -v error -y \
    -f lavfi -i "$(bg 7 1920),crop=1280:720:20:60:exact=1,format=yuv420p,trim=duration=4" \
    -f lavfi -i "$(bg 7 1920),format=yuv420p,trim=duration=4" \
    -f lavfi -i "$(bg 31 1280),hflip,hue=h=130,format=yuv420p,trim=duration=2" \
    -f lavfi -i "color=c=0xd03020:size=150x110:rate=30:duration=10" \
    -f lavfi -i "color=c=0x20c0e0:size=90x90:rate=30:duration=10" \
    -filter_complex "
[3]split=2[r0][r1];[4]split=2[b0][b1];
[0]setpts=PTS-STARTPTS[s0];
[s0][r0]overlay=x='100+t*160':y='180+60*sin(t*2)':shortest=1[a0];
[a0][b0]overlay=x='1000-t*120':y='450':shortest=1[part0];
[1]setpts=PTS-STARTPTS,crop=1280:720:x='20+t*60':y='60':exact=1[s1];
[s1][r1]overlay=x='900-t*100':y='300':shortest=1[part1];
[2]setpts=PTS-STARTPTS[s2];
[s2][b1]overlay=x='300+t*200':y='200+t*80':shortest=1[part2];
[part0][part1][part2]concat=n=3:v=1,format=yuv420p[v]" \
    -map '[v]' -t 10 -c:v libx264 -preset veryfast -crf 20 "$out"
