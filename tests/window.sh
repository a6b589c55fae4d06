#!/bin/bash
# The window under a virtual X server: keys do what the help says, resizing and hiding leave no
# validation message, a windowed run gives the hashes of the headless run, a missing display gets a
# sentence. Needs Xvfb, xdotool, ImageMagick, ffmpeg, prlimit and python3; without them it fails.
#     window.sh VIEWER TINY_WM DROP_FILES
set -u
viewer=$(readlink -f "$1")
manager=$(readlink -f "$2")
dropper=$(readlink -f "$3")
work=$(mktemp -d)
server= running= managing=
finish() {
    [ -n "$running" ] && kill "$running" 2>/dev/null
    [ -n "$managing" ] && kill "$managing" 2>/dev/null
    [ -n "$server" ] && kill "$server" 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
cd "$work" || exit 1
export XDG_CACHE_HOME=$work/cache
failed=0
ok() { echo "ok: $*"; }
bad() { echo "FAIL: $*"; failed=1; }
check() { # check 'what' command...
    local what=$1
    shift
    if "$@"; then ok "$what"; else bad "$what"; fi
}

for tool in Xvfb xdotool import convert ffmpeg ffprobe prlimit python3; do
    command -v $tool >/dev/null || { echo "FAIL: this test needs $tool"; exit 1; }
done

# ---- no display ----
env -u DISPLAY -u WAYLAND_DISPLAY SDL_VIDEODRIVER=x11 timeout 20 "$viewer" --source synthetic-pan \
    >stdout 2>stderr
check 'no display: exit 3' [ $? = 3 ]
check 'no display: advises --headless' grep -q -- '--headless' stderr
check 'no display: one sentence' [ "$(grep -c '^autogaze-viewer: ' stderr)" = 1 ]

# ---- a display ----
mkfifo number
Xvfb -displayfd 5 -screen 0 2560x1440x24 -nolisten tcp 5>number 2>xvfb.log &
server=$!
read -r display <number
export DISPLAY=:$display
"$manager" &
managing=$!
id=

# start args...: a window of 1280x720; waits until it shows something.
start() {
    "$viewer" --validation --window-size 1280x720 "$@" >stdout 2>stderr &
    running=$!
    id=$(timeout 60 xdotool search --sync --onlyvisible --name '^autogaze-viewer$' | head -n 1)
    for _ in $(seq 100); do
        [ "$(shot '50x16+8+0' bright)" != 0 ] && break
        kill -0 $running 2>/dev/null || break
        sleep 0.1
    done
    sleep 0.5
}
# stop: Esc; sets $code
stop() {
    xdotool key Escape
    for _ in $(seq 100); do kill -0 $running 2>/dev/null || break; sleep 0.1; done
    wait $running
    code=$?
    running=
}
press() {
    xdotool key "$@"
    sleep 0.6
}
# shot GEOMETRY [bright]: a hash of that part of the window; or whether anything there is bright
shot() {
    import -silent -window "${id:-root}" window.png 2>/dev/null
    if [ "${2:-}" = bright ]; then
        convert window.png -format '%[fx:maxima>0.5?1:0]' info: 2>/dev/null || echo 0
    else
        convert window.png -crop "$1" +repage -format '%#' info:
    fi
}
input=200x80+100+250   # inside of the input panel of the compact page
labels=1200x16+8+156   # "Mask  image-mask-only..."
foot=1200x20+8+698     # status row
cards=1264x120+8+564
changes() { # changes GEOMETRY keys...
    local before=$(shot "$1") at=$1
    shift
    press "$@"
    soon differs "$at" "$before"
}
differs() { [ "$(shot "$1")" != "$2" ]; }
same() { [ "$(shot "$1")" = "$2" ]; }
soon() { # soon command...: a busy machine gets some seconds
    for _ in $(seq 20); do
        "$@" && return 0
        sleep 0.3
    done
    return 1
}
still() { # still GEOMETRY: nothing moves there
    local before=$(shot "$1")
    sleep 0.7
    [ "$(shot "$1")" = "$before" ]
}
moves() { ! still "$1"; }

small='--source synthetic-pan --synthetic-size 320x180 --mask-source patch-diff'

start $small --perf-summary summary.json
check 'pictures move' moves $input
press space
check 'Space pauses' still $input
check 'a paused window is still' still 1280x720+0+0
check '. shows the next frame' changes $input period
check '. pauses again' still $input
check '? shows the help' changes 300x300+490+200 question
check 'Esc closes the help first' changes 300x300+490+200 Escape
check 'H turns the page' changes $cards h
press h h
check 'H three times is the page off' [ "$(convert window.png -crop $cards +repage -format '%k' info:)" != 1 ]
press h
check 'G changes the geometry' changes 400x16+432+156 g
check 'M changes the style' changes 400x16+432+156 m
check 'V changes the output' changes 400x16+856+156 v
check '] changes the quality' changes 220x40+1050+590 bracketright
check '[ changes it back' changes 220x40+1050+590 bracketleft
press p
check 'P writes a picture' ls autogaze-*.png
check 'P: input, mask and output' [ "$(convert autogaze-*.png -format '%wx%h' info:)" = 960x180 ]
check 'Right goes on' changes $input Right
check 'Left goes back' changes $input Left
press space
check 'Space plays' moves $input
press k
press c
press v # full-blend keeps nothing to repair
press e
press s
press s
check 'S switches the source' moves $input
stop
check 'Esc ends the program' [ $code = 0 ]
check 'the table is printed' grep -q 'hash of the last output image' stdout
check 'the summary is written' test -s summary.json
check 'S was the model in the end' grep -q 'mask source *autogaze' stdout
check 'E repairs' grep -q '^repair .* to 33.0 dB' stdout
[ $code = 0 ] || cat stderr

# ---- files: a list, the timeline, one frame back ----
for color in red blue; do
    ffmpeg -v error -y -f lavfi -i "color=c=$color:size=320x180:rate=25:duration=4" \
        -f lavfi -i color=c=white:size=40x40:rate=25:duration=4 \
        -filter_complex 'overlay=x=t*60:y=20' -c:v mpeg4 -q:v 2 $color.mp4
done
start --mask-source patch-diff --loop red.mp4 'blu*.mp4'
press space
is() { # is COLOR: of the lower part of the input panel
    shot 200x40+100+330 >/dev/null
    local got=$(convert window.png -crop 200x40+100+330 +repage -format \
        '%[fx:mean.r>mean.b?1:0]' info:)
    [ "$got" = "$([ "$1" = red ] && echo 1 || echo 0)" ]
}
check 'the first file plays' soon is red
press Page_Down
check 'PageDown: the next file' soon is blue
press Page_Down
check 'the list goes round' soon is red
press Page_Up
check 'PageUp: the file before' soon is blue
box=400x60+12+190
before=$(shot $box)
press period
check '. shows the next frame of a file' soon differs $box "$before"
press comma
check ', goes back to the frame before, exactly' soon same $box "$before"
bar=740x8+390+703
before=$(shot $bar)
xdotool mousemove --window "$id" 760 706 mousedown 1
sleep 0.3
xdotool mouseup 1 mousemove --window "$id" 640 60
sleep 1
check 'a click on the timeline seeks' soon differs $bar "$before"
press greater
press space
check 'and it plays on from there' moves $box
press Page_Down # red again, from its beginning
check 'a file that ends gives way to the next' soon is blue
check 'files can be dropped' "$dropper" "$id" red.mp4 blue.mp4
check 'they play' soon is red
press Page_Down
check 'as a list' soon is blue
stop
check 'files: no validation message' [ $code = 0 ]
[ $code = 0 ] || cat stderr

# ---- the mouse ----
start $small
before=$(shot 220x40+1050+590)
xdotool mousemove --window "$id" 1100 600 mousedown 1
sleep 0.4
xdotool mouseup 1 mousemove --window "$id" 640 100
sleep 0.6
check 'the slider follows the mouse' [ "$(shot 220x40+1050+590)" != "$before" ]
before=$(shot 200x20+1060+650)
xdotool mousemove --window "$id" 1160 660 mousedown 1
sleep 0.4
xdotool mouseup 1 mousemove --window "$id" 640 100
sleep 0.8
check 'the button switches the source' [ "$(shot 200x20+1060+650)" != "$before" ]

# ---- layouts ----
area=1264x540+8+8      # where pictures are, whatever the layout
press space
for layout in input mask output difference grid wipe; do
    check "L goes on to $layout" changes $area l
    cp window.png layout-$layout.png
done
check 'L comes back to the panels' changes $area l
panels=$(shot $area)
for key in 1 2 3 4; do
    check "$key shows one picture" changes $area $key
    cp window.png solo-$key.png
done
same() { [ "$(convert "$1" -crop $2 +repage -format '%#' info:)" = "$(convert "$3" -crop $2 +repage -format '%#' info:)" ]; }
for pair in 1:input 2:mask 3:output 4:difference; do
    check "$pair" same solo-${pair%:*}.png $area layout-${pair#*:}.png
done
check 'the same key again goes back' changes $area 4
check 'to where it was' [ "$(shot $area)" = "$panels" ]
# Grey levels of the difference grow to white; a wipe has a golden line in the middle.
check 'a wipe has its divider' [ "$(convert layout-wipe.png -crop 2x200+639+200 +repage \
    -format '%[fx:mean.r>0.9&&mean.b<0.4?1:0]' info:)" = 1 ]
mouse() { xdotool mousemove --window "$id" "$@"; sleep 0.2; }
dragged() { # dragged X Y X Y: whether that changes the pictures
    local before=$(shot $area)
    mouse $1 $2 mousedown 1
    mouse $3 $4
    xdotool mouseup 1
    sleep 0.5
    mouse 640 700
    [ "$(shot $area)" != "$before" ]
}
press l l l l l l
check 'the divider can be dragged' dragged 640 300 400 300
check 'it is where it was put' [ "$(convert window.png -crop 8x200+396+200 +repage \
    -format '%[fx:maxima.r>0.9&&minima.b<0.4?1:0]' info:)" = 1 ]
press l
check 'a whole picture cannot be moved' eval '! dragged 200 300 260 330'
mouse 200 300
xdotool click 4 click 4 click 4
sleep 0.5
check 'the wheel zooms' [ "$(shot $area)" != "$panels" ]
check 'a part can be moved' dragged 200 300 260 330
mouse 200 300
xdotool click --repeat 2 --delay 60 1
sleep 0.7
check 'a double click shows the whole again' [ "$(shot $area)" = "$panels" ]
mouse 640 300
xdotool click 4
sleep 0.3
check 'Z does, too' eval 'changes $area z && [ "$(shot $area)" = "$panels" ]'
press space

# ---- recording ----
foot() { shot $foot >/dev/null; convert window.png -crop $foot +repage -format '%[fx:maxima.r>0.85?1:0]' info:; }
press r
sleep 0.5
check 'R records, and the foot says so' [ "$(foot)" = 1 ]
sleep 1
press f
sleep 0.5
press f
check 'over a change of the window' kill -0 $running
press r
sleep 1
file=$(ls autogaze-*.mp4)
check 'R ends it: it can be played' [ "$(ffprobe -v error -count_frames -show_entries \
    stream=nb_read_frames -of csv=p=0 "$file" | tr -d ,)" -gt 20 ]
check 'it has the size of three panels' [ "$(ffprobe -v error -show_entries stream=width,height \
    -of csv=p=0 "$file")" = 960,180 ]

press w
check 'W writes the numbers' python3 -c "import glob, json; print(json.load(open(glob.glob('autogaze-*.json')[0]))['frames'] > 50 or exit(1))"

# ---- fullscreen, sizes, hidden and shown ----
rss() { awk '/^VmRSS/ { print $2 }' /proc/$running/status; }
memory=$(rss)
size() { xdotool getwindowgeometry --shell "$id" | sed -n 's/^WIDTH=//p;s/^HEIGHT=//p' | xargs; }
press f
check 'F fills the screen' [ "$(size)" = '2560 1440' ]
check 'fullscreen plays' moves 400x200+100+200
press Escape
check 'Esc leaves fullscreen first' kill -0 $running
check 'and gives the size back' [ "$(size)" = '1280 720' ]
for i in 1 2 3; do press f; press f; done
xdotool windowminimize "$id"
sleep 1
check 'minimised it lives on' kill -0 $running
xdotool windowmap "$id"
sleep 1
check 'and comes back' moves $input
seed=7
for i in $(seq 200); do
    seed=$(( (seed * 1103515245 + 12345) % 2147483648 ))
    w=$(( seed / 65536 % 1400 + 1 )) h=$(( seed / 7 % 900 + 1 ))
    [ $((i % 40)) = 0 ] && w=1 h=1
    [ $((i % 40)) = 20 ] && w=2500 h=3
    xdotool windowsize "$id" $w $h
    [ $((i % 50)) = 49 ] && { xdotool windowminimize "$id"; sleep 0.2; xdotool windowmap "$id"; }
    sleep 0.02
done
xdotool windowsize --sync "$id" 1280 720
sleep 1
check 'it plays on after 200 sizes' moves $input
echo "memory before and after: $memory $(rss) KiB"
check 'and has not grown by 100 MB' [ $(($(rss) - memory)) -lt 100000 ]
stop
check 'no validation message' [ $code = 0 ]
[ $code = 0 ] || cat stderr

# ---- the same numbers as without a window ----
run="--source synthetic-local-motion --synthetic-size 320x180 --lockstep --latency sync --frames 12"
timeout 120 "$viewer" --quiet $run >windowed 2>stderr
check 'a windowed run ends after its frames' [ $? = 0 ]
timeout 120 "$viewer" --quiet --headless $run >headless 2>>stderr
check 'the same hashes as the headless run' \
    [ "$(grep '^hash' windowed)" = "$(grep '^hash' headless)" ]
grep -h '^hash' windowed headless

# ---- a full disk ----
"$viewer" --window-size 1280x720 --source synthetic-noise --synthetic-size 320x180 \
    --mask-source patch-diff --record full.mp4 >stdout 2>stderr &
running=$!
prlimit --pid $running --fsize=600000
id=$(timeout 60 xdotool search --sync --onlyvisible --name '^autogaze-viewer$' | head -n 1)
for _ in $(seq 100); do grep -q 'can be played' stderr && break; sleep 0.1; done
sleep 0.5
check 'no room: the foot is red' [ "$(foot)" = 1 ]
press space
check 'no room: it plays on' moves $input
stop
check 'no room: exit 4 in the end' [ $code = 4 ]
check 'no room: what is there can be played' [ "$(ffprobe -v error -count_frames -show_entries \
    stream=nb_read_frames -of csv=p=0 full.mp4 | tr -d ,)" -gt 2 ]

timeout 60 "$viewer" --quiet $run --record /proc/none/x.mp4 >stdout 2>stderr
check 'a recording that cannot begin: exit 4' [ $? = 4 ]
check 'with a sentence' grep -q /proc/none stderr

# ---- a picture of the window without a window ----
for size in 1280x720 640x400 2560x1440; do
    "$viewer" --quiet --headless $run --hud stages --screenshot hud.png --screenshot-hud \
        --window-size $size >stdout 2>stderr
    check "headless picture with HUD, $size" [ "$(convert hud.png -format '%wx%h' info:)" = $size ]
done

# ---- sources that fail ----
head -c 4096 /dev/zero >broken.mp4
timeout 20 "$viewer" broken.mp4 >stdout 2>stderr
check 'a file that cannot be opened: exit 2' [ $? = 2 ]

# A server that hangs up in the middle: the window says so and stays.
ffmpeg -v error -f lavfi -i testsrc=size=320x180:rate=30:duration=2 -c:v libx264 -pix_fmt yuv420p \
    -f mpegts half.ts
python3 - half.ts >port <<'P' &
import socket, sys
data = open(sys.argv[1], 'rb').read()
server = socket.create_server(('127.0.0.1', 0))
print(server.getsockname()[1], flush=True)
while True:
    client, _ = server.accept()
    client.recv(4096)
    client.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n'
                   b'Content-Length: %d\r\n\r\n' % (2 * len(data)) + data)
    client.close()
P
serving=$!
for _ in $(seq 50); do [ -s port ] && break; sleep 0.1; done
start --mask-source patch-diff "http://127.0.0.1:$(cat port)/half.ts"
sleep 4
red() { convert window.png -crop $foot +repage -format '%[fx:mean.r>1.3*mean.b?1:0]' info:; }
shot $foot >/dev/null
check 'a failure in the middle stays on show' [ "$(red)" = 1 ]
check 'and leaves the last picture' [ "$(convert window.png -crop $input +repage -format '%k' info:)" -gt 3 ]
press space
shot $foot >/dev/null
check 'a key takes the sentence away' [ "$(red)" = 0 ]
stop
kill $serving
check 'exit 2 in the end' [ $code = 2 ]
check 'with the sentence' grep -q 'cannot be read any further' stderr

exit $failed
