#!/bin/sh
# Writes what ffprobe says of the clips' packets, for TestClipsAgreeWithFfprobe: stream,
# presentation time, decode time, size, flags. Run it by hand when a clip changes.
set -eu
cd "$(dirname "$0")"
for clip in ../../mediatest/media/*.mkv; do
  ffprobe -v error -show_packets -of csv=p=0 \
    -show_entries packet=stream_index,pts_time,dts_time,size,flags "$clip" \
    >"$(basename "$clip" .mkv).packets"
done
