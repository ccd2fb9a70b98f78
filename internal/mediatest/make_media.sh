#!/bin/sh
# Makes the files in media/, four seconds of test picture and tone each, in the shapes
# that ffmpeg and GStreamer give to Matroska. Needs ffmpeg and GStreamer with their x264,
# x265 and AAC encoders. Run it by hand when a shape is added; the results are committed
# so that the tests need neither program. Afterwards bring the table in mediatest.go up
# to date: the test there compares it with the files.
set -eu
cd "$(dirname "$0")/media"

picture="testsrc2=size=320x180:rate=25:duration=4"
tone="sine=frequency=440:sample_rate=48000:duration=4"
h264="-c:v libx264 -preset veryfast -threads 1 -pix_fmt yuv420p -crf 34 -sc_threshold 0"
aac="-c:a aac -b:a 64k -ac 1"

run() { ffmpeg -hide_banner -loglevel error -y -fflags +bitexact "$@"; }

# To a pipe, as in "ffmpeg -f matroska - | millrace put": Segment of unknown size,
# Clusters of known size with a CRC-32 in front, no Cues. A cluster starts after one
# second, after 32 KiB or at a key frame.
run -f lavfi -i "$picture" $h264 -g 25 -bf 0 -flags +bitexact \
  -f matroska - >ffmpeg-h264.mkv
# A key frame only every two seconds: every other cluster begins with another frame.
run -f lavfi -i "$picture" -f lavfi -i "$tone" $h264 -g 50 -bf 0 $aac -flags +bitexact \
  -f matroska - >ffmpeg-h264-aac.mkv
run -f lavfi -i "$picture" $h264 -g 25 -bf 2 -flags +bitexact \
  -f matroska - >ffmpeg-h264-bframes.mkv
run -f lavfi -i "$picture" -c:v libx265 -preset veryfast -pix_fmt yuv420p -crf 34 \
  -x265-params log-level=error:keyint=25:min-keyint=25:scenecut=0:bframes=0:pools=1 \
  -flags +bitexact -f matroska - >ffmpeg-h265.mkv
run -f lavfi -i "$tone" $aac -flags +bitexact -f matroska - >ffmpeg-aac.mkv
# To a file: the sizes are filled in afterwards, and Cues stand at the end.
run -f lavfi -i "$picture" -f lavfi -i "$tone" $h264 -g 25 -bf 0 $aac -flags +bitexact \
  -f matroska ffmpeg-file.mkv

# GStreamer, streamable: Segment and Clusters of unknown size, Tags before Info,
# PrevSize, strings that end in NUL. A cluster starts at each key frame.
camera="videotestsrc num-buffers=100 pattern=ball ! \
  video/x-raw,format=I420,width=320,height=180,framerate=25/1 ! \
  x264enc bframes=0 key-int-max=25 pass=quant quantizer=34 threads=1 ! \
  video/x-h264,profile=baseline ! h264parse"
speaker="audiotestsrc num-buffers=188 samplesperbuffer=1024 freq=440 ! \
  audio/x-raw,rate=48000,channels=1 ! avenc_aac bitrate=64000 ! aacparse"
mux="matroskamux name=mux streamable=true ! filesink location"
gst-launch-1.0 -q $camera ! queue ! $mux=gstreamer-h264.mkv
gst-launch-1.0 -q $camera ! queue ! $mux=gstreamer-h264-aac.mkv $speaker ! queue ! mux.
