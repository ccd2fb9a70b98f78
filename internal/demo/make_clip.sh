#!/bin/sh
# Makes clip.mkv, the picture of the built-in camera: ten seconds with a frame counter,
# 640x360, 25 frames a second, H.264 without B-frames, a closed group of pictures and a
# cluster every second. Needs ffmpeg with libx264 and drawtext. Run it by hand when the
# picture should change; the result is committed so that building needs no ffmpeg.
set -eu
cd "$(dirname "$0")"

picture="testsrc2=size=640x360:rate=25:duration=10"
counter="drawtext=text='frame %{eif\:n\:d\:3}':x=(w-tw)/2:y=h-72:fontsize=44"
counter="$counter:fontcolor=white:box=1:boxcolor=black@0.75:boxborderw=10"
name="drawtext=text='Millrace demo':x=(w-tw)/2:y=16:fontsize=28"
name="$name:fontcolor=white:box=1:boxcolor=black@0.75:boxborderw=8"

# bitexact and one thread give the same bytes on every run of the same ffmpeg. The
# cluster limits are out of reach: only key frames start a cluster. filter_units drops
# the encoder's settings, which x264 writes into the first frame.
ffmpeg -hide_banner -loglevel error -y \
  -f lavfi -i "$picture,$counter,$name" \
  -c:v libx264 -profile:v main -preset veryslow -threads 1 -pix_fmt yuv420p \
  -crf 33 -g 25 -keyint_min 25 -sc_threshold 0 -bf 0 -flags +cgop+bitexact \
  -bsf:v filter_units=remove_types=6 \
  -fflags +bitexact -map_metadata -1 -f matroska -write_crc32 0 \
  -cluster_size_limit 100M -cluster_time_limit 15000 - >clip.mkv
