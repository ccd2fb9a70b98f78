#!/usr/bin/env bash
# Records the private data of many encoder settings, and what ffprobe says of them:
#
#   cd internal/codec/testdata && ./make_corpus.sh > corpus.txt
#
# Needs ffmpeg and ffprobe 5.1 with libx264 and libx265, and GStreamer 1.22 with x264enc,
# x265enc and openh264enc. The pictures are test patterns.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# row NAME ID FILE: the private data as ffmpeg keeps them, and ffprobe's figures.
row() {
  local hex
  hex=$(ffprobe -v error -show_data -show_entries stream=extradata -of default=nw=1:nk=1 "$3" |
    sed -n 's/^[0-9a-f]\{8\}: \(.\{39\}\).*/\1/p' | tr -d ' \n')
  echo "$1 $2 $hex $(figures "$3")"
}

figures() {
  ffprobe -v error -show_entries stream=width,height,has_b_frames,r_frame_rate,sample_rate,channels -of default=nw=1 "$1" |
    grep -v 'frame_rate=0/0' | tr '\n' ' '
}

picture() { # NAME SIZE RATE ARGUMENTS...
  local name=$1 size=$2 rate=$3
  shift 3
  ffmpeg -v error -nostdin -f lavfi -i "testsrc2=size=$size:rate=$rate" -frames:v 12 "$@" "$dir/$name.mkv"
}

h264() {
  picture "$@" -x264-params "${X264:-}"
  row "$1" V_MPEG4/ISO/AVC "$dir/$1.mkv"
}

h265() {
  picture "$@" -c:v libx265 -x265-params "log-level=none:info=0:${X265:-}"
  row "$1" V_MPEGH/ISO/HEVC "$dir/$1.mkv"
}

sound() { # NAME LAYOUT RATE ARGUMENTS...
  local name=$1 layout=$2 rate=$3
  shift 3
  ffmpeg -v error -nostdin -f lavfi -i "anullsrc=r=$rate:cl=$layout" -t 1 "$@" "$dir/$name.mkv"
}

aac() {
  sound "$@" -c:a aac -strict experimental
  row "$1" A_AAC "$dir/$1.mkv"
}

# wave NAME LAYOUT RATE CODEC: ffmpeg keeps no WAVEFORMATEX; it stands in the file behind
# id and size of CodecPrivate.
wave() {
  sound "$1" "$2" "$3" -c:a "$4"
  local hex
  hex=$(head -c 4000 "$dir/$1.mkv" | od -An -v -tx1 | tr -d '\n' | sed 's/.* 63 a2 92\(\( ..\)\{18\}\).*/\1/' | tr -d ' ')
  echo "$1 A_MS/ACM $hex $(figures "$dir/$1.mkv")"
}

# stream NAME ID SUFFIX PIPELINE...: parameter sets between start codes.
stream() {
  local name=$1 id=$2 suffix=$3
  shift 3
  gst-launch-1.0 -q videotestsrc num-buffers=12 ! "$@" ! filesink location="$dir/$name.$suffix"
  row "$name" "$id" "$dir/$name.$suffix"
}

main() {
  h264 baseline 320x240 30 -profile:v baseline
  h264 main-bframes 640x360 25 -profile:v main -bf 2
  X264=b-pyramid=normal:ref=4 h264 high-pyramid 1280x720 30000/1001 -bf 3
  h264 high-cropped 1920x1080 50 -preset ultrafast
  h264 high-odd 322x182 15 -bf 0
  X264=tff=1 h264 interlaced 720x576 25 -flags +ildct+ilme
  X264=fake-interlaced=1 h264 interlaced-cropped 1920x1080 25 -bf 2
  X264=nal-hrd=cbr h264 decoder-model 320x180 25 -b:v 300k -maxrate 300k -bufsize 300k
  X264=cqm=jvt h264 scaling-lists 320x180 25 -bf 1
  h264 high10 320x180 25 -pix_fmt yuv420p10le
  h264 high422 320x180 25 -pix_fmt yuv422p10le
  h264 high444 322x182 25 -pix_fmt yuv444p
  h264 grey 320x180 25 -pix_fmt gray
  X264=sar=16,15 h264 wide-pixels 352x288 25 -color_primaries bt709 -color_trc bt709 -colorspace bt709
  h264 intra 320x180 24 -g 1
  stream start-codes V_MPEG4/ISO/AVC h264 video/x-raw,width=320,height=240,framerate=30/1 ! x264enc ! video/x-h264,stream-format=byte-stream,profile=main
  stream start-codes-high10 V_MPEG4/ISO/AVC h264 video/x-raw,format=I420_10LE,width=320,height=240,framerate=30/1 ! x264enc ! video/x-h264,stream-format=byte-stream
  stream openh264 V_MPEG/ISO/AVC h264 video/x-raw,width=640,height=480,framerate=30/1 ! openh264enc |
    sed 's/r_frame_rate=[^ ]*//' # the stream has none; ffprobe takes 25

  h265 hevc-main 640x360 25
  X265=bframes=4:b-pyramid=1 h265 hevc-bframes 1280x720 30000/1001
  h265 hevc-cropped 1918x1078 60 -preset ultrafast
  h265 hevc-main10 640x360 25 -pix_fmt yuv420p10le
  h265 hevc-422 640x360 25 -pix_fmt yuv422p10le
  h265 hevc-444 642x362 25 -pix_fmt yuv444p
  X265=interlace=tff h265 hevc-fields 720x576 50
  X265=hrd=1:vbv-maxrate=500:vbv-bufsize=500:bitrate=400 h265 hevc-decoder-model 640x360 25
  X265=scaling-list=default h265 hevc-lists 640x360 25
  X265=temporal-layers=3:b-adapt=0:bframes=3 h265 hevc-layers 640x360 25
  X265=sar=2:level-idc=5.1:high-tier=1:vbv-maxrate=50000:vbv-bufsize=50000 h265 hevc-high-tier 640x360 25
  X265=no-strong-intra-smoothing=1:keyint=1 h265 hevc-intra 640x360 24
  stream hevc-start-codes V_MPEGH/ISO/HEVC h265 video/x-raw,width=320,height=240,framerate=30/1 ! x265enc option-string=info=0:log-level=none ! video/x-h265,stream-format=byte-stream
  stream hevc-start-codes-alias V_MPEG/ISO/HEVC h265 video/x-raw,width=318,height=238,framerate=30/1 ! x265enc option-string=info=0:log-level=none ! video/x-h265,stream-format=byte-stream

  aac aac-mono mono 48000
  aac aac-stereo stereo 44100
  aac aac-low mono 8000
  aac aac-5.1 5.1 48000
  aac aac-7.1 7.1 48000
  aac aac-elements 2.1 48000
  wave alaw mono 8000 pcm_alaw
  wave ulaw mono 8000 pcm_mulaw
  wave alaw-stereo stereo 16000 pcm_alaw
}

main
