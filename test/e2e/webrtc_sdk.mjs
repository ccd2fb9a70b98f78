// Bundles what webrtc.js needs of the AWS SDK for JavaScript v3 for a browser, to standard
// output.

import * as esbuild from 'esbuild-wasm';

const { outputFiles } = await esbuild.build({
  stdin: {
    contents: `export { KinesisVideo } from '@aws-sdk/client-kinesis-video';
      export { KinesisVideoSignaling } from '@aws-sdk/client-kinesis-video-signaling';`,
    resolveDir: import.meta.dirname,
  },
  bundle: true, write: false, format: 'iife', globalName: 'AWS', platform: 'browser', target: 'es2022', legalComments: 'none',
});
process.stdout.write(outputFiles[0].contents, () => process.exit(0));
